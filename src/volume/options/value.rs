//! The types of option values, and how GlusterFS writes them.

/// What values an option takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// on/off, yes/no, true/false, enable/disable, 1/0; judged by the translator that gets it.
    Bool,
    /// The same, judged by the manager.
    OwnBool,
    /// The same: whether a translator is there.
    Switch,
    /// A whole number within bounds.
    Int(i64, i64),
    /// A time in seconds (`42`, `10min`) within bounds.
    Time(u64, u64),
    /// A number of bytes (`64MB`) within bounds.
    Size(u64, u64),
    /// A percentage (`10%`).
    Percent,
    /// A percentage or a number of bytes.
    PercentOrSize,
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// Anything.
    Text,
}

impl Check {
    /// As the table writes it: `int 0 5`, `time - 86400`, `one-of none auto fixed`.
    pub fn parse(text: &'static str) -> Option<Self> {
        let mut words = text.split(' ');
        let kind = words.next()?;
        let words: Vec<&str> = words.collect();
        let bound = |at: usize| words.get(at).and_then(|w| w.parse::<u64>().ok());
        let (low, high) = (bound(0).unwrap_or(0), bound(1).unwrap_or(u64::MAX));
        let whole = |at: usize, otherwise: i64| words.get(at).and_then(|w| w.parse().ok()).unwrap_or(otherwise);
        Some(match kind {
            "bool" => Self::Bool,
            "own-bool" => Self::OwnBool,
            "switch" => Self::Switch,
            "int" => Self::Int(whole(0, i64::MIN), whole(1, i64::MAX)),
            "time" => Self::Time(low, high),
            "size" => Self::Size(low, high),
            "percent" => Self::Percent,
            "percent-or-size" => Self::PercentOrSize,
            "one-of" => Self::OneOf(words),
            "text" => Self::Text,
            _ => return None,
        })
    }

    /// Whether `value` fits the option `key`, which its translator calls `own`.
    ///
    /// # Errors
    /// The sentence with which GlusterFS refuses it.
    pub fn accepts(&self, key: &str, own: &str, value: &str) -> Result<(), String> {
        let is_bool = boolean(value).is_some();
        let no_number = || format!("invalid number format \"{value}\" in option \"{own}\"");
        let misread = |what: &str| format!("invalid {what} format \"{value}\" in \"option {own}\"");
        let outside = |read: &dyn std::fmt::Display, low: &dyn std::fmt::Display, high: &dyn std::fmt::Display| {
            format!("'{read}' in 'option {own} {value}' is out of range [{low} - {high}]")
        };
        let (good, otherwise) = match self {
            Self::Text => (true, String::new()),
            Self::Bool => (is_bool, format!("option {own} {value}: '{value}' is not a valid boolean value")),
            Self::OwnBool => {
                (is_bool, format!("{value} is not a valid boolean value. {key} expects a valid boolean value."))
            }
            Self::Switch => (is_bool, "Error, Validation Failed".into()),
            Self::Int(low, high) => match whole(value) {
                None => (false, no_number()),
                Some(n) if n < *low && *high == i64::MAX => {
                    (false, format!("'{value}' in 'option {own} {value}' is smaller than minimum value '{low}'"))
                }
                Some(n) => ((*low..=*high).contains(&n), outside(&value, low, high)),
            },
            Self::Time(low, high) => match seconds(value) {
                None => (false, misread("time")),
                Some(n) => ((*low..=*high).contains(&n), outside(&n, low, high)),
            },
            Self::Size(low, high) => match size(value) {
                None => (false, no_number()),
                Some(n) => ((*low..=*high).contains(&n), outside(&n, low, high)),
            },
            Self::Percent => match value.trim_end_matches('%').parse::<f64>().ok().filter(|n| *n >= 0.0) {
                None => (false, misread("percent")),
                Some(n) => (n <= 100.0, outside(&format!("{n:.6}"), &0, &100)),
            },
            Self::PercentOrSize => (percent(value).is_some() || size(value).is_some(), misread("number")),
            Self::OneOf(words) => (words.contains(&value), not_one_of(own, value, words)),
        };
        good.then_some(()).ok_or(otherwise)
    }
}

fn not_one_of(option: &str, value: &str, words: &[&str]) -> String {
    format!("option {option} {value}: '{value}' is not valid (possible options are {}.)", words.join(", "))
}

/// A whole number as C reads it: `42`, `-1`, `0777`, `0x1f`.
fn whole(value: &str) -> Option<i64> {
    match value.as_bytes() {
        [b'0', b'x' | b'X', ..] => i64::from_str_radix(&value[2..], 16).ok(),
        [b'0', _, ..] => i64::from_str_radix(value, 8).ok(),
        _ => value.parse().ok(),
    }
}

/// A boolean as GlusterFS reads it, in any case.
pub fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" | "enable" => Some(true),
        "0" | "off" | "no" | "false" | "disable" => Some(false),
        _ => None,
    }
}

/// A time in seconds: `42`, `42s`, `10min`, `2hr`, `1days`.
pub fn seconds(value: &str) -> Option<u64> {
    scaled(value, &[("", 1), ("s", 1), ("sec", 1), ("min", 60), ("m", 60), ("hr", 3600), ("h", 3600), ("days", 86400)])
}

/// A number of bytes: `1048576`, `64MB`, `1GB`.
pub fn size(value: &str) -> Option<u64> {
    let units = [("", 0), ("B", 0), ("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("K", 10), ("M", 20), ("G", 30)];
    scaled(value, &units.map(|(unit, bits)| (unit, 1 << bits)))
}

fn scaled(value: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn percent(value: &str) -> Option<f64> {
    value.trim_end_matches('%').parse().ok().filter(|p| (0.0..=100.0).contains(p))
}

/// How much of something must stay free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Least {
    /// Of all of it.
    Percent(f64),
    /// In bytes (or pieces).
    Count(u64),
}

impl Least {
    /// `10%`, `10` (percent too), `5GB`; `None` if it is neither.
    pub fn parse(value: &str) -> Option<Self> {
        percent(value).map(Self::Percent).or_else(|| size(value).map(Self::Count))
    }

    /// Whether so much is left of so much.
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub fn is_left(self, free: u64, of: u64) -> bool {
        match self {
            Self::Percent(least) => of == 0 || free as f64 * 100.0 / of as f64 >= least,
            Self::Count(least) => free >= least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes, times and booleans read as GlusterFS's manual writes them.
    #[test]
    fn values_are_read_with_their_units() {
        assert_eq!((size("64MB"), size("1048576"), size("12xyz")), (Some(64 << 20), Some(1 << 20), None));
        assert_eq!((seconds("10min"), seconds("42"), seconds("abc")), (Some(600), Some(42), None));
        assert_eq!((boolean("Enable"), boolean("0"), boolean("2")), (Some(true), Some(false), None));
    }

    /// What must stay free is a share or an amount.
    #[test]
    fn room_is_measured_in_percent_or_bytes() {
        let left = |value: &str, free, of| Least::parse(value).unwrap().is_left(free, of);
        assert!(left("10%", 10, 100) && !left("10%", 9, 100) && !left("10", 9, 100));
        assert!(left("1KB", 1024, 4096) && !left("1KB", 1023, 4096));
        assert!(left("5%", 0, 0), "a file system without inodes of its own");
        assert_eq!(Least::parse("much"), None);
    }
}
