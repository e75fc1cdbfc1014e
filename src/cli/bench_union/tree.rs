//! The trees: the lower branch that all peers share, a plain copy of it, and an archive to unpack.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::Path;
use std::process::Command;

use super::peer::Peer;
use super::row::read_all;

/// How much of everything.
pub struct Scale {
    /// Directories of the tree, and files in each.
    pub dirs: usize,
    /// Files in each directory of the tree.
    pub files: usize,
    /// Names in the flat directory.
    pub flat: usize,
    /// Bytes of a big file.
    pub big: usize,
    /// Small files made.
    pub small: usize,
    /// Files in the archive, of 15 KiB on average.
    pub archived: usize,
    /// Files of 64 KiB copied up.
    pub copies: usize,
    /// Lower files removed.
    pub unlinks: usize,
}

/// The size of `speed.md`.
pub const FULL: Scale = Scale {
    dirs: 200,
    files: 100,
    flat: 10_000,
    big: 256 << 20,
    small: 5000,
    archived: 10_000,
    copies: 500,
    unlinks: 1000,
};

/// A tenth.
pub const QUICK: Scale =
    Scale { dirs: 40, files: 50, flat: 1000, big: 32 << 20, small: 500, archived: 1000, copies: 50, unlinks: 100 };

/// Makes `lower`, its copy `native` and the archive `small.tar` in `base`.
pub fn make(base: &Path, scale: &Scale) -> Result<()> {
    let lower = base.join("lower");
    for d in 0..scale.dirs {
        let dir = lower.join(format!("tree/d{d}"));
        fs::create_dir_all(&dir)?;
        for f in 0..scale.files {
            fs::write(dir.join(format!("file{f}.txt")), format!("{d} {f} the quick brown fox\n").repeat(20))?;
        }
    }
    fs::create_dir_all(lower.join("flat"))?;
    (0..scale.flat).try_for_each(|i| fs::write(lower.join(format!("flat/name{i}")), b"x"))?;
    fs::create_dir_all(lower.join("up"))?;
    (0..scale.copies).try_for_each(|i| fill(&lower.join(format!("up/f{i}")), 64 << 10, i))?;
    fill(&lower.join("big"), scale.big, 7)?;
    fill(&lower.join("bigup"), scale.big, 9)?;
    make_gone(&lower, scale)?;
    run(Command::new("cp").arg("-a").arg(&lower).arg(base.join("native")))?;
    archive(base, scale)
}

/// The files that are to be removed.
fn make_gone(tree: &Path, scale: &Scale) -> Result<()> {
    fs::create_dir_all(tree.join("gone"))?;
    (0..scale.unlinks).try_for_each(|i| fs::write(tree.join(format!("gone/f{i}")), b"x"))
}

fn archive(base: &Path, scale: &Scale) -> Result<()> {
    let dir = base.join("small");
    for i in 0..scale.archived {
        let inside = dir.join(format!("d{}", i / 50));
        fs::create_dir_all(&inside)?;
        fill(&inside.join(format!("f{i}")), (1 + i % 29) << 10, i)?;
    }
    run(Command::new("tar").arg("-cf").arg(base.join("small.tar")).arg("-C").arg(base).arg("small"))?;
    fs::remove_dir_all(dir)
}

fn run(command: &mut Command) -> Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("{command:?} failed"))),
    }
}

fn fill(path: &Path, size: usize, seed: usize) -> Result<()> {
    let block: Vec<u8> = (0..1 << 16).map(|i: usize| (i.wrapping_mul(seed * 2 + 1) >> 3) as u8 | 1).collect();
    let mut file = File::create(path)?;
    let mut left = size;
    while left > 0 {
        let now = left.min(block.len());
        file.write_all(&block[..now])?;
        left -= now;
    }
    Ok(())
}

/// Reads what a group will ask for where it lies, so that it is warm below; lets the disk come to rest.
pub fn warm(base: &Path, peer: Peer, paths: &[&str]) -> Result<()> {
    let below = base.join(if peer == Peer::Native { "native" } else { "lower" });
    paths.iter().try_for_each(|path| read_all(&below.join(path)))?;
    nix::unistd::syncfs(File::open(base)?).map_err(Into::into)
}

/// Takes away what a measurement left.
pub fn clear(place: &Path, base: &Path, peer: Peer, scale: &Scale) -> Result<()> {
    fs::remove_dir_all(place)?;
    if peer != Peer::Native {
        return Ok(());
    }
    let native = base.join("native");
    for made in ["small", "unpacked"] {
        let made = native.join(made);
        if made.exists() {
            fs::remove_dir_all(made)?;
        }
    }
    for made in ["w1", "w2"] {
        let _ = fs::remove_file(native.join(made));
    }
    make_gone(&native, scale)
}
