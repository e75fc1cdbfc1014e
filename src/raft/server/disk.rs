//! Stable storage: currentTerm, votedFor, the log and a snapshot, in one redb file.
//!
//! Each [`Persist`] is one transaction: after a crash all of it is there, or nothing. A thread of its own writes, so that
//! the node's loop can go on reading its sockets during an fsync.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::raft::effects::{HardState, Persist};
use crate::raft::event::{Index, NodeName};
use crate::raft::message::Entry;
use crate::raft::snapshot::Snapshot;

/// index → entry.
const LOG: TableDefinition<Index, &[u8]> = TableDefinition::new("log");
/// `name`, `life`, `hard_state`, `snapshot`.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// The file in the data directory.
const FILE: &str = "raft.redb";
/// Bytes of redb's cache; its default of 1 GiB is not for five nodes on a laptop.
const CACHE: usize = 4 << 20;

/// Why stable storage failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("{} is in use; does this node run already?", .0.display())]
    InUse(PathBuf),
    /// There is nothing.
    #[error("{} has no log of a node", .0.display())]
    Missing(PathBuf),
    /// It is another node's.
    #[error("{} belongs to node {owner}; give this node a directory of its own", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: NodeName,
    },
    /// It cannot be read or written.
    #[error("the log in {}: {source}", .path.display())]
    Storage {
        /// The directory.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// Something in it is not what this program wrote.
    #[error("{what} in {} cannot be decoded: {source}; was it written by another version?", .path.display())]
    Malformed {
        /// The directory.
        path: PathBuf,
        /// What was read.
        what: &'static str,
        /// Why it cannot be decoded.
        source: rmp_serde::decode::Error,
    },
}

/// What was on the disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// Whose it is.
    pub name: NodeName,
    /// How many times the node has started, this time included.
    pub life: u64,
    /// currentTerm and votedFor.
    pub hard_state: HardState,
    /// The snapshot.
    pub snapshot: Option<Snapshot>,
    /// The log behind it.
    pub entries: Vec<Entry>,
}

type Job = (Persist, oneshot::Sender<Result<(), Error>>);

/// The thread that writes.
pub struct Disk {
    jobs: Sender<Job>,
    thread: std::thread::JoinHandle<()>,
}

impl Disk {
    /// Opens the storage of node `name` in a directory, or makes it; counts one more life.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: &Path, name: &str) -> Result<(Self, Saved), Error> {
        let file = File::open(path, true)?;
        let mut saved = file.read()?;
        if !saved.name.is_empty() && saved.name != name {
            return Err(Error::NotOurs { path: path.into(), owner: saved.name });
        }
        saved.name = name.into();
        saved.life += 1;
        file.write_identity(&saved)?;
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new().name("disk".into()).spawn(move || write_all(&file, &waiting));
        let storage = |e| Error::Storage { path: path.into(), source: Box::new(redb::Error::Io(e)) };
        Ok((Self { jobs, thread: thread.map_err(storage)? }, saved))
    }

    /// Reads what a node that does not run has on its disk.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Saved, Error> {
        File::open(path, false)?.read()
    }

    /// Ends in order, so that the next start has nothing to repair.
    pub fn close(self) {
        drop(self.jobs);
        let _ = self.thread.join();
    }

    /// Writes, and comes back when it is durable.
    ///
    /// # Errors
    /// See [`Error`]. Then nothing that depends on it may be done.
    pub async fn save(&self, persist: Persist) -> Result<(), Error> {
        let (done, wait) = oneshot::channel();
        self.jobs.send((persist, done)).expect("the disk's thread lives as long as the disk");
        wait.await.expect("the disk's thread answers")
    }
}

fn write_all(file: &File, waiting: &Receiver<Job>) {
    while let Ok((persist, done)) = waiting.recv() {
        let _ = done.send(file.write(&persist));
    }
}

struct File {
    path: PathBuf,
    db: Database,
}

impl File {
    fn open(path: &Path, create: bool) -> Result<Self, Error> {
        let file = path.join(FILE);
        let storage = |e: redb::Error| Error::Storage { path: path.into(), source: Box::new(e) };
        if create {
            std::fs::create_dir_all(path).map_err(|e| storage(redb::Error::Io(e)))?;
        } else if !file.exists() {
            return Err(Error::Missing(path.into()));
        }
        let db = Builder::new().set_cache_size(CACHE).create(&file).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => Error::InUse(file.clone()),
            other => storage(other.into()),
        })?;
        let this = Self { path: path.into(), db };
        this.transact(|_, _| Ok(()))?;
        Ok(this)
    }

    fn read(&self) -> Result<Saved, Error> {
        let (meta, log) = self.tables().map_err(|e| self.storage(e))?;
        let mut saved = Saved::default();
        for (key, value) in meta {
            match &key[..] {
                "name" => saved.name = self.decode("the name", &value)?,
                "life" => saved.life = self.decode("the count of lives", &value)?,
                "hard_state" => saved.hard_state = self.decode("currentTerm and votedFor", &value)?,
                "snapshot" => saved.snapshot = Some(self.decode("the snapshot", &value)?),
                _ => {}
            }
        }
        saved.entries = log.iter().map(|entry| self.decode("an entry", entry)).collect::<Result<_, _>>()?;
        Ok(saved)
    }

    #[allow(clippy::type_complexity, reason = "both tables as they are")]
    fn tables(&self) -> Result<(Vec<(String, Vec<u8>)>, Vec<Vec<u8>>), redb::Error> {
        let transaction = self.db.begin_read()?;
        let meta = transaction.open_table(META)?;
        let log = transaction.open_table(LOG)?;
        let meta = meta.iter()?.map(|row| row.map(|(k, v)| (k.value().to_owned(), v.value().to_vec())));
        let log = log.iter()?.map(|row| row.map(|(_, v)| v.value().to_vec()));
        Ok((meta.collect::<Result<_, _>>()?, log.collect::<Result<_, _>>()?))
    }

    fn write_identity(&self, saved: &Saved) -> Result<(), Error> {
        self.transact(|_, meta| {
            meta.insert("name", &encode(&saved.name)[..])?;
            meta.insert("life", &encode(&saved.life)[..])?;
            Ok(())
        })
    }

    fn write(&self, persist: &Persist) -> Result<(), Error> {
        self.transact(|log, meta| {
            if let Some(hard_state) = &persist.hard_state {
                meta.insert("hard_state", &encode(hard_state)[..])?;
            }
            if let Some(snapshot) = &persist.snapshot {
                meta.insert("snapshot", &encode(snapshot)[..])?;
                log.retain_in(..=snapshot.index, |_, _| false)?;
            }
            if let Some((from, entries)) = &persist.log {
                if log.last()?.is_some_and(|(last, _)| last.value() >= *from) {
                    log.retain_in(*from.., |_, _| false)?;
                }
                for entry in entries {
                    log.insert(entry.index, &encode(entry)[..])?;
                }
            }
            Ok(())
        })
    }

    /// Changes both tables in one durable transaction.
    fn transact(
        &self,
        change: impl FnOnce(&mut redb::Table<Index, &[u8]>, &mut redb::Table<&str, &[u8]>) -> Result<(), redb::Error>,
    ) -> Result<(), Error> {
        let run = || -> Result<(), redb::Error> {
            let transaction = self.db.begin_write()?;
            change(&mut transaction.open_table(LOG)?, &mut transaction.open_table(META)?)?;
            Ok(transaction.commit()?)
        };
        run().map_err(|e| self.storage(e))
    }

    fn storage(&self, source: redb::Error) -> Error {
        Error::Storage { path: self.path.clone(), source: Box::new(source) }
    }

    fn decode<T: DeserializeOwned>(&self, what: &'static str, bytes: &[u8]) -> Result<T, Error> {
        rmp_serde::from_slice(bytes).map_err(|source| Error::Malformed { path: self.path.clone(), what, source })
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("our own types always encode")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::message::Payload;

    fn entry(index: Index, term: u64) -> Entry {
        Entry { index, term, payload: Payload::Noop }
    }

    fn terms(file: &File) -> Vec<u64> {
        file.read().expect("readable").entries.iter().map(|entry| entry.term).collect()
    }

    /// The log on disk holds exactly what a persist says: conflicting entries go, those behind a snapshot stay.
    #[test]
    fn a_persist_replaces_what_it_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = File::open(directory.path(), true).expect("a new file");
        let write = |log, snapshot| file.write(&Persist { hard_state: None, snapshot, log }).expect("written");
        write(Some((1, vec![entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 2)])), None);
        assert_eq!(terms(&file), [1, 1, 1, 2]);
        write(Some((3, vec![entry(3, 3)])), None);
        assert_eq!(terms(&file), [1, 1, 3]);
        write(None, Some(Snapshot { index: 2, term: 1, data: "s".into() }));
        assert_eq!(terms(&file), [3]);
        write(Some((6, Vec::new())), Some(Snapshot { index: 5, term: 4, data: "t".into() }));
        let saved = file.read().expect("readable");
        assert_eq!((saved.entries, saved.snapshot.map(|s| s.index)), (vec![], Some(5)));
    }

    /// A directory is one node's, and one process's at a time.
    #[test]
    fn a_directory_belongs_to_one_node() {
        let directory = tempfile::tempdir().expect("a directory");
        let (disk, saved) = Disk::open(directory.path(), "n1").expect("a new one");
        assert_eq!(saved.life, 1);
        assert!(matches!(Disk::open(directory.path(), "n1"), Err(Error::InUse(_))));
        assert!(matches!(Disk::read(&directory.path().join("other")), Err(Error::Missing(_))));
        disk.close();
        assert!(matches!(Disk::open(directory.path(), "n2"), Err(Error::NotOurs { owner, .. }) if owner == "n1"));
        let (disk, saved) = Disk::open(directory.path(), "n1").expect("it is free");
        assert_eq!((saved.life, &saved.name[..]), (2, "n1"));
        disk.close();
    }
}
