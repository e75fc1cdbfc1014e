//! The Raft core without a process around it: golden scripts, a simulator, a model checker.

#[path = "raft/disk.rs"]
mod disk;
#[path = "raft/golden.rs"]
mod golden;
#[path = "raft/linearizable.rs"]
mod linearizable;
#[path = "raft/model.rs"]
mod model;
#[path = "raft/simulator.rs"]
mod simulator;
