//! manager
pub mod info;
pub mod op;
pub mod peer;
pub mod place;
pub mod protocol;
pub mod state;
pub mod store;
pub mod task;
pub mod volfile;
pub mod wire;
