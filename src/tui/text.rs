//! Every word on the screen, in the person's language.
//!
//! The texts are Fluent files in `assets/locales`, built into the program. A text that a language lacks is taken from
//! English; one that English lacks shows its own name, so that a gap is seen and never empty.

use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

/// The languages there are: tag, own name, texts.
const LANGUAGES: &[(&str, &str, &str)] = &[
    ("en", "English", include_str!("../../assets/locales/en.ftl")),
    ("zh-CN", "简体中文", include_str!("../../assets/locales/zh-CN.ftl")),
];

/// The texts of one language. Cheap to clone.
#[derive(Clone)]
pub struct Texts {
    index: usize,
    own: Arc<FluentBundle<FluentResource>>,
    english: Arc<FluentBundle<FluentResource>>,
}

impl Texts {
    /// The texts of the language with this tag (`zh-CN`); of English if there is none.
    pub fn new(tag: &str) -> Self {
        let index = LANGUAGES.iter().position(|l| l.0 == tag).unwrap_or(0);
        let english = Arc::new(bundle(0));
        let own = if index == 0 { Arc::clone(&english) } else { Arc::new(bundle(index)) };
        Self { index, own, english }
    }

    /// The language that a POSIX locale (`zh_CN.UTF-8`) asks for.
    pub fn of_locale(locale: &str) -> Self {
        Self::new(if locale.starts_with("zh") { "zh-CN" } else { "en" })
    }

    /// The language of the environment: `LC_ALL`, else `LC_MESSAGES`, else `LANG`.
    pub fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        Self::of_locale(&["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default())
    }

    /// The next language.
    #[must_use]
    pub fn next(&self) -> Self {
        Self::new(LANGUAGES[(self.index + 1) % LANGUAGES.len()].0)
    }

    /// The tag: `en`, `zh-CN`.
    pub fn tag(&self) -> &'static str {
        LANGUAGES[self.index].0
    }

    /// The language's name in itself.
    pub fn name(&self) -> &'static str {
        LANGUAGES[self.index].1
    }

    /// The text of this name.
    pub fn get(&self, id: &str) -> String {
        self.with(id, &[])
    }

    /// The text of this name with its blanks filled in.
    pub fn with(&self, id: &str, blanks: &[(&str, FluentValue<'_>)]) -> String {
        let args: FluentArgs = blanks.iter().map(|(k, v)| (*k, v.clone())).collect();
        let text = format(&self.own, id, &args).or_else(|| format(&self.english, id, &args));
        text.unwrap_or_else(|| id.into())
    }

    /// The text of this name, if there is one in any language.
    pub fn find(&self, id: &str) -> Option<String> {
        let args = FluentArgs::new();
        format(&self.own, id, &args).or_else(|| format(&self.english, id, &args))
    }
}

fn format(bundle: &FluentBundle<FluentResource>, id: &str, args: &FluentArgs) -> Option<String> {
    let pattern = bundle.get_message(id)?.value()?;
    Some(bundle.format_pattern(pattern, Some(args), &mut Vec::new()).into_owned())
}

fn bundle(index: usize) -> FluentBundle<FluentResource> {
    let (tag, _, source) = LANGUAGES[index];
    let resource = FluentResource::try_new(source.into()).unwrap_or_else(|(good, _)| good);
    let mut bundle = FluentBundle::new_concurrent(tag.parse().into_iter().collect());
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fluent_bundle::FluentResource;

    use super::{LANGUAGES, Texts};

    fn names(source: &str) -> BTreeSet<&str> {
        source
            .lines()
            .filter(|l| !l.starts_with([' ', '#', '}']))
            .filter_map(|l| l.split_once(" = "))
            .map(|l| l.0)
            .collect()
    }

    /// Both files are whole: each parses, and neither has a text that the other lacks.
    #[test]
    fn the_languages_say_the_same_things() {
        for (tag, _, source) in LANGUAGES {
            assert!(FluentResource::try_new((*source).into()).is_ok(), "{tag} does not parse");
        }
        assert_eq!(names(LANGUAGES[0].2), names(LANGUAGES[1].2));
    }

    /// An unknown locale speaks English; a Chinese one Chinese; a missing text shows its name.
    #[test]
    fn a_locale_finds_its_language() {
        assert_eq!(Texts::of_locale("zh_CN.UTF-8").tag(), "zh-CN");
        assert_eq!(Texts::of_locale("C").tag(), "en");
        assert_eq!(Texts::new("en").next().tag(), "zh-CN");
        assert_eq!(Texts::new("zh-CN").get("no-such-text"), "no-such-text");
    }
}
