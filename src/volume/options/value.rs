//! The types of option values, and how GlusterFS writes them.

/// What values an option takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Check {
    /// on/off, yes/no, true/false, enable/disable, 1/0.
    Bool,
    /// A whole number within bounds.
    Int(i64, i64),
    /// A time in seconds (`42`, `10min`) within bounds.
    Time(u64, u64),
    /// A number of bytes (`64MB`).
    Size,
    /// A percentage (`10%`) or a number of bytes.
    PercentOrSize,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Anything.
    Text,
}

impl Check {
    /// Whether `value` fits; `option` is the key without its section.
    ///
    /// # Errors
    /// The sentence with which GlusterFS refuses it.
    pub fn accepts(self, option: &str, value: &str) -> Result<(), String> {
        let (good, otherwise) = match self {
            Self::Text => (true, String::new()),
            Self::Bool => (boolean(value).is_some(), "Error, Validation Failed".into()),
            Self::Int(low, high) => match value.parse::<i64>() {
                Ok(n) => ((low..=high).contains(&n), out_of_range(option, value, low, high)),
                Err(_) => (false, format!("invalid number format \"{value}\" in option \"{option}\"")),
            },
            Self::Time(low, high) => match seconds(value) {
                Some(n) => ((low..=high).contains(&n), out_of_range(option, value, low, high)),
                None => (false, format!("invalid time format \"{value}\" in \"option {option}\"")),
            },
            Self::Size => (size(value).is_some(), format!("invalid number format \"{value}\" in option \"{option}\"")),
            Self::PercentOrSize => {
                let otherwise = format!("invalid number format \"{value}\" in option \"{option}\"");
                (percent(value).is_some() || size(value).is_some(), otherwise)
            }
            Self::OneOf(words) => (words.contains(&value), not_one_of(option, value, words)),
        };
        good.then_some(()).ok_or(otherwise)
    }
}

fn out_of_range(option: &str, value: &str, low: impl std::fmt::Display, high: impl std::fmt::Display) -> String {
    format!("'{value}' in 'option {option} {value}' is out of range [{low} - {high}]")
}

fn not_one_of(option: &str, value: &str, words: &[&str]) -> String {
    format!("option {option} {value}: '{value}' is not valid (possible options are {}.)", words.join(", "))
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
