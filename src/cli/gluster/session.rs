//! What all commands of `gluster` need: the flags, the manager, the prompt, and the ways to fail.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::cli::glusterd;
use crate::volume::definition::Volume;
use crate::volume::manager::op::{Change, Op};
use crate::volume::manager::protocol::{About, Answer, Ask, Query, Report};
use crate::volume::manager::{Place, ensure_manager};
use crate::world::wire::{read_frame, write_frame};

/// How long the command line waits for its manager.
const PATIENCE: Duration = Duration::from_secs(600);
/// What is said when the manager of this server does not run.
const NO_MANAGER: &str = "Connection failed. Please check if gluster daemon is operational.";

/// One run of the command line.
#[derive(Debug)]
pub struct Session {
    /// `--mode=script`: every prompt is answered with yes.
    pub script: bool,
    /// `--xml`.
    pub xml: bool,
    /// `--wignore`: `volume create` and `add-brick` do as if `force` had been said.
    pub forced: bool,
    /// `--version`.
    pub version: bool,
    /// The command, as it goes into the history.
    pub words: String,
    /// The server.
    pub place: Place,
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub enum Failure {
    /// Wrong arguments; the pattern that they should follow.
    Usage(&'static str),
    /// Everything is said already; the exit code.
    Said(u8),
    /// A line on standard error, or the reason alone in XML.
    Text {
        /// The line.
        said: String,
        /// The reason without the command's name.
        reason: String,
        /// The exit code.
        code: u8,
    },
}

/// A flag that ends the run.
#[derive(Debug)]
pub enum Flag {
    /// It asks for a line.
    Says(&'static str),
    /// GlusterFS has it, terrarium does not.
    Absent(String),
    /// Nobody has it.
    Unknown(String),
}

/// What a command gives: its exit code.
pub type Outcome = Result<u8, Failure>;

impl Failure {
    /// A line on standard error, exit code 1.
    pub fn text(said: impl Into<String>) -> Self {
        let said = said.into();
        Self::Text { reason: said.clone(), said, code: 1 }
    }

    /// `PREFIX: failed: REASON`.
    pub fn failed(prefix: &str, reason: &str) -> Self {
        let whole = matches!(reason, NO_MANAGER) || reason.starts_with("Error : Request timed out");
        let said = if whole { reason.into() } else { format!("{prefix}: failed: {reason}") };
        Self::Text { said, reason: reason.into(), code: 1 }
    }

    /// The same with another exit code.
    pub fn with_code(self, code: u8) -> Self {
        match self {
            Self::Text { said, reason, .. } => Self::Text { said, reason, code },
            other => other,
        }
    }
}

impl Session {
    /// Takes the flags out of the words, wherever they stand.
    ///
    /// # Errors
    /// The flag that ends the run.
    pub fn from_flags(words: Vec<String>) -> Result<(Self, Vec<String>), Flag> {
        let place = Place::here();
        let mut session =
            Self { script: false, xml: false, forced: false, version: false, words: String::new(), place };
        let mut rest = vec![];
        for word in words {
            match word.as_str() {
                "--xml" => session.xml = true,
                "--mode=script" => session.script = true,
                "--mode=interactive" => session.script = false,
                "--version" | "-V" => session.version = true,
                "--print-logdir" => return Err(Flag::Says("/var/log/glusterfs")),
                "--print-statedumpdir" => return Err(Flag::Says("/var/run/gluster")),
                "--wignore" => session.forced = true,
                "--nolog" | "--wignore-partition" => {}
                flag if flag.starts_with("--log-level=") || flag.starts_with("--log-file=") => {}
                flag if flag.starts_with("--timeout=") => {}
                flag if flag.starts_with("--remote-host=")
                    || flag.starts_with("--glusterd-sock=")
                    || flag == "--inet6" =>
                {
                    return Err(Flag::Absent(flag.into()));
                }
                flag if flag.starts_with("--") && flag != "--help" => {
                    return Err(Flag::Unknown(flag.into()));
                }
                _ => rest.push(word),
            }
        }
        Ok((session, rest))
    }

    /// Asks the manager of this server, starting it at its first use.
    ///
    /// # Errors
    /// The manager's reason, or that there is none.
    pub fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        self.try_ask(ask).unwrap_or_else(|e| match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err("Error : Request timed out".into()),
            _ => Err(NO_MANAGER.into()),
        })
    }

    fn try_ask(&self, ask: &Ask) -> io::Result<Result<Answer, String>> {
        if !glusterd::answers(&self.place) && !self.place.was_started() {
            ensure_manager(&self.place.name)
                .and_then(|()| if glusterd::answers(&self.place) { Ok(()) } else { start_here(&self.place) })
                .inspect_err(|e| eprintln!("gluster: {e}"))?;
        }
        let mut stream = UnixStream::connect(self.place.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write_frame(&mut stream, &(&self.words, ask))?;
        read_frame(&mut stream)
    }

    /// Asks for a change of a volume.
    ///
    /// # Errors
    /// The manager's reason.
    pub fn change(&self, volume: &str, change: Change, force: bool) -> Result<Answer, String> {
        self.ask(&Ask::Change(Op { volume: volume.into(), change, force }))
    }

    /// Asks all servers about a volume.
    ///
    /// # Errors
    /// The manager's reason.
    pub fn query(&self, volume: &str, about: About) -> Result<(Volume, Vec<Report>), String> {
        match self.ask(&Ask::Query(Query { volume: volume.into(), about }))? {
            Answer::Reports(volume, reports) => Ok((*volume, reports)),
            _ => Err(MISUNDERSTOOD.into()),
        }
    }

    /// One volume, or all of them, sorted by name.
    ///
    /// # Errors
    /// The manager's reason.
    pub fn volumes(&self, name: Option<&str>) -> Result<Vec<Volume>, String> {
        match self.ask(&Ask::Volumes(name.map(str::to_owned)))? {
            Answer::Volumes(volumes) => Ok(volumes),
            _ => Err(MISUNDERSTOOD.into()),
        }
    }

    /// What was set for the whole pool.
    ///
    /// # Errors
    /// The manager's reason.
    pub fn globals(&self) -> Result<Vec<(String, String)>, String> {
        match self.ask(&Ask::Globals)? {
            Answer::Options(set) => Ok(set),
            _ => Err(MISUNDERSTOOD.into()),
        }
    }

    /// Asks a question on the terminal (or whatever standard input is).
    pub fn confirm(&self, question: &str) -> bool {
        if self.script {
            return true;
        }
        print!("{question} (y/n) ");
        let _ = io::stdout().flush();
        let mut line = String::new();
        if io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
            println!("gluster cli read error");
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => true,
            "n" | "no" => false,
            _ => {
                println!("Invalid input, please enter y/n");
                false
            }
        }
    }

    /// Prints a result: plain text, or XML made only when it is wanted.
    pub fn say(&self, text: &str, xml: impl FnOnce() -> super::xml::Node) -> Outcome {
        if self.xml {
            print!("{}", super::xml::success(vec![xml()]));
        } else {
            println!("{text}");
        }
        Ok(0)
    }
}

/// What the manager said is not an answer to what was asked.
pub const MISUNDERSTOOD: &str = "the manager is of another version; restart it with `systemctl restart glusterd`";

fn start_here(place: &Place) -> io::Result<()> {
    let mut command = std::process::Command::new(crate::sandbox::own_exe().map_err(io::Error::other)?);
    let output = command.args(["glusterd", "--name", &place.name]).output()?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(io::Error::other(said)) }
}
