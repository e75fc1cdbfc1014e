//! LXC's `config` file, line by line.
//!
//! A file is a list of `key = value`; `#` begins a comment line; an empty value empties a list; the same key may
//! come many times; `lxc.include` puts another file (or every `*.conf` of a directory) in its place. The meaning of
//! keys is the next module's ([`super::spec`]); here is only their form, and their older names.
//!
//! Source: lxc.container.conf(5).

use std::fmt;

/// How deep files may include each other.
const DEEPEST_INCLUDE: usize = 16;

/// One `key = value` of a configuration, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key in today's spelling ([`modern`]).
    pub key: String,
    /// The key as it was written.
    pub written: String,
    /// The value without surrounding blanks and quotes; empty to empty a list.
    pub value: String,
    /// Where it stands.
    pub at: Place,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file's path.
    pub file: String,
    /// Its line, from 1; 0 for a value given on the command line.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { write!(f, "{}", self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

/// Why a configuration cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct Malformed {
    /// Where.
    pub at: Place,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// A whole configuration: the entries in the order in which they take effect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// The entries, includes put in their places.
    pub entries: Vec<Entry>,
}

/// Finds what `lxc.include` names: a list of (path, text), several for a directory. The error is in words.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<(String, String)>, String>;

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    /// A line that is not `key = value`; an include that cannot be read or goes in circles.
    pub fn parse(file: &str, text: &str, include: Include) -> Result<Self, Malformed> {
        let mut config = Self::default();
        config.read(file, text, include, 0)?;
        Ok(config)
    }

    /// Adds one `key=value`, as `lxc-start -s` gives it.
    ///
    /// # Errors
    /// Words that are not `key=value`.
    pub fn define(&mut self, words: &str) -> Result<(), Malformed> {
        let at = Place { file: "command line".into(), line: 0 };
        let entry = entry_of(words, &at)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Every value of a key, in order; an empty value empties what came before it.
    pub fn all(&self, key: &str) -> Vec<&Entry> {
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|e| e.key == key) {
            if entry.value.is_empty() {
                found.clear();
            } else {
                found.push(entry);
            }
        }
        found
    }

    /// The last value of a key, if it has one.
    pub fn last(&self, key: &str) -> Option<&Entry> {
        self.all(key).pop()
    }

    fn read(&mut self, file: &str, text: &str, include: Include, depth: usize) -> Result<(), Malformed> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = entry_of(line, &Place { file: file.into(), line: number + 1 })?;
            if entry.key == "lxc.include" {
                self.include(&entry, include, depth + 1)?;
            } else {
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    fn include(&mut self, entry: &Entry, include: Include, depth: usize) -> Result<(), Malformed> {
        let fail = |why: String| Malformed { at: entry.at.clone(), why };
        if depth > DEEPEST_INCLUDE {
            return Err(fail(format!("lxc.include of {} goes in circles", entry.value)));
        }
        let files = include(&entry.value).map_err(|why| fail(format!("cannot include {}: {why}", entry.value)))?;
        for (file, text) in files {
            self.read(&file, &text, include, depth)?;
        }
        Ok(())
    }
}

fn entry_of(line: &str, at: &Place) -> Result<Entry, Malformed> {
    let Some((key, value)) = line.split_once('=') else {
        return Err(Malformed { at: at.clone(), why: format!("`{line}` is not `key = value`") });
    };
    let written = key.trim().to_string();
    Ok(Entry { key: modern(&written), written, value: unquoted(value.trim()).into(), at: at.clone() })
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// Keys that LXC renamed in version 2.1: (old, new). The homework's picture has the old ones.
const RENAMED: &[(&str, &str)] = &[
    ("lxc.rootfs", "lxc.rootfs.path"),
    ("lxc.rootfs.backend", "lxc.rootfs.backend"),
    ("lxc.utsname", "lxc.uts.name"),
    ("lxc.mount", "lxc.mount.fstab"),
    ("lxc.tty", "lxc.tty.max"),
    ("lxc.devttydir", "lxc.tty.dir"),
    ("lxc.pts", "lxc.pty.max"),
    ("lxc.console", "lxc.console.path"),
    ("lxc.haltsignal", "lxc.signal.halt"),
    ("lxc.rebootsignal", "lxc.signal.reboot"),
    ("lxc.stopsignal", "lxc.signal.stop"),
    ("lxc.id_map", "lxc.idmap"),
    ("lxc.init_cmd", "lxc.init.cmd"),
    ("lxc.init_uid", "lxc.init.uid"),
    ("lxc.init_gid", "lxc.init.gid"),
    ("lxc.aa_profile", "lxc.apparmor.profile"),
    ("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    ("lxc.se_context", "lxc.selinux.context"),
    ("lxc.seccomp", "lxc.seccomp.profile"),
    ("lxc.logfile", "lxc.log.file"),
    ("lxc.loglevel", "lxc.log.level"),
    ("lxc.syslog", "lxc.log.syslog"),
    ("lxc.kmsg", "lxc.kmsg"),
];

/// A key in today's spelling: `lxc.utsname` is `lxc.uts.name`, `lxc.network.ipv4` is `lxc.net.0.ipv4.address`. (Old
/// networks are numbered by their `type` lines in [`super::spec`].)
pub fn modern(key: &str) -> String {
    RENAMED.iter().find(|(old, _)| *old == key).map_or_else(|| key.to_string(), |(_, new)| (*new).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Result<Vec<(String, String)>, String> {
        Err("no such file".into())
    }

    /// The homework's picture has keys from before LXC 2.1; they mean what today's keys mean.
    #[test]
    fn old_keys_are_todays_keys() {
        let text = "# a comment\nlxc.rootfs = /var/lib/lxc/aufstest2/rootfs\n  lxc.utsname=\"aufstest2\"\n";
        let config = Config::parse("config", text, &mut none).unwrap();
        assert_eq!(config.last("lxc.rootfs.path").unwrap().value, "/var/lib/lxc/aufstest2/rootfs");
        assert_eq!(config.last("lxc.uts.name").unwrap().value, "aufstest2");
        assert_eq!(config.last("lxc.uts.name").unwrap().at, Place { file: "config".into(), line: 3 });
    }

    /// An empty value empties the list so far, also across an include.
    #[test]
    fn an_empty_value_empties_the_list() {
        let mut include = |path: &str| Ok(vec![(path.to_string(), "lxc.cap.drop = sys_time\n".to_string())]);
        let text = "lxc.include = /common\nlxc.cap.drop =\nlxc.cap.drop = sys_boot\n";
        let config = Config::parse("config", text, &mut include).unwrap();
        assert_eq!(config.all("lxc.cap.drop").iter().map(|e| &*e.value).collect::<Vec<_>>(), ["sys_boot"]);
    }

    /// What is wrong is said with its file and line; a file that includes itself ends.
    #[test]
    fn errors_name_the_place() {
        let said = Config::parse("config", "lxc.uts.name = a\nnonsense\n", &mut none).unwrap_err().to_string();
        assert_eq!(said, "config:2: `nonsense` is not `key = value`");
        let said = Config::parse("config", "lxc.include = /x\n", &mut none).unwrap_err().to_string();
        assert_eq!(said, "config:1: cannot include /x: no such file");
        let mut circle = |path: &str| Ok(vec![(path.to_string(), "lxc.include = /x\n".to_string())]);
        assert!(Config::parse("config", "lxc.include = /x\n", &mut circle).unwrap_err().why.contains("circles"));
    }
}
