//! The machine does every lab in a world of its own, as `terrarium lab test` lets anybody do.

use std::process::Command;

/// Every step of every lab fails untouched, passes after its `solve`, and answers each listed mistake.
#[test]
fn every_lab_is_proved_by_machine() {
    let out = Command::new(env!("CARGO_BIN_EXE_terrarium")).args(["lab", "test", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let proofs: Vec<serde_json::Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed: Vec<_> = proofs.iter().filter(|proof| !proof["failed"].is_null()).collect();
    assert!(failed.is_empty() && out.status.success(), "{failed:#?}\n{}", String::from_utf8_lossy(&out.stderr));
    let solved = |lab: &str| proofs.iter().filter(|proof| proof["lab"] == lab && proof["case"] == "solve").count();
    assert_eq!((solved("raft-election-replication"), solved("raft-partition-safety")), (10, 5));
}
