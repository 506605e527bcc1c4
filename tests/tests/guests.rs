//! No guest without a test.

use std::collections::BTreeSet;

use carpe_tests::guests::{GUESTS, MANIFESTS, root};

/// A guest in no list is built by no test; one that no test names, besides the list, tests nothing.
#[test]
fn every_guest_has_a_test() {
    let entries = std::fs::read_dir(root().join("tests/guests")).expect("the guests");
    let is_rule = |path: &std::path::Path| MANIFESTS.iter().any(|file| path.join(file).is_file());
    let names = entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir() && is_rule(&entry.path()));
    let found: BTreeSet<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = GUESTS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, listed, "folders of tests/guests, and the list in tests/src/guests.rs");

    let tests = std::fs::read_dir(root().join("tests/tests")).expect("the tests");
    let sources: String = tests
        .map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("readable"))
        .collect();
    for name in GUESTS {
        let uses = [format!("guest(\"{name}\")"), format!("\"tests/guests/{name}\"")];
        assert!(uses.iter().any(|one| sources.contains(one)), "no test uses the guest `{name}`");
    }
}
