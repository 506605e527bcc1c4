//! What `docs/scores.md` says is what rules do.

use carpe_tests::score::{page, path};

#[test]
fn rules_detect_as_well_as_the_page_says() {
    let kept = std::fs::read_to_string(path()).unwrap_or_default();
    let made = page();
    assert!(
        kept == made,
        "docs/scores.md is not what rules do: run `cargo run -p carpe-tests --bin score`\n{made}"
    );
}
