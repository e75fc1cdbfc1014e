//! The options of a volume: which there are, what they default to, and what may be set.
//!
//! [`TABLE`] is data: one row an option, with the type of its value and whether something here acts on it. A row of
//! [`Support::Kept`] is stored and shown but changes nothing, and setting it says so; one of [`Support::Absent`] belongs
//! to a feature that terrarium does not have and is refused. [`check`] answers with the words of the real tool.
//!
//! [`fits`] adds what depends on the volume that it is set for.
//!
//! Left out: the per-translator completion of half-typed keys beyond their last part (`ping-timeout` is understood).

mod rules;
mod table;
mod value;

pub use rules::{GLOBAL, fits};

pub use table::{Row, Support, TABLE};
pub use value::{Check, Least, boolean, seconds, size};

use super::definition::Volume;

/// Why an option cannot be set or shown; the text follows `volume set: failed: ` as in GlusterFS 10.3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such key.
    #[error("option : {key} does not exist\nDid you mean {hint}?")]
    Unknown {
        /// What was typed.
        key: String,
        /// The nearest key that exists.
        hint: String,
    },
    /// The value does not fit.
    #[error("{0}")]
    Value(String),
    /// GlusterFS has it, terrarium does not.
    #[error("gluster has the option {0}, terrarium does not")]
    Absent(&'static str),
}

/// The row of a key: in full, or its last part alone (`ping-timeout`; of several options that end so, the first).
pub fn row(key: &str) -> Option<&'static Row> {
    let exact = TABLE.iter().find(|row| row.key == key);
    exact.or_else(|| TABLE.iter().find(|row| !key.contains('.') && row.short() == key))
}

/// What was set for a kind of translator, by the names that the options have there.
pub fn chosen(volume: &Volume, translator: &str) -> Vec<(String, String)> {
    let of = |key: &str| row(key).filter(|row| row.translator == translator && row.is_handed_on());
    volume.options.iter().filter_map(|(key, value)| Some((of(key)?.own().to_owned(), value.clone()))).collect()
}

/// The value in force: what was set, else the default. Empty for a key that does not exist.
///
/// `cluster.quorum-type` and `performance.client-io-threads` default by the number of copies.
pub fn value<'a>(volume: &'a Volume, key: &str) -> &'a str {
    volume.option(key).unwrap_or_else(|| default(volume, key))
}

/// The default of an option for this volume; empty for a key that does not exist.
pub fn default(volume: &Volume, key: &str) -> &'static str {
    match key {
        "cluster.quorum-type" if volume.replica < 3 => "none",
        _ => row(key).map_or("", |row| row.default),
    }
}

/// Whether an option is in force, as GlusterFS reads booleans; anything else is `false`.
pub fn is_on(volume: &Volume, key: &str) -> bool {
    boolean(value(volume, key)).unwrap_or(false)
}

/// Checks a key and a value that are to be set. Gives the key in full; `user.*` is always accepted.
///
/// # Errors
/// [`Refused`], in the words of the real tool.
pub fn check<'a>(key: &'a str, value: &str) -> Result<&'a str, Refused> {
    if key.starts_with("user.") {
        return Ok(key);
    }
    let row = row(key).ok_or_else(|| Refused::Unknown { key: key.into(), hint: nearest(key).into() })?;
    if row.support == Support::Absent && !means_off(value, row.default) {
        return Err(Refused::Absent(row.key));
    }
    row.check.accepts(row.key, row.own(), value).map_err(Refused::Value)?;
    Ok(row.key)
}

/// Whether a value leaves an absent feature as it is: its default, or off.
fn means_off(value: &str, default: &str) -> bool {
    value == default || (boolean(value) == Some(false) && boolean(default) == Some(false))
}

/// The key that is most like what was typed: first the section before the dot, then the option in it.
pub fn nearest(key: &str) -> &'static str {
    let (section, option) = key.split_once('.').unwrap_or((key, key));
    let by_section = TABLE.iter().map(|row| (distance(section, row.section()), row.section()));
    let near = by_section.min().map_or("", |(_, section)| section);
    let inside = TABLE.iter().filter(|row| row.section() == near);
    inside.min_by_key(|row| (distance(option, row.short()), row.key)).map_or("", |row| row.key)
}

/// Levenshtein's distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(key: &str, value: &str) -> String {
        check(key, value).unwrap_err().to_string()
    }

    /// Refusals are GlusterFS's own words.
    #[test]
    fn bad_values_are_refused_in_the_tools_words() {
        assert_eq!(
            refusal("network.ping-timeout", "99999"),
            "'99999' in 'option ping-timeout 99999' is out of range [0 - 1013]"
        );
        assert_eq!(refusal("network.ping-timeout", "abc"), "invalid time format \"abc\" in \"option ping-timeout\"");
        assert_eq!(
            refusal("cluster.quorum-type", "bogus"),
            "option quorum-type bogus: 'bogus' is not valid (possible options are none, auto, fixed.)"
        );
        assert_eq!(refusal("performance.write-behind", "maybe"), "Error, Validation Failed");
        assert_eq!(
            refusal("cluster.lookup-optimize", "5"),
            "option lookup-optimize 5: '5' is not a valid boolean value"
        );
        assert_eq!(
            refusal("cluster.self-heal-readdir-size", "12MB"),
            "'12582912' in 'option self-heal-readdir-size 12MB' is out of range [1024 - 131072]"
        );
        assert_eq!(
            refusal("cluster.heal-wait-queue-length", "-1"),
            "'-1' in 'option heal-wait-queue-length -1' is smaller than minimum value '0'"
        );
        assert_eq!(
            refusal("cluster.min-free-inodes", "101"),
            "'101.000000' in 'option min-free-inodes 101' is out of range [0 - 100]"
        );
        assert_eq!(refusal("nosuch.option", "1"), "option : nosuch.option does not exist\nDid you mean auth.allow?");
    }

    /// What belongs to a feature that is not here is said to be absent, but may be switched off.
    #[test]
    fn absent_features_are_named_and_may_be_off() {
        assert_eq!(refusal("features.shard", "on"), "gluster has the option features.shard, terrarium does not");
        assert_eq!(check("features.shard", "off"), Ok("features.shard"));
        assert_eq!(check("user.smb", "anything"), Ok("user.smb"));
    }

    /// A key may be given by its last part; of several that end so it is the first.
    #[test]
    fn short_keys_are_completed() {
        assert_eq!(check("ping-timeout", "10"), Ok("network.ping-timeout"));
        assert_eq!(check("eager-lock", "off"), Ok("cluster.eager-lock"));
        assert!(check("timeout-of-nothing", "10").is_err());
    }

    /// An option that is said to act is read by name somewhere in the volume's code, outside of the table.
    #[test]
    fn what_is_said_to_act_is_read() {
        fn texts(dir: &std::path::Path, out: &mut String) {
            for entry in std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()) {
                if entry.is_dir() {
                    texts(&entry, out);
                } else if !entry.ends_with("options/table.rs") && !entry.ends_with("volume/options.rs") {
                    *out += &std::fs::read_to_string(entry).unwrap();
                }
            }
        }
        let mut all = String::new();
        for dir in ["src/volume", "src/cli/gluster"] {
            texts(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut all);
        }
        for row in TABLE.iter().filter(|row| row.support == Support::Acts) {
            assert!(all.contains(&format!("\"{}\"", row.key)), "nothing reads {}", row.key);
        }
    }

    /// The table is well formed: keys are unique, and each default is a value that may be set.
    #[test]
    fn every_default_may_be_set() {
        for (i, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|other| other.key != row.key), "{} is there twice", row.key);
            let unset = matches!(row.default, "(null)" | "" | "off");
            assert!(unset || row.check.accepts(row.key, row.own(), row.default).is_ok(), "{}", row.key);
        }
    }
}
