//! `glusterd`: the manager of one server. Goes into the background, as the real one does, and returns when it listens.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use crate::volume::manager::{self, Place};

/// How long a manager may take until it listens.
const LISTENS: Duration = Duration::from_secs(15);

/// The volume manager of this server.
#[derive(Debug, Parser)]
#[command(
    name = "glusterd",
    after_help = "Examples:\n  glusterd              start the manager of this server\n  glusterd --no-daemon  stay in the foreground"
)]
struct Args {
    /// Stay in the foreground
    #[arg(short = 'N', long)]
    no_daemon: bool,
    /// The server's name (else its hostname)
    #[arg(long)]
    name: Option<String>,
    /// The address to listen on (else the name's)
    #[arg(long)]
    bind: Option<std::net::IpAddr>,
    /// Where volumes and peers are kept
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where sockets and process ids are
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Where logs are written
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Taken for the sake of scripts: the log is where it is
    #[arg(short = 'L', long, hide = true)]
    log_level: Option<String>,
    /// The same
    #[arg(short = 'l', long, hide = true)]
    log_file: Option<PathBuf>,
    /// Taken for the sake of scripts: threads are as they are
    #[arg(long, hide = true)]
    global_threading: bool,
    /// Start nothing if a manager was started here before and has ended
    #[arg(long, hide = true)]
    first_use: bool,
    /// Act in the namespaces of the server that this process holds
    #[arg(long, hide = true)]
    holder: Option<i32>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    if args.iter().any(|word| word == "--version" || word == "-V") {
        println!("glusterfs 10.3");
        return ExitCode::SUCCESS;
    }
    let words = std::iter::once(OsStr::new("glusterd")).chain(args.iter().map(OsString::as_os_str));
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    match act(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("glusterd: {e}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: &Args) -> io::Result<()> {
    if let Some(holder) = args.holder {
        crate::sandbox::server::act_as(holder).map_err(io::Error::other)?;
    }
    let place = place(args);
    if args.no_daemon {
        return stay(place);
    }
    if answers(&place) {
        return Ok(());
    }
    if args.first_use && place.was_started() {
        return Err(io::Error::other(format!(
            "the manager of {} was started and has ended; start it again with `systemctl start glusterd`",
            place.name
        )));
    }
    let mut child = spawn(&place)?;
    until_it_answers(&place, &mut child)
}

fn place(args: &Args) -> Place {
    let mut place = args.name.as_deref().map_or_else(Place::here, Place::of);
    place.ip = args.bind.unwrap_or(place.ip);
    for (own, given) in [(&mut place.state, &args.state), (&mut place.run, &args.run), (&mut place.log, &args.log)] {
        if let Some(dir) = given {
            own.clone_from(dir);
        }
    }
    place
}

/// Is the manager, in the foreground.
fn stay(place: Place) -> io::Result<()> {
    let _ = nix::unistd::setsid();
    super::statedump::on_signal();
    std::fs::create_dir_all(&place.run)?;
    std::fs::write(place.pid_file(), format!("{}\n", std::process::id()))?;
    manager::run(place)
}

fn spawn(place: &Place) -> io::Result<Child> {
    std::fs::create_dir_all(&place.log)?;
    let log = OpenOptions::new().create(true).append(true).open(place.log.join("glusterd.log"))?;
    let mut command = Command::new(crate::sandbox::own_exe().map_err(io::Error::other)?);
    std::os::unix::process::CommandExt::arg0(&mut command, "glusterd");
    command.args(["--no-daemon", "--name", &place.name, "--bind", &place.ip.to_string()]);
    for (flag, dir) in [("--state", &place.state), ("--run", &place.run), ("--log", &place.log)] {
        command.arg(flag).arg(dir);
    }
    if std::env::var_os("TERRARIUM_ROOT").is_some() {
        command.env("TERRARIUM_SERVER", &place.name);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
}

/// Whether a manager answers on this server.
pub fn answers(place: &Place) -> bool {
    UnixStream::connect(place.socket()).is_ok()
}

fn until_it_answers(place: &Place, child: &mut Child) -> io::Result<()> {
    let deadline = Instant::now() + LISTENS;
    while !answers(place) {
        if let Some(status) = child.try_wait()? {
            let why = last_line(place).unwrap_or_else(|| status.to_string());
            return Err(io::Error::other(why.trim_start_matches("glusterd: ").to_owned()));
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("it does not answer on {}", place.socket().display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn last_line(place: &Place) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(place.log.join("glusterd.log")).ok()?.read_to_string(&mut text).ok()?;
    text.lines().next_back().map(str::to_owned)
}
