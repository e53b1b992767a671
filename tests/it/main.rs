//! Tests of the whole: real sockets, real database files, the real binary.
