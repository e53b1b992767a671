//! How long the parts of a request and of an event take, each by itself.
//!
//! ```text
//! cargo bench --bench micro
//! cargo bench --bench micro -- lookup
//! ```
//!
//! On a machine with other work, the bench `instructions` says more.

mod operations;

use divan::{Bencher, black_box};

use self::operations as op;

fn main() {
    divan::main();
}

#[divan::bench(args = op::PATHS)]
fn classify(bencher: Bencher<'_, '_>, path: &str) {
    let path = op::known(path);
    bencher.bench(|| op::classified(black_box(path)));
}

#[divan::bench]
fn fingerprint(bencher: Bencher<'_, '_>) {
    let credential = op::credential();
    bencher.bench(|| op::fingerprint(black_box(&credential)));
}

#[divan::bench(args = [10, 10_000, 1_000_000])]
fn lookup(bencher: Bencher<'_, '_>, entries: u64) {
    let kept = op::lists(entries);
    bencher.bench(|| op::found(black_box(&kept)));
}

#[divan::bench]
fn epochs_admit(bencher: Bencher<'_, '_>) {
    let epochs = op::epochs();
    bencher.bench(|| op::admitted(black_box(&epochs)));
}

#[divan::bench]
fn epochs_move_on(bencher: Bencher<'_, '_>) {
    let epochs = op::epochs();
    bencher.bench(|| op::changed(black_box(&epochs)));
}

#[divan::bench]
fn diff(bencher: Bencher<'_, '_>) {
    let groups = op::groups();
    bencher.bench(|| op::difference(black_box(&groups)));
}

#[divan::bench]
fn event_row(bencher: Bencher<'_, '_>) {
    let event = op::event();
    bencher.bench(|| op::row(black_box(&event)));
}

#[divan::bench]
fn chain_link(bencher: Bencher<'_, '_>) {
    let row = op::row(&op::event());
    bencher.bench(|| op::link(black_box(&row)));
}
