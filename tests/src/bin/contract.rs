//! Makes the contract's reference anew, from the comments in `wit/`.

use carpe_tests::contract::{page, path};

fn main() -> std::io::Result<()> {
    std::fs::write(path(), page())
}
