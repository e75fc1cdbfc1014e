//! `terrarium bench volume`: the replicated volume beside GlusterFS, replica 3 on one machine, in one run.
//!
//! Everything happens in namespaces of the bench's own (mounts, processes, network, host name), so that nothing is left behind however
//! it ends and no file of an installed GlusterFS is touched. Three peers do the same rows one after the other: a **native**
//! directory, **glusterfs** if it is installed (one glusterd with three bricks on one host, its state in memory), and **ours** (three bricks, a
//! self-heal daemon, a mount). All bricks lie on the same disk and are reached over the loopback. Where a row says cold, the
//! volume was mounted anew; the bricks' own page cache is warm for everybody. Figures are seconds unless the row says otherwise.
//!
//! [`peers`] starts and mounts them, [`rows`] is what is measured, [`table`] prints it.

mod peers;
mod rows;
mod table;

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use clap::Parser;

use self::peers::Peer;
use self::table::Measured;

/// Measures the replicated volume (replica 3) beside a plain directory and GlusterFS.
///
/// Examples:
///   terrarium bench volume --quick
///   terrarium bench volume --rows create,stat,unlink --only ours
///   terrarium bench volume --growth
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
struct Args {
    /// A tenth of everything
    #[arg(long)]
    quick: bool,
    /// Only these peers: native, glusterfs, ours
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these groups of rows: create, fsync, stat, ls, read, unlink, big, heal
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Measure how rates change from 1,000 to 100,000 files and from 1 to 8 clients, instead of the rows
    #[arg(long)]
    growth: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Do everything so often and take the medians
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Where to make the bricks; not in memory, not on an overlay
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// Be the first process of the namespaces, or the one that measures
    #[arg(long, hide = true)]
    inside: Option<String>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let parsed: Args = match super::parse("terrarium bench volume", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let outcome = match parsed.inside.as_deref() {
        None => enclose(&parsed, args),
        Some("init") => first(args),
        Some(base) => measure_all(&parsed, Path::new(base)).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|why| {
        eprintln!("terrarium bench volume: {why}");
        ExitCode::from(3)
    })
}

/// Runs the bench in namespaces of its own: when their first process ends, the kernel ends all others.
fn enclose(parsed: &Args, args: &[OsString]) -> Result<ExitCode, String> {
    use nix::sched::{CloneFlags, unshare};
    let groups = ["create", "fsync", "stat", "ls", "read", "unlink", "big", "heal"];
    known(&parsed.rows, &groups, "row")?;
    known(&parsed.only, &["native", "glusterfs", "ours"], "peer")?;
    let all = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS;
    unshare(all).map_err(|e| format!("needs root for its namespaces ({e}); try it in `terrarium run`"))?;
    let base = parsed.dir.join(format!("terrarium-bench-volume-{}", std::process::id()));
    fs::create_dir_all(&base).map_err(|e| format!("{}: {e}", base.display()))?;
    spread(&base);
    let status = again(args, &["--inside", "init"], &[("TERRARIUM_BENCH", base.as_os_str())]);
    let removed = fs::remove_dir_all(&base).map_err(|e| format!("{} is left: {e}", base.display()));
    let code = code(status?);
    removed.map(|()| code)
}

/// Tells ext4 to put each peer's directory into a part of the disk of its own (chattr +T), away from what others do there. A file
/// system that does not know how goes without.
fn spread(base: &Path) {
    const FS_TOPDIR_FL: libc::c_int = 0x0002_0000;
    let Ok(dir) = fs::File::open(base) else { return };
    let mut flags: libc::c_int = 0;
    // SAFETY: both take a pointer to an int.
    unsafe {
        if libc::ioctl(dir.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) == 0 {
            flags |= FS_TOPDIR_FL;
            libc::ioctl(dir.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags);
        }
    }
}

fn known(words: &[String], all: &[&str], what: &str) -> Result<(), String> {
    match words.iter().find(|w| !all.contains(&w.as_str())) {
        Some(word) => Err(format!("there is no {what} `{word}`; there are {}", all.join(", "))),
        None => Ok(()),
    }
}

fn again(args: &[OsString], more: &[&str], env: &[(&str, &std::ffi::OsStr)]) -> Result<ExitStatus, String> {
    let kept: Vec<&OsString> = args.iter().take_while(|a| *a != "--inside").collect();
    let mut command = Command::new("/proc/self/exe");
    command.args(["bench", "volume"]).args(kept).args(more).envs(env.iter().copied());
    command.status().map_err(|e| format!("cannot run itself: {e}"))
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The first process in the namespaces: makes them its own, and buries whoever dies there.
fn first(args: &[OsString]) -> Result<ExitCode, String> {
    use nix::sys::wait::{WaitStatus, waitpid};
    let base = PathBuf::from(std::env::var_os("TERRARIUM_BENCH").ok_or("is only for the bench itself")?);
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    peers::own_world(&base)?;
    let kept: Vec<&OsString> = args.iter().take_while(|a| *a != "--inside").collect();
    let mut command = Command::new("/proc/self/exe");
    let child = command.args(["bench", "volume"]).args(kept).arg("--inside").arg(&base).spawn();
    let child = child.map_err(|e| format!("cannot run itself: {e}"))?;
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == child.id() as i32 => {
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == child.id() as i32 => {
                return Ok(ExitCode::from(128 + signal as u8));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(format!("waiting: {e}")),
        }
    }
}

fn measure_all(args: &Args, base: &Path) -> Result<(), String> {
    let mut measured = Measured::default();
    // Other names each time: ext4 chooses a directory's part of the disk by its name.
    let tag = base.to_string_lossy().rsplit('-').next().unwrap_or_default().to_owned();
    for round in 0..args.rounds {
        for name in ["native", "glusterfs", "ours"] {
            if !args.only.is_empty() && !args.only.iter().any(|p| p == name) {
                continue;
            }
            let place = base.join(format!("{name}-{round}-{tag}"));
            let mut peer = match peers::start(name, &place) {
                Ok(peer) => peer,
                Err(why) => {
                    eprintln!("{name}: left out: {why}");
                    continue;
                }
            };
            eprintln!("measuring {name} …");
            if let Err(why) = rows_of(args, &mut *peer, &place, &mut measured) {
                eprintln!("{name}: gave up: {why}");
            }
            peer.stop();
            shed(&place);
        }
    }
    if args.json {
        measured.print_json()
    } else {
        measured.print()
    }
    Ok(())
}

fn rows_of(args: &Args, peer: &mut dyn Peer, place: &Path, measured: &mut Measured) -> Result<(), String> {
    let mut note = |row: &str, figure: f64| measured.note(peer_name(place), row, figure);
    if args.growth {
        return rows::growth(peer, place, args.quick, &mut note);
    }
    let wanted = |group: &str| args.rows.is_empty() || args.rows.iter().any(|r| r == group);
    rows::measure(peer, place, args.quick, &wanted, &mut note)
}

/// Gives back the room of large files. The small ones stay until the end: where a file system has just removed thousands of
/// files it is slow to make new ones, and the next peer would pay for it.
fn shed(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(found) if found.is_dir() => shed(&entry.path()),
            Ok(found) if found.is_file() && found.len() > 1 << 20 => {
                let _ = fs::OpenOptions::new().write(true).open(entry.path()).and_then(|file| file.set_len(0));
            }
            _ => {}
        }
    }
}

/// `…/glusterfs-0` → `glusterfs`.
fn peer_name(place: &Path) -> &str {
    place.file_name().and_then(|n| n.to_str()).and_then(|n| n.split('-').next()).unwrap_or_default()
}
