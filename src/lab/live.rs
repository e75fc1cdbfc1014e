//! The stage over a running keeper.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Shelled, Stage};
use crate::world::client::{Client, Update};
use crate::world::{Command, Event, World};

/// How many events are kept for checks; a step at classroom speed makes a few dozen a second.
const KEEP: usize = 50_000;

/// How long the keeper may take to show the world.
const HELLO: Duration = Duration::from_secs(10);

/// A stage over a running keeper. Shell lines run as children of this process, which must itself be in the world.
pub struct Live {
    client: Client,
    seen: Arc<Seen>,
    by: String,
}

#[derive(Default)]
struct Seen {
    inside: Mutex<Inside>,
    news: Condvar,
}

#[derive(Default)]
struct Inside {
    world: World,
    /// The world as it was handed out last, while nothing has happened since.
    handed: Option<Arc<World>>,
    events: VecDeque<Arc<Event>>,
    there: bool,
    gone: bool,
}

impl Live {
    /// Connects to the keeper at `socket`; commands are asked for in the name of `by` (`check`, `lab`).
    ///
    /// # Errors
    /// As of connecting, or `TimedOut` if the keeper does not show its world.
    pub fn connect(socket: &Path, by: &str) -> io::Result<Self> {
        let client = Client::connect(socket)?;
        let seen = Arc::new(Seen::default());
        let watching = seen.clone();
        client.watch(move |update| watching.take(update))?;
        let live = Self { client, seen, by: by.into() };
        let there = live.seen.wait(Instant::now() + HELLO, |inside| inside.there || inside.gone);
        match there && !live.seen.inside().gone {
            true => Ok(live),
            false => Err(io::Error::new(io::ErrorKind::TimedOut, "the keeper does not show its world")),
        }
    }
}

impl Seen {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, update: Update) {
        let mut inside = self.inside();
        inside.handed = None;
        match update {
            Update::Snapshot(world) => (inside.world, inside.there) = (*world, true),
            Update::Event(event) => inside.event(event),
            Update::Gone => inside.gone = true,
        }
        self.news.notify_all();
    }

    /// Waits until it is so or the keeper is gone, at most until `deadline`. Whether it is so.
    fn wait(&self, deadline: Instant, so: impl Fn(&Inside) -> bool) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = self.news.wait_timeout_while(self.inside(), left, |inside| !so(inside) && !inside.gone);
        so(&wait.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Inside {
    fn event(&mut self, event: Arc<Event>) {
        self.world.apply(&event);
        if matches!(event.what, crate::world::What::Output { .. }) {
            return;
        }
        if self.events.len() == KEEP {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Stage for Live {
    fn run(&self, command: Command) -> Result<Value, String> {
        self.client.run(&self.by, command)
    }

    fn world(&self) -> Arc<World> {
        let mut inside = self.seen.inside();
        if inside.handed.is_none() {
            inside.handed = Some(Arc::new(inside.world.clone()));
        }
        inside.handed.clone().unwrap_or_default()
    }

    fn events_since(&self, seq: u64) -> Vec<Arc<Event>> {
        let inside = self.seen.inside();
        let from = inside.events.partition_point(|event| event.seq <= seq);
        inside.events.range(from..).cloned().collect()
    }

    fn changed(&self, seq: u64, deadline: Instant) -> bool {
        self.seen.wait(deadline, |inside| inside.world.seq > seq)
    }

    fn shell(&self, line: &str, limit: Duration) -> Result<Shelled, String> {
        shell(line, limit)
    }
}

/// Runs `sh -c LINE` in a process group of its own, which is killed when the limit is over.
fn shell(line: &str, limit: Duration) -> Result<Shelled, String> {
    let failed = |e: io::Error| format!("`{line}` cannot be run: {e}");
    let (mut output, theirs) = io::pipe().map_err(failed)?;
    let mut process = Process::new("sh");
    process.args(["-c", line]).stdin(Stdio::null()).process_group(0);
    process.stdout(theirs.try_clone().map_err(failed)?).stderr(theirs);
    let mut child = process.spawn().map_err(failed)?;
    // Its ends of the pipe must close with the child, so that reading ends.
    drop(process);
    let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    let (read, done) = std::sync::mpsc::channel();
    let reader = std::thread::Builder::new().name("output".into());
    let reading = reader.spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes);
        read.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    reading.map_err(failed)?;
    let Ok(output) = done.recv_timeout(limit) else {
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = child.wait();
        return Err(format!("`{line}` took longer than {} s", limit.as_secs()));
    };
    let status = child.wait().map_err(failed)?;
    Ok(Shelled { output, status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) })
}

#[cfg(test)]
mod tests {
    use super::shell;
    use std::time::Duration;

    /// A line's output, both streams in order, and its status come back; a signal is 128 + its number.
    #[test]
    fn a_shell_line_gives_output_and_status() {
        let ran = shell("echo out; echo err >&2; exit 3", Duration::from_secs(10)).unwrap();
        assert_eq!((ran.output.as_str(), ran.status), ("out\nerr\n", 3));
        assert_eq!(shell("kill -9 $$", Duration::from_secs(10)).unwrap().status, 137);
    }

    /// A line that does not end is ended, with everything that it started.
    #[test]
    fn a_line_that_does_not_end_is_ended() {
        let said = shell("sleep 1000 & sleep 1000", Duration::from_millis(100)).unwrap_err();
        assert!(said.contains("took longer"), "{said}");
    }
}
