//! The rows: what is measured, in groups that share a fresh mount.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::peer::Peer;
use super::tree::Scale;

/// Where a group is measured.
pub struct On<'a> {
    /// Where the tree is seen.
    pub at: &'a Path,
    /// Where the archive lies.
    pub base: &'a Path,
    /// How much of everything.
    pub scale: &'a Scale,
    /// Seconds that mounting took.
    pub start: f64,
}

/// Rows that are measured one after the other on one fresh mount.
pub struct Group {
    /// Its word.
    pub key: &'static str,
    /// Its rows.
    pub rows: &'static [&'static str],
    /// What is to be warm below.
    pub warm: &'static [&'static str],
    /// Peers that cannot do it.
    pub without: &'static [Peer],
    /// Measures: seconds for each row.
    pub run: fn(&On<'_>) -> Result<Vec<f64>>,
}

const NATIVE: Peer = Peer::Native;
const NO_COPY_UP: &[Peer] = &[Peer::Native, Peer::Mergerfs];

/// All groups.
pub const GROUPS: &[Group] = &[
    Group { key: "start", rows: &["start of the mount"], warm: &[], without: &[NATIVE], run: |on| Ok(vec![on.start]) },
    Group { key: "stat", rows: &["stat walk, first", "  again"], warm: &["tree"], without: &[], run: stat },
    Group {
        key: "readdir",
        rows: &["readdir of a large directory, first", "  again", "  with stat of each, then"],
        warm: &["flat"],
        without: &[],
        run: readdir,
    },
    Group {
        key: "readdirstat",
        rows: &["readdir + stat of each, first", "  again"],
        warm: &["flat"],
        without: &[],
        run: readdir_stat,
    },
    Group { key: "grep", rows: &["grep -r, first", "  again"], warm: &["tree"], without: &[], run: grep },
    Group {
        key: "read",
        rows: &["read a big file, first open", "  new open", "random 4 KiB reads, 1,000"],
        warm: &["big"],
        without: &[],
        run: read,
    },
    Group {
        key: "write",
        rows: &["write a big file", "  with fsync", "  read it back"],
        warm: &[],
        without: &[],
        run: write,
    },
    Group {
        key: "small",
        rows: &["create + write files of 1 KiB", "  stat them", "  read them", "  unlink them"],
        warm: &[],
        without: &[],
        run: small,
    },
    Group { key: "untar", rows: &["untar small files"], warm: &[], without: &[], run: untar },
    Group {
        key: "copyup",
        rows: &["copy-up of files of 64 KiB", "  of a big file"],
        warm: &["up", "bigup"],
        without: NO_COPY_UP,
        run: copy_up,
    },
    Group { key: "unlink", rows: &["unlink lower files"], warm: &["gone"], without: &[Peer::Mergerfs], run: unlink },
];

fn timed(f: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}

fn stat(on: &On<'_>) -> Result<Vec<f64>> {
    let tree = on.at.join("tree");
    Ok(vec![timed(|| stat_walk(&tree))?, timed(|| stat_walk(&tree))?])
}

fn readdir(on: &On<'_>) -> Result<Vec<f64>> {
    let flat = on.at.join("flat");
    Ok(vec![timed(|| names(&flat))?, timed(|| names(&flat))?, timed(|| stat_walk(&flat))?])
}

fn readdir_stat(on: &On<'_>) -> Result<Vec<f64>> {
    let flat = on.at.join("flat");
    Ok(vec![timed(|| stat_walk(&flat))?, timed(|| stat_walk(&flat))?])
}

fn grep(on: &On<'_>) -> Result<Vec<f64>> {
    let tree = on.at.join("tree");
    let grep =
        || Command::new("grep").args(["-r", "no such words"]).arg(&tree).stdout(Stdio::null()).status().map(drop);
    Ok(vec![timed(grep)?, timed(grep)?])
}

fn read(on: &On<'_>) -> Result<Vec<f64>> {
    let big = on.at.join("big");
    Ok(vec![timed(|| read_through(&big))?, timed(|| read_through(&big))?, random_reads(&big)?])
}

fn write(on: &On<'_>) -> Result<Vec<f64>> {
    let write = |name: &str, sync| timed(|| write_through(&on.at.join(name), on.scale.big, sync));
    let back = |name: &str| timed(|| read_through(&on.at.join(name)));
    Ok(vec![write("w1", false)?, write("w2", true)?, back("w2")?])
}

fn small(on: &On<'_>) -> Result<Vec<f64>> {
    let dir = on.at.join("small");
    fs::create_dir(&dir)?;
    let kib = vec![b'x'; 1024];
    let all = || (0..on.scale.small).map(|i| dir.join(format!("f{i}")));
    Ok(vec![
        timed(|| all().try_for_each(|p| fs::write(p, &kib)))?,
        timed(|| all().try_for_each(|p| fs::metadata(p).map(drop)))?,
        timed(|| all().try_for_each(|p| fs::read(p).map(drop)))?,
        timed(|| all().try_for_each(fs::remove_file))?,
    ])
}

fn untar(on: &On<'_>) -> Result<Vec<f64>> {
    let into = on.at.join("unpacked");
    fs::create_dir(&into)?;
    let tar = on.base.join("small.tar");
    Ok(vec![timed(|| Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&into).status().map(drop))?])
}

fn copy_up(on: &On<'_>) -> Result<Vec<f64>> {
    let small = || (0..on.scale.copies).try_for_each(|i| touch(&on.at.join(format!("up/f{i}"))));
    Ok(vec![timed(small)?, timed(|| touch(&on.at.join("bigup")))?])
}

fn unlink(on: &On<'_>) -> Result<Vec<f64>> {
    let all = || (0..on.scale.unlinks).try_for_each(|i| fs::remove_file(on.at.join(format!("gone/f{i}"))));
    Ok(vec![timed(all)?])
}

fn stat_walk(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            stat_walk(&entry.path())?;
        }
    }
    Ok(())
}

fn names(dir: &Path) -> Result<()> {
    fs::read_dir(dir)?.try_for_each(|e| e.map(drop))
}

/// Reads a file, or every file below a directory.
pub fn read_all(path: &Path) -> Result<()> {
    if !path.is_dir() {
        return read_through(path);
    }
    fs::read_dir(path)?.try_for_each(|entry| read_all(&entry?.path()))
}

fn read_through(path: &Path) -> Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Seconds for a thousand, from the time of more.
fn random_reads(path: &Path) -> Result<f64> {
    const COUNT: u64 = 20_000;
    let file = File::open(path)?;
    let pages = file.metadata()?.len() / 4096;
    let mut buffer = [0; 4096];
    let mut at = 12345u64;
    let seconds = timed(|| {
        (0..COUNT).try_for_each(|_| {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            file.read_exact_at(&mut buffer, (at >> 33) % pages * 4096)
        })
    })?;
    Ok(seconds * 1000.0 / COUNT as f64)
}

fn write_through(path: &Path, size: usize, sync: bool) -> Result<()> {
    let block = vec![7u8; 1 << 20];
    let mut file = File::create(path)?;
    (0..size >> 20).try_for_each(|_| file.write_all(&block))?;
    if sync { file.sync_all() } else { Ok(()) }
}

fn touch(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(b"!")
}
