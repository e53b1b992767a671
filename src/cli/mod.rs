//! The command line: parses it, runs one command, explains what went wrong.
