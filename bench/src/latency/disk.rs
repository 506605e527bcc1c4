//! What a write to the disk takes that has to stay.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

/// A file beside the journal that grows, write by write, and the milliseconds of each.
pub(super) struct Disk {
    file: File,
    times: Vec<f64>,
}

impl Disk {
    pub(super) fn new(folder: &Path) -> Result<Disk> {
        Ok(Disk { file: File::create(folder.join("disk"))?, times: Vec::new() })
    }

    /// Appends 4 KiB and syncs, so many times.
    pub(super) fn write(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let begun = Instant::now();
            self.file.write_all(&[7; 4_096])?;
            self.file.sync_data()?;
            self.times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }

    pub(super) fn times(self) -> Vec<f64> {
        self.times
    }
}
