//! What the person chose once and finds again: language and colours, in `$XDG_STATE_HOME/terrarium/screen.json`. Where
//! nothing was chosen the environment decides; what cannot be read or written is left alone, for it is not worth a word.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::text::Texts;
use super::theme::Theme;

/// The choices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The language's tag.
    language: Option<String>,
    /// The theme's name.
    theme: Option<String>,
}

impl Settings {
    /// The choices of this person.
    pub fn load() -> Self {
        let text = std::fs::read(path()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The texts to begin with.
    pub fn texts(&self) -> Texts {
        self.language.as_deref().map_or_else(Texts::of_environment, Texts::new)
    }

    /// The theme to begin with; `NO_COLOR` holds in any case.
    pub fn theme(&self) -> Theme {
        let given = Theme::of_environment();
        self.theme.as_deref().map_or(given.clone(), |name| Theme::new(name, given.colourless()))
    }

    /// Keeps what is chosen now.
    pub fn keep(&mut self, texts: &Texts, theme: &Theme) {
        (self.language, self.theme) = (Some(texts.tag().into()), Some(theme.name().into()));
        let _ = std::fs::create_dir_all(folder());
        let _ = serde_json::to_vec(self).map(|text| std::fs::write(path(), text));
    }
}

/// The program's state folder: `$XDG_STATE_HOME/terrarium`, or `~/.local/state/terrarium`.
pub fn folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("terrarium")
}

fn path() -> PathBuf {
    folder().join("screen.json")
}
