//! Contents of files.

use std::os::fd::AsRawFd;

use super::Store;
use crate::volume::brick::sys::{self, Result};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Iatt;
use crate::volume::xattr::Time;

/// Writes from this size on are on their way to the disk at once: whoever streams will want them there, and the fsync at
/// the end finds little to do.
const LARGE: usize = 512 << 10;

impl Store {
    /// Bytes of a file; fewer at its end. An arbiter has none to give.
    pub(in crate::volume::brick) fn read(&self, gfid: Gfid, offset: u64, size: u32) -> Result<Vec<u8>> {
        if self.arbiter {
            return Err(libc::ENOTCONN);
        }
        sys::read_at(self.file(gfid)?.as_raw_fd(), offset, size as usize)
    }

    /// Writes bytes.
    pub(in crate::volume::brick) fn write(
        &self,
        gfid: Gfid,
        offset: u64,
        data: &[u8],
        time: Option<Time>,
    ) -> Result<Iatt> {
        let file = self.file(gfid)?;
        if !self.arbiter {
            sys::write_at(file.as_raw_fd(), offset, data)?;
            if data.len() >= LARGE {
                sys::begin_sync(file.as_raw_fd(), offset, data.len());
            }
        }
        self.data_changed(gfid, time)
    }

    /// Sets the length.
    pub(in crate::volume::brick) fn truncate(&self, gfid: Gfid, size: u64, time: Option<Time>) -> Result<Iatt> {
        let file = self.file(gfid)?;
        if !self.arbiter {
            sys::truncate(file.as_raw_fd(), size)?;
        }
        self.data_changed(gfid, time)
    }

    /// fallocate(2).
    pub(in crate::volume::brick) fn fallocate(
        &self,
        gfid: Gfid,
        mode: i32,
        range: (u64, u64),
        time: Time,
    ) -> Result<Iatt> {
        let file = self.file(gfid)?;
        if !self.arbiter {
            sys::allocate(file.as_raw_fd(), mode, range.0, range.1)?;
        }
        self.data_changed(gfid, Some(time))
    }

    fn data_changed(&self, gfid: Gfid, time: Option<Time>) -> Result<Iatt> {
        let place = self.opened(gfid)?;
        if let Some(time) = time {
            self.changed_at(gfid, &place, time)?;
        }
        self.iatt(gfid, &place)
    }

    /// The next data or hole.
    pub(in crate::volume::brick) fn seek(&self, gfid: Gfid, offset: u64, whence: i32) -> Result<u64> {
        if !matches!(whence, libc::SEEK_DATA | libc::SEEK_HOLE) {
            return Err(libc::EINVAL);
        }
        sys::seek(self.file(gfid)?.as_raw_fd(), offset, whence)
    }

    /// What was written is on the disk.
    pub(in crate::volume::brick) fn fsync(&self, gfid: Gfid, data: bool) -> Result<()> {
        self.settle(gfid)?;
        match self.file(gfid) {
            Ok(file) => sys::sync(file.as_raw_fd(), data),
            Err(libc::EISDIR) => sys::sync(self.dir(gfid)?.as_raw_fd(), data),
            Err(e) => Err(e),
        }
    }

    /// Checksums of a file's blocks, with how many bytes each has.
    pub(in crate::volume::brick) fn checksums(
        &self,
        gfid: Gfid,
        offset: u64,
        block: u32,
        count: u32,
    ) -> Result<Vec<(u64, u32)>> {
        if self.arbiter {
            return Err(libc::ENOTCONN);
        }
        let file = self.file(gfid)?;
        let block = block.clamp(512, 1 << 20);
        let mut sums = Vec::new();
        for n in 0..u64::from(count.min(4096)) {
            let data = sys::read_at(file.as_raw_fd(), offset + n * u64::from(block), block as usize)?;
            if data.is_empty() {
                break;
            }
            sums.push((xxhash_rust::xxh64::xxh64(&data, 0), u32::try_from(data.len()).unwrap_or(block)));
        }
        Ok(sums)
    }
}
