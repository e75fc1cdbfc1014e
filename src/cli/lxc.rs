//! What the `lxc-*` commands share: their options, their words on errors, their way to a container.
//!
//! Options are read as LXC reads them: `-n NAME`, `--name NAME`, `--name=NAME`, `-nNAME`; the name may also be
//! the first word that is no option; `--` ends the options; what follows the name is a command for those that take one.
//! Source: lxc(7) and each command's manual page.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::container::runtime::store::{DEFAULT_PATH, Place};

/// An option of a command.
pub struct Opt {
    /// Its letter; a blank if it has none.
    pub short: char,
    /// Its long name.
    pub long: &'static str,
    /// The name of its value, if it takes one; with `[`…`]` if it may be left out.
    pub value: Option<&'static str>,
    /// What it does, a few words.
    pub help: &'static str,
}

/// Shorthand for the tables.
pub const fn opt(short: char, long: &'static str, value: Option<&'static str>, help: &'static str) -> Opt {
    Opt { short, long, value, help }
}

/// A command: its name, how it is used, its own options.
pub struct Tool {
    /// `lxc-start`.
    pub name: &'static str,
    /// What follows the name in its usage.
    pub usage: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its options besides the common ones.
    pub options: &'static [Opt],
    /// Whether it wants a container's name.
    pub wants_name: bool,
}

/// The options of every command.
const COMMON: &[Opt] = &[
    opt('n', "name", Some("NAME"), "NAME of the container"),
    opt('P', "lxcpath", Some("PATH"), "Use specified container path"),
    opt('o', "logfile", Some("FILE"), "Output log to FILE instead of stderr"),
    opt('l', "logpriority", Some("LEVEL"), "Set log priority to LEVEL"),
    opt('q', "quiet", None, "Don't produce any output"),
    opt('?', "help", None, "Give this help list"),
    opt('h', "help", None, "Give this help list"),
    opt(' ', "usage", None, "Give a short usage message"),
    opt(' ', "version", None, "Print the version number"),
];

/// The version of LXC whose manual the commands follow.
pub const VERSION: &str = "5.0.2";

/// What was asked on the command line.
pub struct Asked {
    tool: &'static Tool,
    values: Vec<(&'static str, String)>,
    /// Words after the options (and after the name).
    pub rest: Vec<String>,
}

impl Tool {
    /// Reads the command line. `Err` is an exit code: help was shown (0), or the words make no sense (1).
    ///
    /// # Errors
    /// The exit code to end with at once.
    pub fn read(&'static self, args: &[OsString]) -> Result<Asked, ExitCode> {
        let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
        let asked = self.parse(&words).map_err(|wrong| {
            eprintln!("{}: {wrong}", self.name);
            eprint!("{}", self.help());
            ExitCode::from(1)
        })?;
        if asked.has("help") || asked.has("usage") {
            print!("{}", self.help());
            return Err(ExitCode::SUCCESS);
        }
        if asked.has("version") {
            println!("{VERSION}");
            return Err(ExitCode::SUCCESS);
        }
        if self.wants_name && asked.value("name").is_none() {
            eprintln!("{}: No container name specified", self.name);
            return Err(ExitCode::from(1));
        }
        Ok(asked)
    }

    fn find(&self, fits: impl Fn(&Opt) -> bool) -> Option<&'static Opt> {
        self.options.iter().chain(COMMON).find(|o| fits(o))
    }

    fn parse(&'static self, words: &[String]) -> Result<Asked, String> {
        let mut asked = Asked { tool: self, values: Vec::new(), rest: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                asked.rest.extend(words.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                self.long(long, &mut words, &mut asked)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.short(&word[1..], &mut words, &mut asked)?;
            } else if self.wants_name && asked.value("name").is_none() {
                asked.values.push(("name", word.clone()));
            } else {
                asked.rest.push(word.clone());
                asked.rest.extend(words.by_ref().cloned());
            }
        }
        Ok(asked)
    }

    fn long<'a>(
        &self,
        word: &str,
        words: &mut impl Iterator<Item = &'a String>,
        asked: &mut Asked,
    ) -> Result<(), String> {
        let (name, given) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v.to_string())));
        let exact = self.find(|o| o.long == name);
        let option = exact.or_else(|| self.find(|o| o.long.starts_with(name) && !name.is_empty()));
        let option = option.ok_or_else(|| format!("unrecognized option '--{name}'"))?;
        let value = match (option.value, given) {
            (None, Some(_)) => return Err(format!("option '--{}' doesn't allow an argument", option.long)),
            (None, None) => String::new(),
            (Some(_), Some(value)) => value,
            (Some(what), None) if what.starts_with('[') => String::new(),
            (Some(_), None) => {
                words.next().cloned().ok_or(format!("option '--{}' requires an argument", option.long))?
            }
        };
        asked.values.push((option.long, value));
        Ok(())
    }

    fn short<'a>(
        &self,
        letters: &str,
        words: &mut impl Iterator<Item = &'a String>,
        asked: &mut Asked,
    ) -> Result<(), String> {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let option = self.find(|o| o.short == letter).ok_or_else(|| format!("invalid option -- '{letter}'"))?;
            let Some(what) = option.value else {
                asked.values.push((option.long, String::new()));
                continue;
            };
            let attached = letters.as_str();
            let value = match (attached.is_empty(), what.starts_with('[')) {
                (false, _) => attached.trim_start_matches('=').to_string(),
                (true, true) => String::new(),
                (true, false) => {
                    words.next().cloned().ok_or_else(|| format!("option requires an argument -- '{letter}'"))?
                }
            };
            asked.values.push((option.long, value));
            break;
        }
        Ok(())
    }

    fn help(&self) -> String {
        let line = |o: &Opt| {
            let short = if o.short == ' ' { "    ".to_string() } else { format!("-{}, ", o.short) };
            let value = o.value.map_or(String::new(), |v| if v.starts_with('[') { v.into() } else { format!("={v}") });
            format!("  {:<28} {}\n", format!("{short}--{}{value}", o.long), o.help)
        };
        let own: String = self.options.iter().map(line).collect();
        let common: String = COMMON.iter().filter(|o| o.short != 'h').map(line).collect();
        format!("Usage: {} {}\n\n{}\n\nOptions :\n{own}\nCommon options :\n{common}", self.name, self.usage, self.about)
    }
}

impl Asked {
    /// Whether an option was given.
    pub fn has(&self, long: &str) -> bool {
        self.values.iter().any(|(name, _)| *name == long)
    }

    /// The last value of an option.
    pub fn value(&self, long: &str) -> Option<&str> {
        self.values.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// Every value of an option.
    pub fn all(&self, long: &str) -> Vec<String> {
        self.values.iter().filter(|(name, _)| *name == long).map(|(_, value)| value.clone()).collect()
    }

    /// The container's name; empty when none was given.
    pub fn name(&self) -> &str {
        self.value("name").unwrap_or_default()
    }

    /// Where the containers live.
    pub fn lxcpath(&self) -> PathBuf {
        PathBuf::from(self.value("lxcpath").unwrap_or(DEFAULT_PATH))
    }

    /// The container's place.
    pub fn place(&self) -> Place {
        self.place_of(self.name())
    }

    /// The place of another container.
    pub fn place_of(&self, name: &str) -> Place {
        Place::new(&self.lxcpath(), name)
    }

    /// Says an error, in LXC's form: tool, container, what happened.
    pub fn say(&self, words: impl Display) {
        if !self.has("quiet") {
            match self.name() {
                "" => eprintln!("{}: {words}", self.tool.name),
                name => eprintln!("{}: {name}: {words}", self.tool.name),
            }
        }
    }

    /// Says an error and gives the exit code 1.
    pub fn fail(&self, words: impl Display) -> ExitCode {
        self.say(words);
        ExitCode::from(1)
    }
}

/// Whether a name can be a container's: no `/`, no blank at its ends, not `.` or `..`.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('/')
        && ![".", ".."].contains(&name)
        && Path::new(name).file_name().is_some()
        && name.len() < 64
}

/// An exit code from a number.
pub fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TOOL: Tool = Tool {
        name: "lxc-test",
        usage: "--name=NAME [-- COMMAND]",
        about: "tests",
        options: &[
            opt('k', "kill", None, ""),
            opt('t', "tty", Some("NUM"), ""),
            opt('e', "elevated", Some("[=P]"), ""),
        ],
        wants_name: true,
    };

    fn parse(line: &str) -> Result<Asked, String> {
        TOOL.parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    /// A name can be given in every way that LXC takes, and what follows is the command, options and all.
    #[test]
    fn every_spelling_of_a_name() {
        for line in ["-n c1 -- ls -l", "--name=c1 -- ls -l", "--name c1 ls -l", "-nc1 ls -l", "c1 -- ls -l", "c1 ls -l"]
        {
            let asked = parse(line).unwrap();
            assert_eq!((asked.name(), asked.rest.join(" ").as_str()), ("c1", "ls -l"), "{line}");
        }
        let asked = parse("c1 -k -t 3").unwrap();
        assert_eq!((asked.name(), asked.has("kill"), asked.value("tty")), ("c1", true, Some("3")));
        assert_eq!(parse("-e -n c1").unwrap().name(), "c1", "an optional value is never the next word");
    }

    /// What makes no sense is said as getopt says it.
    #[test]
    fn wrong_words() {
        let wrong = |line: &str| parse(line).err().unwrap_or_default();
        assert_eq!(wrong("--nosuch"), "unrecognized option '--nosuch'");
        assert_eq!(wrong("-x"), "invalid option -- 'x'");
        assert_eq!(wrong("-t"), "option requires an argument -- 't'");
        assert_eq!(wrong("--kill=3"), "option '--kill' doesn't allow an argument");
    }
}
