//! `glusterfs`: a client of a volume: the mount, the self-heal daemon, the mover of files.
//!
//! `--process-name` says which (`fuse` unless told). The mount goes into the background when it is mounted, as the real one does.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;

use super::mount_glusterfs::{self, ABSENT};
use crate::volume::client::manager::Source;
use crate::volume::client::role;

#[derive(Parser, Debug, Clone)]
#[command(name = "glusterfs", args_override_self = true, about = "Mount a volume, heal it, or move its files")]
struct Arguments {
    /// What to be: fuse, glustershd, rebalance
    #[arg(long, default_value = "fuse")]
    process_name: String,
    /// A server to get the volume from; may be given more than once
    #[arg(short = 's', long = "volfile-server", value_name = "SERVER")]
    servers: Vec<String>,
    /// Which volume
    #[arg(long, value_name = "/VOLUME")]
    volfile_id: Option<String>,
    /// The volume's definition from a file instead
    #[arg(long, value_name = "FILE.json", conflicts_with = "servers")]
    volume_file: Option<PathBuf>,
    /// The address that this client calls from
    #[arg(long)]
    bind: Option<IpAddr>,
    /// The machine that it runs on [default: this host's name]
    #[arg(long)]
    machine: Option<String>,
    /// What to move: fix-layout, rebalance, force, remove-brick
    #[arg(long)]
    mode: Option<String>,
    /// Mount a directory of the volume
    #[arg(long, value_name = "DIR")]
    subdir_mount: Option<String>,
    /// Mount read-only
    #[arg(long)]
    read_only: bool,
    /// Everything is also found by its identity, below `.gfid`
    #[arg(long)]
    aux_gfid_mount: bool,
    /// How long the kernel may believe figures, in seconds
    #[arg(long, default_value_t = 1.0)]
    attribute_timeout: f64,
    /// How long the kernel may believe names, in seconds
    #[arg(long, default_value_t = 1.0)]
    entry_timeout: f64,
    /// Stay in the foreground
    #[arg(short = 'N', long)]
    no_daemon: bool,
    /// Write a line to this descriptor when mounted
    #[arg(long, hide = true)]
    ready_fd: Option<i32>,
    /// Where
    point: Option<PathBuf>,
}

/// The tool. See `glusterfs --help`.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("glusterfs");
    let args = match meaning_something(args) {
        Ok(args) => args,
        Err(absent) => {
            eprintln!("gluster has the option {absent} of glusterfs, terrarium does not");
            return ExitCode::FAILURE;
        }
    };
    let arguments = match Arguments::try_parse_from(std::iter::once(&name).chain(&args)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    super::statedump::on_signal();
    let volume_id = arguments.volfile_id.as_deref().unwrap_or_default();
    let outcome = match arguments.process_name.as_str() {
        "fuse" if !arguments.no_daemon => background(&args),
        "fuse" => mount(&arguments),
        "glustershd" => role::heal(&source(&arguments), &machine(&arguments)),
        "rebalance" => {
            let mode = arguments.mode.as_deref().unwrap_or("rebalance");
            role::rebalance(&source(&arguments), &machine(&arguments), volume_id, mode)
        }
        other => {
            Err(std::io::Error::other(format!("there is no process `{other}`; there are fuse, glustershd, rebalance")))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glusterfs: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Options of the real program that change nothing here, beside those that a mount may have; the value may be a word of its own.
const IGNORED: &[&str] =
    &["log-file", "client-pid", "pid-file", "volume-name", "volfile-server-port", "volfile-server-transport"];
/// The same with one letter.
const IGNORED_LETTERS: &[&str] = &["-l", "-L", "-p"];
/// Those of a mount whose value may be a word of its own.
const WITH_VALUE: &[&str] = &["log-level", "negative-timeout", "lru-limit", "gid-timeout", "xlator-option"];

/// The arguments without those that change nothing here.
///
/// # Errors
/// The first that is not here and would change something.
fn meaning_something(args: &[OsString]) -> Result<Vec<OsString>, String> {
    let (mut kept, mut words) = (vec![], args.iter());
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (key, value) = text.split_once('=').map_or((&*text, None), |(key, value)| (key, Some(value)));
        let long = key.strip_prefix("--").unwrap_or_default();
        let lone = IGNORED.contains(&long) || IGNORED_LETTERS.contains(&key) || WITH_VALUE.contains(&long);
        if ABSENT.contains(&long) || matches!(key, "--volfile" | "-f" | "--capability") {
            return Err(key.into());
        } else if lone && value.is_none() {
            words.next();
        } else if !lone && (!mount_glusterfs::IGNORED.contains(&long) || long == "process-name") {
            kept.push(word.clone());
        }
    }
    Ok(kept)
}

fn source(arguments: &Arguments) -> Source {
    match &arguments.volume_file {
        Some(file) => Source::File(file.clone()),
        None => Source::Managers(arguments.servers.clone()),
    }
}

/// The machine's name: as told, else for daemons their server, else this host's name.
fn machine(arguments: &Arguments) -> String {
    let own = || nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let server = || arguments.servers.first().filter(|_| arguments.process_name != "fuse").cloned();
    arguments.machine.clone().or_else(server).unwrap_or_else(own)
}

/// Runs the mount as a process of its own, and returns when it is mounted or could not be.
fn background(args: &[OsString]) -> std::io::Result<()> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let inherited = nix::unistd::dup(&writer)?;
    let mut command = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut command, "glusterfs");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.args(["--no-daemon".into(), format!("--ready-fd={}", inherited.as_raw_fd())]).args(args);
    let log = std::env::var_os("TERRARIUM_MOUNT_LOG");
    let log = log.and_then(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).ok());
    let log = log.map_or_else(Stdio::null, Stdio::from);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    drop((writer, inherited));
    let mut line = String::new();
    std::fs::File::from(reader).read_to_string(&mut line)?;
    if line.trim() == "mounted" {
        return Ok(());
    }
    let _ = child.wait();
    let why = if line.is_empty() { "it could not be mounted" } else { line.trim() };
    Err(std::io::Error::other(why.to_string()))
}

fn mount(arguments: &Arguments) -> std::io::Result<()> {
    // SAFETY: the descriptor was made for this process by its parent.
    let ready = arguments.ready_fd.map(|fd| std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
    if let Some(fd) = &ready {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    let ready = RefCell::new(ready);
    let tell = |text: &str| {
        if let Some(mut ready) = ready.take() {
            // Who asked may be gone; the mount stays.
            let _ = writeln!(ready, "{text}");
        }
    };
    let point = arguments.point.clone().ok_or_else(|| std::io::Error::other("no mount point was given"))?;
    let options = role::Mount {
        source: source(arguments),
        volume_id: arguments.volfile_id.clone().unwrap_or_default(),
        machine: machine(arguments),
        point,
        subdir: arguments.subdir_mount.clone(),
        read_only: arguments.read_only,
        aux_gfid: arguments.aux_gfid_mount,
        attribute: Duration::try_from_secs_f64(arguments.attribute_timeout).unwrap_or_default(),
        entry: Duration::try_from_secs_f64(arguments.entry_timeout).unwrap_or_default(),
    };
    let outcome = role::mount(&options, || tell("mounted"));
    if let Err(error) = &outcome {
        tell(&error.to_string());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount as scripts start it: what changes nothing here is dropped with its value, what is not here is named.
    #[test]
    fn flags_without_a_meaning_here_are_dropped() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let line =
            "--direct-io-mode=yes -l /tmp/l --log-level WARNING --acl -s h --volfile-id=gv0 --entry-timeout=0 /m";
        assert_eq!(meaning_something(&words(line)), Ok(words("-s h --volfile-id=gv0 --entry-timeout=0 /m")));
        let process = "--process-name glustershd --volfile-id=x";
        assert_eq!(meaning_something(&words(process)), Ok(words(process)));
        assert_eq!(meaning_something(&words("--worm -s h")), Err("--worm".into()));
    }
}
