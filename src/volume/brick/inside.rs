//! What a brick tells of itself: memory, inodes, locks, how fast its disk is; and its log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Brick;
use crate::volume::dump::Section;
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Hold;

/// The most bytes that are moved to measure the disk.
const MOST: u64 = 1 << 30;

impl Brick {
    /// How many inodes clients look at.
    pub fn inodes(&self) -> Value {
        json!({ "active": self.state().interest.inodes(), "lru": 0 })
    }

    /// The files that are open, by path.
    pub fn open_files(&self) -> Value {
        let all = self.state().opens.all();
        let told = all.into_iter().map(|(gfid, fds)| json!({ "path": self.name_of(gfid), "fds": fds }));
        told.collect()
    }

    /// How many descriptors are open, and how many there were at most.
    pub fn opens(&self) -> Value {
        let state = self.state();
        let (most, at) = state.opens.most().unwrap_or((0, UNIX_EPOCH));
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({ "now": state.opens.total(), "most": most, "seconds": since.as_secs(), "micros": since.subsec_micros() })
    }

    fn name_of(&self, gfid: Gfid) -> String {
        let path = self.store.path_of(gfid);
        path.map_or_else(|_| format!("<gfid:{gfid}>"), |path| String::from_utf8_lossy(&path).into_owned())
    }

    /// The requests that wait for a lock.
    pub fn calls(&self) -> Value {
        let waiting = self.state().locks.waiting();
        Value::Array(vec![json!({ "fop": "INODELK" }); waiting])
    }

    /// The fastest reads or writes, by path.
    pub fn fastest(&self, write: bool, count: usize) -> Value {
        let known = self.counters.fastest(if write { "WRITE" } else { "READ" }, count).into_iter();
        let told = known.filter_map(|(gfid, rate, at)| {
            let path = self.store.path_of(gfid).ok()?;
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            Some(json!([rate, String::from_utf8_lossy(&path), since.as_secs(), since.subsec_micros()]))
        });
        told.collect()
    }

    /// How fast the disk takes or gives so many blocks.
    ///
    /// # Errors
    /// Why it could not be measured, in words.
    pub fn speed(&self, write: bool, block: u64, count: u64) -> Result<Value, String> {
        let bytes = block.checked_mul(count).filter(|bytes| *bytes <= MOST).ok_or("more than 1 GiB is not measured")?;
        let path = self.store.path().join(format!(".glusterfs/speed-{}", std::process::id()));
        let outcome = measure(&path, write, block, count).map_err(|e| e.to_string());
        let _ = fs::remove_file(&path);
        let seconds = outcome?;
        Ok(json!({ "megabytes": bytes as f64 / 1e6 / seconds.max(1e-6), "seconds": seconds }))
    }

    /// Takes the locks of processes on a file from whoever holds them; gives how many there were.
    ///
    /// # Errors
    /// If there is no such file, in words.
    pub fn unlock_all(&self, path: &str) -> Result<Value, String> {
        let mut gfid = Gfid::ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let found = self.store.lookup(gfid, name.as_bytes(), Gfid::random());
            gfid = found.map_err(|e| nix::errno::Errno::from_raw(e).desc().to_owned())?.gfid;
        }
        let mut state = self.state();
        let (count, again) = state.ranges.clear(gfid);
        state.tell(&again, &super::ToClient::Freed { gfid });
        Ok(count.into())
    }

    /// What a dump of the process's state tells.
    pub fn sections(&self, volume: &str) -> Vec<Section> {
        let state = self.state();
        let mut all = vec![
            Section::new(format!("xlator.features.locks.{volume}-locks")).with("held", state.locks.held()),
            Section::new(format!("{volume}-server.itable")).with("active_size", state.interest.inodes()),
        ];
        all.extend(state.opens.all().into_iter().map(|(gfid, fds)| {
            let told = Section::new(format!("{volume}-server.inode")).with("gfid", gfid);
            told.with("fd-count", fds).with("active-fd-count", fds)
        }));
        let mut held = state.ranges.all();
        held.sort_by_key(|(gfid, held)| (*gfid, held.first));
        drop(state);
        for locks in held.chunk_by(|a, b| a.0 == b.0) {
            let told = Section::new(format!("xlator.features.locks.{volume}-locks.inode"));
            let told = told.with("path", self.name_of(locks[0].0)).with("posixlk-count", locks.len());
            all.push(locks.iter().enumerate().fold(told, |told, (n, (_, lock))| {
                let kind = if lock.hold == Hold::Write { "WRITE" } else { "READ" };
                let length = if lock.last == u64::MAX { 0 } else { lock.last - lock.first + 1 };
                let text = format!("type={kind}, whence=0, start={}, len={length}", lock.first);
                told.with(format!("posixlk.posixlk[{n}](ACTIVE)"), text)
            }));
        }
        all
    }
}

fn measure(path: &Path, write: bool, block: u64, count: u64) -> io::Result<f64> {
    let mut buffer = vec![0; usize::try_from(block).map_err(io::Error::other)?];
    let mut file = File::create(path)?;
    let clock = Instant::now();
    (0..count).try_for_each(|_| file.write_all(&buffer))?;
    let written = clock.elapsed();
    if write {
        return Ok(written.as_secs_f64());
    }
    let mut file = File::open(path)?;
    let clock = Instant::now();
    (0..count).try_for_each(|_| file.read_exact(&mut buffer))?;
    Ok(clock.elapsed().as_secs_f64())
}

/// The ten figures of mallinfo(3).
pub fn memory() -> Value {
    // SAFETY: only reads the allocator's own figures.
    let m = unsafe { libc::mallinfo2() };
    json!([m.arena, m.ordblks, m.smblks, m.hblks, m.hblkhd, m.usmblks, m.fsmblks, m.uordblks, m.fordblks, m.keepcost])
}

/// Begins a new log: what was written so far stays as `LOG.SECONDS`.
///
/// # Errors
/// As of the disk.
pub fn rotate(log: &Path) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut old = log.as_os_str().to_owned();
    old.push(format!(".{now}"));
    fs::rename(log, old)?;
    let new = OpenOptions::new().create(true).append(true).open(log)?;
    for output in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: both are descriptors of this process.
        if unsafe { libc::dup2(new.as_raw_fd(), output) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
