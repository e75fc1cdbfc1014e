//! Opening, leaving and resetting a lab; and what is kept of a copied text.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::tui::action::Action;
use crate::tui::host::Host;
use crate::tui::settings;
use crate::tui::tutor::{Lesson, Tutor};
use crate::tui::ui::Place;
use crate::world::World;
use crate::world::client::Client;

use super::{Due, Loop, Mail, UnboundedSender, watch};

/// A lab that is open.
pub(super) struct Lab {
    /// The line to its world.
    pub client: Client,
    /// Its lesson.
    pub lesson: Box<dyn Lesson>,
}

impl Loop {
    /// Opens a lab, on a thread of its own.
    pub(super) fn open(&mut self, lab: String) {
        self.opening += 1;
        let Some(tutor) = self.tutor.clone() else { return };
        let (host, mail, opening) = (Arc::clone(&self.host), self.mail.clone(), self.opening);
        std::thread::spawn(move || {
            let outcome = caught(|| begin(&*host, &*tutor, &lab, opening, &mail));
            mail.send(Mail::Opened(opening, outcome))
        });
    }

    pub(super) fn opened(&mut self, outcome: Result<Lab, String>) -> io::Result<()> {
        self.due = Due::Now;
        match outcome {
            Ok(lab) => {
                self.lab = Some(lab);
                self.act(Action::Opened)?;
                self.speak()
            }
            Err(why) => {
                self.close();
                self.act(Action::Closed(why))
            }
        }
    }

    /// Leaves the lab, unless something runs in the shell and the person was not asked yet.
    pub(super) fn leave(&mut self, sure: bool) -> io::Result<()> {
        if let Some(what) = self.pty.as_ref().and_then(super::Pty::busy).filter(|_| !sure) {
            return self.act(Action::Busy(what));
        }
        self.close();
        self.act(Action::Closed(String::new()))?;
        self.speak()
    }

    /// Lets go of everything that belongs to the lab. A lesson may have to wait for its last check: elsewhere.
    pub(super) fn close(&mut self) {
        self.opening += 1;
        self.pty = None;
        self.world = World::default();
        let lab = self.lab.take();
        std::thread::spawn(move || drop(lab));
    }

    /// Forgets the lab's progress and its world, and opens both anew.
    pub(super) fn reset(&mut self) {
        let Place::Lab(lab) = self.ui.place.clone() else { return };
        self.ui.place = Place::Opening(lab.clone());
        let closing = self.lab.take();
        self.close();
        self.ui.shell.reset();
        let Some(tutor) = self.tutor.clone() else { return };
        let (host, mail, opening) = (Arc::clone(&self.host), self.mail.clone(), self.opening);
        std::thread::spawn(move || {
            drop(closing);
            let outcome = caught(|| {
                tutor.forget(&lab);
                host.reset(&lab).and_then(|()| begin(&*host, &*tutor, &lab, opening, &mail))
            });
            mail.send(Mail::Opened(opening, outcome))
        });
    }
}

/// Does what may fail, a broken promise inside included: then the screen is told, and does not wait for ever.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    outcome.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("a fault of the program: {}", said.unwrap_or("no words")))
    })
}

/// Opens the world and the lesson in it.
fn begin(
    host: &dyn Host,
    tutor: &dyn Tutor,
    lab: &str,
    opening: u64,
    mail: &UnboundedSender<Mail>,
) -> Result<Lab, String> {
    let socket = host.open(lab)?;
    let reach = |e: io::Error| format!("the lab's world does not answer at {}: {e}", socket.display());
    let client = Client::connect(&socket).map_err(reach)?;
    watch(&client, opening, mail.clone()).map_err(reach)?;
    let told = mail.clone();
    let changed = Box::new(move || drop(told.send(Mail::Lesson(opening))));
    let lesson = tutor.open(lab, &socket, changed)?;
    Ok(Lab { client, lesson })
}

/// What a command gave, in words; nothing for nothing.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

/// The escape sequence that puts a text on the clipboard of the person's terminal, also over ssh.
pub(super) fn osc52(text: &str) -> String {
    format!("\x1b]52;c;{}\x07", base64(text.as_bytes()))
}

/// Keeps a copied text in a file too, for terminals that refuse the clipboard: `$XDG_STATE_HOME/terrarium/copied.txt`.
pub(super) fn keep(text: &str) -> io::Result<PathBuf> {
    let folder = settings::folder();
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("copied.txt");
    std::fs::write(&path, text)?;
    Ok(path)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().chain(&[0, 0]).take(3).fold(0u32, |bits, b| bits << 8 | u32::from(*b));
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { letter.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, caught, words};

    /// A broken promise becomes an outcome like any other.
    #[test]
    fn a_panic_is_an_outcome() {
        let broken = || -> Result<(), String> { panic!("no {}", "lab") };
        assert_eq!(caught(broken), Err("a fault of the program: no lab".into()));
        assert_eq!(caught(|| Ok(1)), Ok(1));
    }

    /// The examples of RFC 4648.
    #[test]
    fn base64_is_rfc_4648() {
        for (text, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), coded);
        }
    }

    /// A reply without a value says nothing; a text says itself; an object is laid out.
    #[test]
    fn replies_are_words() {
        assert_eq!(words(&serde_json::Value::Null), "");
        assert_eq!(words(&"OK".into()), "OK");
        assert_eq!(words(&serde_json::json!({"a": 1})), "{\n  \"a\": 1\n}");
    }
}
