//! A process that a manager looks after: started by it, or found running when the manager itself was started anew.
//!
//! Bricks outlive their manager, as GlusterFS's do: killing a manager does not touch the data. So each process has a
//! pid file, and a manager that starts adopts what runs, having made sure by the command line that the number was not
//! given to somebody else meanwhile.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

/// How often an adopted process is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How long a process has to end by itself when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name in `ps`: `glusterfsd`.
    pub name: &'static str,
    /// The arguments of this program.
    pub args: Vec<OsString>,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where its process id is written.
    pub pid_file: PathBuf,
}

/// A running process, or one that has ended since.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its process id.
    pub pid: i32,
    ended: CancellationToken,
}

impl Process {
    /// Starts it, in a process group of its own.
    ///
    /// # Errors
    /// If the program, the log or the pid file is not to be had.
    pub fn start(spec: &Spec) -> io::Result<Self> {
        for file in [&spec.log, &spec.pid_file] {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&spec.log)?;
        let exe = crate::sandbox::own_exe().map_err(io::Error::other)?;
        let mut command = tokio::process::Command::new(exe);
        command.arg0(spec.name).args(&spec.args).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        fs::write(&spec.pid_file, format!("{pid}\n"))?;
        let process = Self { pid, ended: CancellationToken::new() };
        let ended = process.ended.clone();
        tokio::spawn(async move {
            let _ = child.wait().await;
            ended.cancel();
        });
        Ok(process)
    }

    /// Finds it running by its pid file; `telling` must all be among its arguments.
    pub fn adopt(pid_file: &Path, telling: &[&str]) -> Option<Self> {
        let pid = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        let args = arguments(pid)?;
        let is_ours = telling.iter().all(|word| args.iter().any(|a| a == word));
        is_ours.then(|| Self::watch(pid))
    }

    fn watch(pid: i32) -> Self {
        let process = Self { pid, ended: CancellationToken::new() };
        let ended = process.ended.clone();
        tokio::spawn(async move {
            while arguments(pid).is_some() {
                tokio::time::sleep(LOOK).await;
            }
            ended.cancel();
        });
        process
    }

    /// Whether it runs (or is stopped, but not ended).
    pub fn is_alive(&self) -> bool {
        !self.ended.is_cancelled() && arguments(self.pid).is_some()
    }

    /// Resolves when it has ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The value of one of its arguments: `--port`.
    pub fn argument(&self, name: &str) -> Option<String> {
        let args = arguments(self.pid)?;
        args.iter().skip_while(|a| *a != name).nth(1).cloned()
    }

    /// Asks it to end, and after some patience ends it.
    pub async fn stop(&self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if !self.is_alive() || kill(Pid::from_raw(self.pid), signal).is_err() {
                return;
            }
            // A stopped process would not hear the first signal.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGCONT);
            let _ = tokio::time::timeout(PATIENCE, self.ended()).await;
        }
    }
}

/// The arguments of a running process; `None` if there is none, or a zombie.
fn arguments(pid: i32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
    Some(line.split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect())
}
