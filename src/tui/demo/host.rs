//! A keeper that only plays: it gives its watchers the events of a story, in its time, and refuses every command.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::tui::host::Host;
use crate::world::wire::{FromKeeper, ToKeeper, read_frame, write_frame};
use crate::world::{Event, World, journal, reporter::now};

/// Opens the world of a story, or of a journal.
pub struct DemoHost {
    journal: Option<PathBuf>,
}

impl DemoHost {
    /// Plays the journal in this folder; without one, a story of its own.
    pub fn new(journal: Option<PathBuf>) -> Self {
        Self { journal }
    }

    fn events(&self) -> io::Result<Vec<Event>> {
        match &self.journal {
            Some(folder) => Ok(journal::read(folder)?.1),
            None => Ok(super::play().events),
        }
    }
}

impl Host for DemoHost {
    fn open(&self, _: &str) -> Result<PathBuf, String> {
        let fail = |e: io::Error| format!("the demo cannot be opened: {e}");
        let events = self.events().map_err(fail)?;
        let folder = std::env::temp_dir().join(format!("terrarium-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let socket = folder.join(format!("{}.sock", now()));
        let listener = UnixListener::bind(&socket).map_err(fail)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let events = events.clone();
                std::thread::spawn(move || serve(stream, events));
            }
        });
        Ok(socket)
    }

    fn shell(&self, _: &str) -> Vec<OsString> {
        vec![std::env::var_os("SHELL").unwrap_or_else(|| "sh".into())]
    }

    fn reset(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl Drop for DemoHost {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(std::env::temp_dir().join(format!("terrarium-demo-{}", std::process::id())));
    }
}

/// One client: answers what it asks, and plays once it watches.
fn serve(mut stream: UnixStream, events: Vec<Event>) -> io::Result<()> {
    let (say, said) = channel();
    let out = stream.try_clone()?;
    std::thread::spawn(move || write(out, &said));
    let mut events = Some(events);
    while let Ok(message) = read_frame(&mut stream) {
        match message {
            ToKeeper::Do { id, command, .. } => {
                let refused = Err(format!("`{command}`: this world is a recording"));
                let _ = say.send(FromKeeper::Reply { id, result: refused });
            }
            ToKeeper::Watch => {
                let (say, events) = (say.clone(), events.take().unwrap_or_default());
                std::thread::spawn(move || play(events, |message| say.send(message).is_ok()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn write(mut out: UnixStream, said: &Receiver<FromKeeper>) {
    while let Ok(message) = said.recv() {
        if write_frame(&mut out, &message).is_err() {
            return;
        }
    }
}

/// Sends the events in their own time, stamped anew, until nobody listens; pauses longer than two seconds are shortened.
fn play(events: Vec<Event>, mut say: impl FnMut(FromKeeper) -> bool) {
    let world = World { speed: 1.0, at: now(), ..World::default() };
    say(FromKeeper::Snapshot(Box::new(world)));
    let mut events: VecDeque<Event> = events.into();
    let mut last = events.front().map_or(0, |e| e.at);
    while let Some(mut event) = events.pop_front() {
        let pause = event.at.saturating_sub(last).min(2_000_000);
        last = event.at;
        std::thread::sleep(Duration::from_micros(pause));
        event.at = now();
        if !say(FromKeeper::Event(Arc::new(event))) {
            return;
        }
    }
}
