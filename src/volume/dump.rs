//! What a process of a volume tells of its own state: sections of `key=value`, named and written as GlusterFS's are.
//!
//! They are a file when somebody asks for one (SIGUSR1, `gluster volume statedump`), and files below `.meta` on a mount. Each part of
//! the process that has something to tell says so once ([`on_request`]). GlusterFS also dumps its memory pools and its queues of
//! frames, which have no counterpart here.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What one part tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// `cluster/replicate.gv0-replicate-0`.
    pub title: String,
    /// Key and value.
    pub pairs: Vec<(String, String)>,
}

impl Section {
    /// A section without pairs.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), pairs: vec![] }
    }

    /// With one pair more.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.pairs.push((key.into(), value.to_string()));
        self
    }

    /// `[title]` and a line a pair; `equals` stands between key and value.
    pub fn text(&self, equals: &str) -> String {
        let mut text = format!("[{}]\n", self.title);
        for (key, value) in &self.pairs {
            let _ = writeln!(text, "{key}{equals}{value}");
        }
        text
    }
}

/// Somebody who tells; `None`: it is gone.
type Teller = Box<dyn Fn() -> Option<Vec<Section>> + Send>;

static TELLERS: Mutex<Vec<Teller>> = Mutex::new(vec![]);

/// From now on `teller` is asked whenever the process is to tell its state, until it gives `None`.
pub fn on_request(teller: impl Fn() -> Option<Vec<Section>> + Send + 'static) {
    TELLERS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(teller));
}

/// Into which folder a dump goes (`None`: the usual one), and what its name begins with.
static PLACE: Mutex<(Option<PathBuf>, String)> = Mutex::new((None, String::new()));

/// Dumps go into this folder, or (`None`) into the usual one.
pub fn into(folder: Option<PathBuf>) {
    PLACE.lock().unwrap_or_else(PoisonError::into_inner).0 = folder;
}

/// Names of dumps begin so.
pub fn named(prefix: &str) {
    PLACE.lock().unwrap_or_else(PoisonError::into_inner).1 = prefix.to_owned();
}

/// The folder, if it is not the usual one, and the beginning of the name.
pub fn place() -> (Option<PathBuf>, String) {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (place.0, if place.1.is_empty() { "glusterdump".into() } else { place.1 })
}

/// What all of them tell now.
pub fn text() -> String {
    let mut text = String::new();
    TELLERS.lock().unwrap_or_else(PoisonError::into_inner).retain(|teller| {
        let told = teller();
        text.extend(told.iter().flatten().map(|section| section.text("=") + "\n"));
        told.is_some()
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is gone is asked no more.
    #[test]
    fn those_that_are_there_are_asked() {
        let life = std::sync::Arc::new(());
        let weak = std::sync::Arc::downgrade(&life);
        on_request(move || weak.upgrade().map(|_| vec![Section::new("a.test").with("up", 1)]));
        assert!(text().contains("[a.test]\nup=1\n\n"));
        drop(life);
        assert!(!text().contains("a.test"));
    }
}
