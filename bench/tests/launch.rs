//! What the launcher says of a command is of the command alone.

use std::process::Command;

use serde_json::Value;

fn launched(command: &[&str]) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_launch")).arg(file.path()).args(command).status().unwrap();
    assert!(status.success(), "{status}");
    serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap()
}

#[test]
fn memory_of_who_measures_does_not_count() {
    let large = vec![1_u8; 256 << 20];
    let took = launched(&["true"]);
    assert!(std::hint::black_box(&large).len() > 1);
    assert_eq!(took["success"], true, "{took}");
    let peak = took["peak_bytes"].as_u64().unwrap();
    assert!(peak > 0 && peak < 16 << 20, "{took}");
}

#[test]
fn a_failure_is_told() {
    let took = launched(&["false"]);
    assert_eq!(took["success"], false, "{took}");
    assert!(took["status"].as_str().unwrap().contains('1'), "{took}");
}
