//! The contract's reference is what the contract says.

use std::collections::BTreeSet;

use carpe_tests::contract::{page, path};

#[test]
fn the_reference_is_made_from_the_comments() {
    let kept = std::fs::read_to_string(path()).unwrap_or_default();
    let is_as_made = kept == page();
    assert!(
        is_as_made,
        "docs/contract.md is not what wit/ says: run `cargo run -p carpe-tests --bin contract`"
    );
}

/// Two headings of one name would have the links of both lead to the first.
#[test]
fn each_link_leads_to_one_heading() {
    let page = page();
    let headings =
        page.lines().filter_map(|line| line.strip_prefix("##")?.trim_matches(['#', ' ']).strip_prefix('`'));
    let headings: Vec<&str> = headings.map(|heading| heading.trim_end_matches('`')).collect();
    let found: BTreeSet<&str> = headings.iter().copied().collect();
    assert_eq!(found.len(), headings.len(), "{headings:?}");
    let links = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    let lost: Vec<&str> = links.filter(|link| !found.contains(link)).collect();
    assert!(lost.is_empty(), "no heading for {lost:?}");
}
