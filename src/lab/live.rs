//! The stage over a running keeper.
