//! `terrarium bench union [--quick]`: the union beside its peers, on the same trees, in one run.
//!
//! Each peer mounts a fresh writable branch over one read-only branch that all share, in a mount namespace of the bench's own;
//! every row is measured through each of them in turn. What is not installed is left out and said. Times are seconds
//! unless the row says otherwise; the ratio in brackets is to kernel overlayfs where it runs, else to the plain directory.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;

use super::parse;

/// Measures the union mount beside the plain directory, kernel overlayfs, fuse-overlayfs and mergerfs.
///
/// Example: terrarium bench union --quick
#[derive(Parser)]
struct Args {
    /// A tenth of everything.
    #[arg(long)]
    quick: bool,
    /// How direct changes are noticed by ours: notify, reval, none.
    #[arg(long, default_value = "notify")]
    udba: String,
    /// Only these peers, comma-separated: native, overlayfs, fuse-overlayfs, mergerfs, ours.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where to make the trees; not on an overlay.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
}

/// How much of everything.
struct Scale {
    dirs: usize,
    files: usize,
    flat: usize,
    big: usize,
    small: usize,
    copies: usize,
    unlinks: usize,
}

const FULL: Scale =
    Scale { dirs: 200, files: 100, flat: 10_000, big: 256 << 20, small: 5000, copies: 500, unlinks: 1000 };
const QUICK: Scale = Scale { dirs: 40, files: 50, flat: 1000, big: 32 << 20, small: 500, copies: 50, unlinks: 100 };

/// One thing that is measured: its name and its seconds; `None` where it makes no sense.
type Row = (&'static str, Option<f64>);

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args: Args = match parse("terrarium bench union", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("terrarium bench union: {why}");
            ExitCode::from(3)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    own_mounts()?;
    let scale = if args.quick { QUICK } else { FULL };
    let base = args.dir.join(format!("terrarium-bench-{}", std::process::id()));
    let lower = base.join("lower");
    eprintln!("making the trees in {} …", base.display());
    let made = make_lower(&lower, &scale).map_err(|e| format!("{}: {e}", lower.display()));
    let measured = made.map(|()| measure_all(args, &base, &lower, &scale));
    let _ = fs::remove_dir_all(&base);
    print_table(&measured?, &args.udba);
    Ok(())
}

/// A mount namespace of our own, so that nothing of the bench is seen or left outside.
fn own_mounts() -> Result<(), String> {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|e| format!("needs root for its mounts ({e}); try it in `terrarium run`"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(|e| format!("private mounts: {e}"))
}

type Measured = Vec<(&'static str, Vec<Row>)>;

fn measure_all(args: &Args, base: &Path, lower: &Path, scale: &Scale) -> Measured {
    let mut all = Vec::new();
    for peer in ["native", "overlayfs", "fuse-overlayfs", "mergerfs", "ours"] {
        if !args.only.is_empty() && !args.only.iter().any(|p| p == peer) {
            continue;
        }
        let place = base.join(peer);
        let mounted = match mount_peer(peer, &place, lower, &args.udba) {
            Ok(at) => at,
            Err(why) => {
                eprintln!("{peer}: left out: {why}");
                continue;
            }
        };
        eprintln!("measuring {peer} …");
        match measure(peer, &mounted, &place, lower, scale) {
            Ok(rows) => all.push((peer, rows)),
            Err(e) => eprintln!("{peer}: gave up: {e}"),
        }
        let _ = Command::new("umount").arg("-l").arg(&mounted).stderr(Stdio::null()).status();
    }
    all
}

/// Mounts a peer; gives where its tree is seen. The plain directory is a copy of the lower tree.
fn mount_peer(peer: &str, place: &Path, lower: &Path, udba: &str) -> Result<PathBuf, String> {
    let (upper, work, at) = (place.join("upper"), place.join("work"), place.join("mnt"));
    for dir in [&upper, &work, &at] {
        fs::create_dir_all(dir).map_err(|e| e.to_string())?;
    }
    let (l, u, w) = (lower.display(), upper.display(), work.display());
    let overlay = format!("lowerdir={l},upperdir={u},workdir={w}");
    let mut command = match peer {
        "native" => {
            let mut cp = Command::new("cp");
            cp.arg("-a").arg(lower.join(".")).arg(&at);
            cp
        }
        "overlayfs" => with("mount", &["-t", "overlay", "none", "-o", &overlay], &at),
        "fuse-overlayfs" => with("fuse-overlayfs", &["-o", &overlay], &at),
        "mergerfs" => {
            let tuned = "cache.files=full,cache.readdir=true,cache.entry=60,cache.attr=60,cache.negative_entry=60,category.create=ff";
            with("mergerfs", &["-o", tuned, &format!("{u}=RW:{l}=RO")], &at)
        }
        _ => {
            let own = std::env::current_exe().map_err(|e| e.to_string())?;
            let mut command = Command::new(own);
            command.args(["mount.aufs", "none"]).arg(&at).args(["-o", &format!("br={u}=rw:{l}=ro,udba={udba}")]);
            command
        }
    };
    let status = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().map_err(|e| format!("{e}"))?;
    if status.status.success() { Ok(at) } else { Err(String::from_utf8_lossy(&status.stderr).trim().to_owned()) }
}

fn with(program: &str, args: &[&str], at: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(args).arg(at);
    command
}

fn fill(path: &Path, size: usize, seed: usize) -> std::io::Result<()> {
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

fn make_lower(lower: &Path, scale: &Scale) -> std::io::Result<()> {
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
    fs::create_dir_all(lower.join("gone"))?;
    (0..scale.unlinks).try_for_each(|i| fs::write(lower.join(format!("gone/f{i}")), b"x"))?;
    fill(&lower.join("big"), scale.big, 7)?;
    fill(&lower.join("bigup"), scale.big, 9)
}

fn timed(f: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<Option<f64>> {
    let start = Instant::now();
    f()?;
    Ok(Some(start.elapsed().as_secs_f64()))
}

fn stat_walk(root: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            stat_walk(&entry.path())?;
        }
    }
    Ok(())
}

fn names(dir: &Path) -> std::io::Result<()> {
    fs::read_dir(dir)?.try_for_each(|e| e.map(drop))
}

fn grep(dir: &Path) -> std::io::Result<()> {
    Command::new("grep").args(["-r", "no such words"]).arg(dir).stdout(Stdio::null()).status().map(drop)
}

fn read_through(path: &Path) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

fn random_reads(path: &Path, count: u64) -> std::io::Result<()> {
    let file = File::open(path)?;
    let pages = file.metadata()?.len() / 4096;
    let mut buffer = [0; 4096];
    let mut at = 12345u64;
    for _ in 0..count {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.read_exact_at(&mut buffer, (at >> 33) % pages * 4096)?;
    }
    Ok(())
}

fn write_through(path: &Path, size: usize, sync: bool) -> std::io::Result<()> {
    let block = vec![7u8; 1 << 20];
    let mut file = File::create(path)?;
    (0..size >> 20).try_for_each(|_| file.write_all(&block))?;
    if sync { file.sync_all() } else { Ok(()) }
}

fn measure(peer: &str, at: &Path, place: &Path, lower: &Path, scale: &Scale) -> std::io::Result<Vec<Row>> {
    let (tree, flat) = (at.join("tree"), at.join("flat"));
    let mut rows: Vec<Row> = Vec::new();
    read_through(&lower.join("big"))?;
    rows.push(("stat walk, first", timed(|| stat_walk(&tree))?));
    rows.push(("stat walk, again", timed(|| stat_walk(&tree))?));
    rows.push(("grep -r, first", timed(|| grep(&tree))?));
    rows.push(("grep -r, again", timed(|| grep(&tree))?));
    rows.push(("readdir, first", timed(|| names(&flat))?));
    rows.push(("readdir, again", timed(|| names(&flat))?));
    rows.push(("readdir + stat, first", timed(|| stat_walk(&flat))?));
    rows.push(("readdir + stat, again", timed(|| stat_walk(&flat))?));
    rows.push(("read big, first open", timed(|| read_through(&at.join("big")))?));
    rows.push(("read big, new open", timed(|| read_through(&at.join("big")))?));
    let reads = 20_000;
    let random = timed(|| random_reads(&at.join("big"), reads))?;
    rows.push(("random 4 KiB read, µs", random.map(|s| s * 1e6 / reads as f64)));
    rows.push(("write big", timed(|| write_through(&at.join("w1"), scale.big, false))?));
    rows.push(("write big + fsync", timed(|| write_through(&at.join("w2"), scale.big, true))?));
    measure_small(at, scale, &mut rows)?;
    rows.push(("untar small files", untar(at, place, lower)?));
    let copies = peer != "native" && peer != "mergerfs";
    rows.push((
        "copy-up of small files",
        if copies { timed(|| touch_all(&at.join("up"), scale.copies))? } else { None },
    ));
    rows.push(("copy-up of a big file", if copies { timed(|| touch(&at.join("bigup")))? } else { None }));
    let gone = if peer == "mergerfs" { None } else { timed(|| unlink_all(&at.join("gone"), scale.unlinks))? };
    rows.push(("unlink lower files", gone));
    Ok(rows)
}

fn measure_small(at: &Path, scale: &Scale, rows: &mut Vec<Row>) -> std::io::Result<()> {
    let dir = at.join("small");
    fs::create_dir(&dir)?;
    let kib = vec![b'x'; 1024];
    let all = || (0..scale.small).map(|i| dir.join(format!("f{i}")));
    rows.push(("create + write 1 KiB files", timed(|| all().try_for_each(|p| fs::write(p, &kib)))?));
    rows.push(("stat them", timed(|| all().try_for_each(|p| fs::metadata(p).map(drop)))?));
    rows.push(("read them", timed(|| all().try_for_each(|p| fs::read(p).map(drop)))?));
    rows.push(("unlink them", timed(|| all().try_for_each(fs::remove_file))?));
    Ok(())
}

fn untar(at: &Path, place: &Path, lower: &Path) -> std::io::Result<Option<f64>> {
    let (tar, into) = (place.join("tree.tar"), at.join("untarred"));
    Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(lower).args(["tree", "up"]).status()?;
    fs::create_dir(&into)?;
    timed(|| Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&into).status().map(drop))
}

fn touch(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(b"!")
}

fn touch_all(dir: &Path, count: usize) -> std::io::Result<()> {
    (0..count).try_for_each(|i| touch(&dir.join(format!("f{i}"))))
}

fn unlink_all(dir: &Path, count: usize) -> std::io::Result<()> {
    (0..count).try_for_each(|i| fs::remove_file(dir.join(format!("f{i}"))))
}

fn print_table(measured: &Measured, udba: &str) {
    let Some((_, first)) = measured.first() else { return };
    let base = measured.iter().position(|(peer, _)| *peer == "overlayfs").unwrap_or(0);
    println!("union bench; ours with udba={udba}; [ratio to {}]", measured[base].0);
    print!("{:<28}", "");
    measured.iter().for_each(|(peer, _)| print!("{peer:>18}"));
    println!();
    for (row, (name, _)) in first.iter().enumerate() {
        print!("{name:<28}");
        let reference = measured[base].1[row].1;
        for (_, rows) in measured {
            let cell = match (rows[row].1, reference) {
                (Some(s), Some(r)) if r > 0.0 => format!("{s:.4} [{:.2}]", s / r),
                (Some(s), _) => format!("{s:.4}"),
                (None, _) => "–".to_owned(),
            };
            print!("{cell:>18}");
        }
        println!();
    }
}
