//! Texts in the course's languages, and the holes in them.
//!
//! A text is written once per language in the lab's folder; the code knows it by a key. Holes are written `{name}` and
//! filled when the text is shown: with a message's own arguments, with the student's own names and numbers
//! ([`super::vars`]), or with a machine that a selector finds (`{leader}`, `{was:leader}`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A language of the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Lang {
    /// Simplified Chinese.
    #[default]
    #[serde(rename = "zh-CN")]
    ZhCn,
    /// English.
    #[serde(rename = "en")]
    En,
}

impl Lang {
    /// Every language, the first one first.
    pub const ALL: [Self; 2] = [Self::ZhCn, Self::En];

    /// The tag that names files and settings: `zh-CN`, `en`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::ZhCn => "zh-CN",
            Self::En => "en",
        }
    }

    /// The language of a tag or of a POSIX locale (`zh_CN.UTF-8`); English if it is neither.
    pub fn from_tag(tag: &str) -> Self {
        if tag.to_ascii_lowercase().starts_with("zh") { Self::ZhCn } else { Self::En }
    }
}

/// One text in every language that has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(BTreeMap<Lang, String>);

impl Text {
    /// Sets the text of one language.
    pub fn set(&mut self, lang: Lang, text: &str) {
        self.0.insert(lang, text.trim_end().to_owned());
    }

    /// The text with its holes, in `lang` or else in any language; empty if there is none.
    pub fn get(&self, lang: Lang) -> &str {
        self.0.get(&lang).or_else(|| self.0.values().next()).map_or("", String::as_str)
    }

    /// Whether this language has the text.
    pub fn has(&self, lang: Lang) -> bool {
        self.0.get(&lang).is_some_and(|text| !text.trim().is_empty())
    }

    /// Whether no language has the text.
    pub fn is_empty(&self) -> bool {
        Lang::ALL.iter().all(|lang| !self.has(*lang))
    }
}

/// Something to say: the key of a text and what fills its holes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The text's key: `one_leader.none`, or a key of the step's own `says`.
    pub key: String,
    /// Hole → filling.
    pub args: BTreeMap<String, String>,
}

impl Message {
    /// A message without arguments.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), args: BTreeMap::new() }
    }

    /// The message with one more argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.args.insert(name.into(), value.to_string());
        self
    }
}

/// Fills the holes of `text`: `{name}` becomes `find("name")`; a hole that nothing fills stays as it is.
pub fn fill(text: &str, find: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        match find(&rest[1..close]) {
            Some(filling) => out.push_str(&filling),
            None => out.push_str(&rest[..=close]),
        }
        rest = &rest[close + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{Lang, Message, Text, fill};

    /// Holes with a filling are filled, all else is left as it was written, Chinese included.
    #[test]
    fn holes_are_filled() {
        let find = |name: &str| (name == "leader").then(|| "n3".to_owned());
        assert_eq!(fill("杀掉 {leader}：`kill {pid}` {", &find), "杀掉 n3：`kill {pid}` {");
    }

    /// A missing translation falls back to a language that has the text, string by string.
    #[test]
    fn a_missing_translation_falls_back() {
        let mut text = Text::default();
        assert!(text.is_empty());
        text.set(Lang::En, "hello\n");
        assert_eq!((text.get(Lang::ZhCn), text.has(Lang::ZhCn), text.has(Lang::En)), ("hello", false, true));
    }

    /// A message carries what fills its holes.
    #[test]
    fn a_message_carries_its_arguments() {
        let message = Message::new("k").with("n", 3);
        assert_eq!(message.args["n"], "3");
    }
}
