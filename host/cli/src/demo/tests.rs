use super::*;

#[test]
fn another_build_has_one_more_section() {
    let rebuilt = rebuilt(b"x");
    let section = &rebuilt[1..];
    assert_eq!(section[0], 0, "the id of a custom section");
    assert_eq!(usize::from(section[1]), section.len() - 2, "its size");
    assert_eq!(&section[3..8], b"build");
}
