//! The Raft core without a process around it: golden scripts, a simulator, a model checker.

#[path = "raft/linearizable.rs"]
mod linearizable;
#[path = "raft/simulator.rs"]
mod simulator;
