//! Copying content from one file to another: by reference where the file system can, else by range, holes staying holes.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::union::branch::{Errno, Result};

/// `FICLONE` of `linux/fs.h`: share all blocks.
const FICLONE: libc::c_ulong = 0x4004_9409;

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Copies the first `size` bytes of `from` into the empty file `to`.
///
/// # Errors
/// Of reading or writing: `ENOSPC`, `EIO`.
pub fn content(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<()> {
    let end = libc::off_t::try_from(size).map_err(|_| Errno::EFBIG)?;
    if size == 0 {
        return Ok(());
    }
    // SAFETY: two open files.
    let cloned = unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) } == 0;
    if !cloned {
        data(from, to, end)?;
    }
    // SAFETY: plain numbers. Sets the size where the file ends in a hole, cuts it where a clone was longer.
    if unsafe { libc::ftruncate(to.as_raw_fd(), end) } < 0 { Err(last()) } else { Ok(()) }
}

/// Copies the stretches that hold data.
fn data(from: &OwnedFd, to: &OwnedFd, end: libc::off_t) -> Result<()> {
    let mut at = 0;
    while at < end {
        // SAFETY: plain numbers, here and below.
        let start = unsafe { libc::lseek(from.as_raw_fd(), at, libc::SEEK_DATA) };
        let (start, stop) = match start {
            -1 if last().0 == libc::ENXIO => return Ok(()),
            -1 => (at, end),
            start => (start, unsafe { libc::lseek(from.as_raw_fd(), start, libc::SEEK_HOLE) }),
        };
        let stop = if stop < 0 { end } else { stop.min(end) };
        stretch(from, to, start, stop)?;
        at = stop;
    }
    Ok(())
}

/// Copies one stretch: in the kernel where it can, else through a buffer, leaving out blocks of zeroes.
fn stretch(from: &OwnedFd, to: &OwnedFd, mut at: libc::off_t, stop: libc::off_t) -> Result<()> {
    while at < stop {
        let (mut source, mut target) = (at, at);
        let length = usize::try_from(stop - at).map_err(|_| Errno::EFBIG)?;
        // SAFETY: the offsets outlive the call.
        let copied = unsafe {
            libc::copy_file_range(from.as_raw_fd(), &raw mut source, to.as_raw_fd(), &raw mut target, length, 0)
        };
        match copied {
            0 => return Ok(()),
            -1 => match last().0 {
                libc::EXDEV | libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EBADF => {
                    return by_hand(from, to, at, stop);
                }
                libc::EINTR => {}
                errno => return Err(Errno(errno)),
            },
            copied => at += copied as libc::off_t,
        }
    }
    Ok(())
}

fn by_hand(from: &OwnedFd, to: &OwnedFd, mut at: libc::off_t, stop: libc::off_t) -> Result<()> {
    let mut buffer = vec![0u8; 1 << 20];
    while at < stop {
        let want = buffer.len().min(usize::try_from(stop - at).unwrap_or(usize::MAX));
        // SAFETY: the buffer is as large as said.
        let got = unsafe { libc::pread(from.as_raw_fd(), buffer.as_mut_ptr().cast(), want, at) };
        let got = usize::try_from(got).map_err(|_| last())?;
        if got == 0 {
            return Ok(());
        }
        for block in buffer[..got].chunks(4096) {
            if block.iter().any(|b| *b != 0) {
                write_all(to, block, at)?;
            }
            at += block.len() as libc::off_t;
        }
    }
    Ok(())
}

fn write_all(to: &OwnedFd, mut data: &[u8], mut at: libc::off_t) -> Result<()> {
    while !data.is_empty() {
        // SAFETY: the data is as long as said.
        let put = unsafe { libc::pwrite(to.as_raw_fd(), data.as_ptr().cast(), data.len(), at) };
        let put = usize::try_from(put).map_err(|_| last())?;
        data = &data[put..];
        at += put as libc::off_t;
    }
    Ok(())
}
