//! What the launcher says of a command is of the command alone.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

fn launched(command: &[&str]) -> Result<Value> {
    let file = tempfile::NamedTempFile::new()?;
    let status = Command::new(env!("CARGO_BIN_EXE_launch")).arg(file.path()).args(command).status()?;
    ensure!(status.success(), "{status}");
    Ok(serde_json::from_slice(&std::fs::read(file.path())?)?)
}

#[test]
fn memory_of_who_measures_does_not_count() {
    let large = vec![1_u8; 256 << 20];
    let took = launched(&["true"]).unwrap();
    assert!(std::hint::black_box(&large).len() > 1);
    assert_eq!(took["success"], true, "{took}");
    let peak = took["peak_bytes"].as_u64().unwrap();
    assert!(peak > 0 && peak < 16 << 20, "{took}");
}

#[test]
fn a_failure_is_told() {
    let took = launched(&["false"]).unwrap();
    assert_eq!(took["success"], false, "{took}");
    assert!(took["status"].as_str().unwrap().contains('1'), "{took}");
}
