//! What is measured.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::peers::{Peer, unmount};

/// How long a heal may take.
const HEALS: Duration = Duration::from_secs(600);

/// How much of everything.
struct Scale {
    files: usize,
    synced: usize,
    big: usize,
    heal_files: usize,
    heal_big: usize,
}

const FULL: Scale = Scale { files: 1000, synced: 200, big: 128 << 20, heal_files: 2000, heal_big: 256 << 20 };
const QUICK: Scale = Scale { files: 100, synced: 20, big: 16 << 20, heal_files: 200, heal_big: 32 << 20 };

/// Takes a row's name and its figure.
pub type Note<'a> = &'a mut dyn FnMut(&str, f64);

/// A peer with one mount that can be made anew.
struct Bench<'a> {
    peer: &'a mut dyn Peer,
    at: PathBuf,
}

impl Bench<'_> {
    /// Mounts it anew: the client knows nothing.
    fn cold(&mut self) -> Result<(), String> {
        unmount(&self.at);
        self.peer.mount(&self.at)
    }

    fn dir(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.at.join(name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(dir)
    }
}

fn timed(act: impl FnOnce() -> io::Result<()>) -> Result<f64, String> {
    let start = Instant::now();
    act().map_err(|e| e.to_string())?;
    Ok(start.elapsed().as_secs_f64())
}

fn names(dir: &Path, count: usize) -> impl Iterator<Item = PathBuf> {
    (0..count).map(move |i| dir.join(format!("file{i}")))
}

fn create(dir: &Path, count: usize, sync: bool) -> io::Result<()> {
    let page = [b'x'; 4096];
    names(dir, count).try_for_each(|path| {
        let mut file = File::create(path)?;
        file.write_all(&page)?;
        if sync { file.sync_all() } else { Ok(()) }
    })
}

fn stat(dir: &Path, count: usize) -> io::Result<()> {
    names(dir, count).try_for_each(|path| fs::metadata(path).map(drop))
}

fn read(dir: &Path, count: usize) -> io::Result<()> {
    names(dir, count).try_for_each(|path| match fs::read(path)?.len() {
        4096 => Ok(()),
        other => Err(io::Error::other(format!("{other} bytes of 4096"))),
    })
}

fn unlink(dir: &Path, count: usize) -> io::Result<()> {
    names(dir, count).try_for_each(fs::remove_file)
}

fn list(dir: &Path) -> io::Result<()> {
    fs::read_dir(dir)?.try_for_each(|entry| entry?.metadata().map(drop))
}

fn write_big(path: &Path, size: usize) -> io::Result<()> {
    let block: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut file = File::create(path)?;
    (0..size >> 20).try_for_each(|_| file.write_all(&block))?;
    file.sync_all()
}

fn read_big(path: &Path, size: usize) -> io::Result<()> {
    let (mut file, mut buffer, mut total) = (File::open(path)?, vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer)? {
            0 if total == size => return Ok(()),
            0 => return Err(io::Error::other(format!("{total} bytes of {size}"))),
            n => total += n,
        }
    }
}

/// The rows of the table, in an order in which each finds what it needs.
///
/// # Errors
/// In words: what could not be done.
pub fn measure(
    peer: &mut dyn Peer,
    place: &Path,
    quick: bool,
    wanted: &dyn Fn(&str) -> bool,
    note: Note<'_>,
) -> Result<(), String> {
    let scale = if quick { QUICK } else { FULL };
    let mut bench = Bench { peer, at: place.join("mnt") };
    bench.peer.mount(&bench.at)?;
    let outcome = small(&mut bench, &scale, wanted, note)
        .and_then(|()| if wanted("big") { big(&mut bench, &scale, note) } else { Ok(()) })
        .and_then(|()| if wanted("heal") { heal(&mut bench, &scale, note) } else { Ok(()) });
    unmount(&bench.at);
    outcome
}

fn small(bench: &mut Bench<'_>, scale: &Scale, wanted: &dyn Fn(&str) -> bool, note: Note<'_>) -> Result<(), String> {
    let n = scale.files;
    let dir = bench.dir("small")?;
    let created = timed(|| create(&dir, n, false))?;
    if wanted("create") {
        note(&format!("create {n} of 4 KiB"), created);
    }
    if wanted("fsync") {
        let dir = bench.dir("synced")?;
        note(&format!("create {} with fsync", scale.synced), timed(|| create(&dir, scale.synced, true))?);
    }
    if wanted("stat") {
        bench.cold()?;
        note(&format!("stat {n}, cold"), timed(|| stat(&dir, n))?);
        note(&format!("stat {n}, warm"), timed(|| stat(&dir, n))?);
    }
    if wanted("ls") {
        bench.cold()?;
        note(&format!("ls -l of {n}, cold"), timed(|| list(&dir))?);
    }
    if wanted("read") {
        bench.cold()?;
        note(&format!("read {n}, cold"), timed(|| read(&dir, n))?);
        note(&format!("read {n}, again"), timed(|| read(&dir, n))?);
    }
    if wanted("unlink") {
        note(&format!("unlink {n}"), timed(|| unlink(&dir, n))?);
    }
    Ok(())
}

fn big(bench: &mut Bench<'_>, scale: &Scale, note: Note<'_>) -> Result<(), String> {
    let (path, mib) = (bench.at.join("big"), scale.big >> 20);
    note(&format!("write {mib} MiB + fsync"), timed(|| write_big(&path, scale.big))?);
    bench.cold()?;
    note(&format!("read {mib} MiB, cold"), timed(|| read_big(&path, scale.big))?);
    note(&format!("read {mib} MiB, again"), timed(|| read_big(&path, scale.big))?);
    Ok(())
}

/// From the start of the third brick until nobody accuses it any more, and it has everything.
fn heal(bench: &mut Bench<'_>, scale: &Scale, note: Note<'_>) -> Result<(), String> {
    if !bench.peer.kill_brick() {
        return Ok(());
    }
    let dir = bench.dir("heal")?;
    timed(|| create(&dir, scale.heal_files, false))?;
    timed(|| write_big(&bench.at.join("healbig"), scale.heal_big))?;
    let bricks = bench.peer.bricks();
    let waiting = || bricks.iter().map(|b| pending(b)).sum::<usize>();
    if waiting() == 0 {
        return Err("nothing waits to be healed".into());
    }
    let start = Instant::now();
    bench.peer.start_brick()?;
    while waiting() > 0 {
        if start.elapsed() > HEALS {
            return Err(format!("{} wait to be healed after {} s", waiting(), HEALS.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = start.elapsed().as_secs_f64();
    let healed = &bricks[2];
    read(&healed.join("heal"), scale.heal_files).map_err(|e| format!("after the heal: {e}"))?;
    read_big(&healed.join("healbig"), scale.heal_big).map_err(|e| format!("after the heal: {e}"))?;
    note(&format!("heal {} of 4 KiB + {} MiB", scale.heal_files, scale.heal_big >> 20), took);
    Ok(())
}

/// How many inodes of a brick blame another one: entries of its index but for the base file.
fn pending(brick: &Path) -> usize {
    let index = fs::read_dir(brick.join(".glusterfs/indices/xattrop"));
    let names = index.into_iter().flatten().flatten().map(|e| e.file_name());
    names.filter(|n| !n.to_string_lossy().starts_with("xattrop-")).count()
}

/// Rates (a second) as the number of files grows, and as the number of clients does.
///
/// # Errors
/// In words.
pub fn growth(peer: &mut dyn Peer, place: &Path, quick: bool, note: Note<'_>) -> Result<(), String> {
    let steps: &[usize] = if quick { &[100, 1000] } else { &[1000, 10_000, 100_000] };
    let mut bench = Bench { peer, at: place.join("mnt") };
    bench.peer.mount(&bench.at)?;
    for n in steps {
        let dir = bench.dir(&format!("grow{n}"))?;
        let rate = |seconds: f64| *n as f64 / seconds;
        note(&format!("{n} files: created/s"), rate(timed(|| create(&dir, *n, false))?));
        bench.cold()?;
        note(&format!("{n} files: stat/s, cold"), rate(timed(|| stat(&dir, *n))?));
        bench.cold()?;
        note(&format!("{n} files: listed/s, cold"), rate(timed(|| list(&dir))?));
        note(&format!("{n} files: unlinked/s"), rate(timed(|| unlink(&dir, *n))?));
    }
    unmount(&bench.at);
    let each = if quick { 50 } else { 500 };
    for clients in [1, 2, 4, 8] {
        many(bench.peer, place, clients, each, note)?;
    }
    Ok(())
}

/// So many mounts at once, each with a directory of its own.
fn many(peer: &mut dyn Peer, place: &Path, clients: usize, each: usize, note: Note<'_>) -> Result<(), String> {
    let mounts: Vec<PathBuf> = (0..clients).map(|i| place.join(format!("mnt{clients}-{i}"))).collect();
    mounts.iter().try_for_each(|at| peer.mount(at))?;
    let dirs: Vec<PathBuf> = mounts.iter().enumerate().map(|(i, at)| at.join(format!("c{clients}-{i}"))).collect();
    dirs.iter().try_for_each(fs::create_dir).map_err(|e| e.to_string())?;
    let all = |act: &(dyn Fn(&Path) -> io::Result<()> + Sync)| {
        let start = Instant::now();
        let outcomes: Vec<io::Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> = dirs.iter().map(|dir| scope.spawn(|| act(dir))).collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(io::Error::other("a thread died")))).collect()
        });
        outcomes.into_iter().collect::<io::Result<Vec<()>>>().map_err(|e| e.to_string())?;
        Ok::<f64, String>((clients * each) as f64 / start.elapsed().as_secs_f64())
    };
    note(&format!("{clients} clients: created/s"), all(&|dir| create(dir, each, false))?);
    note(&format!("{clients} clients: read/s"), all(&|dir| read(dir, each))?);
    note(&format!("{clients} clients: unlinked/s"), all(&|dir| unlink(dir, each))?);
    mounts.iter().for_each(|at| unmount(at));
    Ok(())
}
