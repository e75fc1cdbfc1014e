//! The core over branches in memory: what a union does must be what a plain directory does, and lower branches never change.
//!
//! [`world`] is a union over such branches and [`plain`] the directory that it is held against, both a [`Tree`]; [`merge`] tells of
//! what is seen and where it is written, [`live`] of policies, open files, links and branches that come and go; [`property`] does
//! whatever comes to mind to both; [`fault`] kills at each step.

mod fault;
mod live;
mod merge;
mod plain;
mod property;
mod world;

use std::collections::BTreeMap;

use super::branch::{Replace, Result};
use super::make::New;

/// What a test does to a tree: to the union and to the plain directory alike.
trait Tree {
    fn make(&self, path: &str, new: New<'_>) -> Result<()>;
    fn write(&self, path: &str, data: &[u8]) -> Result<()>;
    fn unlink(&self, path: &str) -> Result<()>;
    fn rmdir(&self, path: &str) -> Result<()>;
    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<()>;
    fn link(&self, from: &str, to: &str) -> Result<()>;
    fn chmod(&self, path: &str, mode: u32) -> Result<()>;
    fn truncate(&self, path: &str, size: u64) -> Result<()>;
    fn snapshot(&self) -> BTreeMap<String, String>;
}
