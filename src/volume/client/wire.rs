//! What replication needs of the outside: to send fops to the bricks of one replica set and get the answers.
//!
//! The mount's wire is TCP ([`super::net`]); tests put bricks in the same process behind it and decide what arrives when.

use bytes::Bytes;

use crate::volume::replicate::Kids;
use crate::volume::rpc::{Fop, Reply};
use crate::volume::xattr::Time;

/// Fops for one brick.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The brick's place in the set.
    pub kid: usize,
    /// The connection that is meant, by number; if it is another one by now, the call fails with ENOTCONN. 0: any.
    pub epoch: u64,
    /// What to do.
    pub fops: Vec<Fop>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// One a fop, up to and with the first that failed. `[Err(ENOTCONN)]`: the brick was not reached, or was lost; nobody
    /// knows what it did.
    pub results: Vec<Result<Reply, i32>>,
    /// What was read.
    pub data: Bytes,
}

impl Answer {
    /// Of a brick that was not reached.
    pub fn lost() -> Self {
        Self { results: vec![Err(libc::ENOTCONN)], data: Bytes::new() }
    }

    /// Whether all went well.
    pub fn outcome(&self) -> Result<(), i32> {
        self.results.iter().find_map(|r| r.as_ref().err()).map_or(Ok(()), |e| Err(*e))
    }

    /// The reply to the last fop.
    pub fn last(&self) -> Result<&Reply, i32> {
        self.results.last().ok_or(libc::EIO)?.as_ref().map_err(|e| *e)
    }
}

/// The way to the bricks of one set.
pub trait Wire: Send + Sync {
    /// The number of each brick's connection, counted from 1; 0: it is down.
    fn epochs(&self) -> Vec<u64>;

    /// Changes with every connection that comes or goes.
    fn generation(&self) -> u64;

    /// Sends and waits for all answers, which come in the order of the calls. `payload` is for the writes among them.
    fn exchange(&self, calls: Vec<Call>, payload: &Bytes) -> Vec<Answer>;

    /// Sends without waiting. Each brick carries out what it is sent in the order of sending.
    fn post(&self, calls: Vec<Call>);

    /// Whether some copy on these bricks may blame another, so that one copy alone cannot be believed.
    fn is_blaming(&self) -> bool;

    /// The time.
    fn now(&self) -> Time;

    /// How many callers may use it at once to good effect.
    fn lanes(&self) -> usize {
        1
    }

    /// Which bricks are up.
    fn up(&self) -> Kids {
        self.epochs().iter().enumerate().filter(|(_, e)| **e > 0).map(|(i, _)| i).collect()
    }

    /// The same fops for each of these bricks.
    fn ask(&self, kids: Kids, fops: &[Fop]) -> Vec<(usize, Answer)> {
        let calls = kids.iter().map(|kid| Call { kid, epoch: 0, fops: fops.to_vec() }).collect();
        kids.iter().zip(self.exchange(calls, &Bytes::new())).collect()
    }
}
