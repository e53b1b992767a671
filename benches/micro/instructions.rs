//! How many instructions the parts of a request and of an event take, each by itself, as valgrind counts them: the
//! same on a machine with other work.
//!
//! ```text
//! cargo install --locked --version 0.20.0 gungraun-runner
//! cargo bench --bench instructions
//! ```
//!
//! valgrind emulates no SHA instructions, so `fingerprint` and `chain_link` are far more here than on a machine
//! that has them.

#![allow(missing_docs, reason = "of the modules that the macros make")]

mod operations;

use std::hint::black_box;
use std::sync::Arc;

use gungraun::{library_benchmark, library_benchmark_group, main};
use tollgate::cache::entry::Entry;
use tollgate::cache::epochs::{Epochs, Snapshot};
use tollgate::cache::key::CacheKey;
use tollgate::cache::lists::Lists;
use tollgate::domain::caller::{Credential, Fingerprint, Key};
use tollgate::domain::diff::Change;
use tollgate::domain::endpoint::Endpoint;
use tollgate::domain::event::Draft;
use tollgate::domain::group::Group;
use tollgate::domain::row::{Link, Row};

use self::operations as op;

#[library_benchmark]
#[bench::list(op::known(op::PATHS[0]))]
#[bench::change(op::known(op::PATHS[1]))]
fn classify(path: &str) -> Endpoint {
    op::classified(black_box(path))
}

#[library_benchmark]
#[bench::token(op::credential())]
fn fingerprint(credential: (Key, Credential)) -> Fingerprint {
    op::fingerprint(black_box(&credential))
}

#[library_benchmark]
#[bench::of_10(op::lists(10))]
#[bench::of_100(op::lists(100))]
fn lookup(kept: (Lists, CacheKey)) -> (Arc<Entry>, (Lists, CacheKey)) {
    (op::found(black_box(&kept)), kept)
}

#[library_benchmark]
#[bench::one(op::epochs())]
fn epochs_admit(epochs: (Arc<Epochs>, Snapshot)) -> (bool, (Arc<Epochs>, Snapshot)) {
    (op::admitted(black_box(&epochs)), epochs)
}

#[library_benchmark]
#[bench::one(op::epochs())]
fn epochs_move_on(epochs: (Arc<Epochs>, Snapshot)) -> (Arc<Epochs>, Snapshot) {
    op::changed(black_box(&epochs));
    epochs
}

#[library_benchmark]
#[bench::of_ten(op::groups())]
fn diff(groups: (Group, Group)) -> (Vec<Change>, (Group, Group)) {
    (op::difference(black_box(&groups)), groups)
}

#[library_benchmark]
#[bench::group_change(op::event())]
fn event_row(event: Draft) -> (Row, Draft) {
    (op::row(black_box(&event)), event)
}

#[library_benchmark]
#[bench::group_change(op::row(&op::event()))]
fn chain_link(row: Row) -> (Link, Row) {
    (op::link(black_box(&row)), row)
}

library_benchmark_group!(
    name = request;
    benchmarks = classify, fingerprint, lookup, epochs_admit
);

library_benchmark_group!(
    name = change;
    benchmarks = epochs_move_on, diff, event_row, chain_link
);

main!(library_benchmark_groups = request, change);
