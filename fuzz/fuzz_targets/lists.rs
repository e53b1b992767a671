//! Looks for a list of groups, and a filter of it, that are read or cut wrongly.
//!
//! Input: the query of a filtered list on the first line, the whole list behind it.
//!
//! ```sh
//! cargo +nightly fuzz run --sanitizer none lists
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tollgate::cache::filters::Filter;
use tollgate::cache::key::CacheKey;
use tollgate::domain::endpoint::List;
use tollgate::domain::group::{Group, read_groups, read_project_groups};
use tollgate::domain::ids::OrganizationId;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((query, list)) = text.split_once('\n') else {
        return;
    };
    let _ = read_project_groups(list.as_bytes());
    let groups = read_groups(list.as_bytes());
    for group in groups.iter().flatten() {
        let again = Group::read(&group.to_json());
        assert_eq!(again.as_ref(), Some(group), "what is written is read again");
    }

    let caller = "00".repeat(32).parse().expect("a fingerprint");
    let whole = List::Organization(OrganizationId(1));
    let Some(key) = CacheKey::new(caller, whole, Some(query)) else {
        return;
    };
    let Some((filter, of)) = Filter::of(&key) else {
        return;
    };
    assert!(of.is_whole() && !key.is_whole());
    let Some(cut) = filter.cut(list.as_bytes()) else {
        return;
    };
    let count = |list: &[u8]| {
        // As they stand there: a number may be larger than any that this program could keep.
        let read: Vec<&RawValue> = serde_json::from_slice(list).expect("it stays a list");
        read.len()
    };
    assert!(count(&cut) <= count(list.as_bytes()));
    if let (Some(groups), Some(cut)) = (&groups, read_groups(&cut)) {
        assert!(cut.iter().all(|group| groups.contains(group)));
    }
    assert_eq!(
        filter.cut(&cut).as_ref(),
        Some(&cut),
        "what is cut stays as it is"
    );
});
