//! Many plugins of one component: copies that differ, and plugins that share one of them.

use std::fs;
use std::ops::Range;

use anyhow::Result;

use crate::daemon::Home;

/// The component with a custom section that holds a number: another component, which does the same.
pub(crate) fn numbered(component: &[u8], number: usize) -> Vec<u8> {
    // Id 0; then how many bytes follow: the name with its length, and the number in eight digits.
    let mut copy = component.to_vec();
    copy.extend_from_slice(&[0, 10, 1, b'n']);
    copy.extend_from_slice(format!("{number:08}").as_bytes());
    copy
}

/// Puts plugins there, by number. There are `different` components: those beyond are the same files again.
pub(crate) fn fill(home: &Home, component: &[u8], numbers: Range<usize>, different: usize) -> Result<()> {
    for number in numbers {
        let (file, name) = (format!("plugins/p{number:05}.wasm"), format!("p{number:05}"));
        let manifest = format!("name = \"{name}\"\n");
        if number < different {
            home.plugin(&name, &numbered(component, number), &manifest)?;
        } else {
            fs::write(home.file(&format!("plugins/{name}.toml")), manifest)?;
            let first = home.file(&format!("plugins/p{:05}.wasm", number % different));
            fs::hard_link(first, home.file(&file))?;
        }
    }
    Ok(())
}

/// Removes a home: there is much in it.
pub(crate) fn remove(home: &Home) -> Result<()> {
    Ok(fs::remove_dir_all(home.file(""))?)
}
