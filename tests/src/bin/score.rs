//! Scores rules on recorded streams, prints what came of it, and makes `docs/scores.md` anew.

use carpe_tests::score::{page, path};

fn main() -> std::io::Result<()> {
    let page = page();
    print!("{page}");
    std::fs::write(path(), page)
}
