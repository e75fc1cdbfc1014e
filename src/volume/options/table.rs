//! One row an option, read from `assets/volume/options.tsv`: key, default, type of the value, the translator that it is for, and
//! whether something here acts on it.

use std::sync::LazyLock;

use super::value::Check;

/// What setting an option does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It changes how the volume behaves.
    Acts,
    /// It is stored and shown; nothing acts on it.
    Kept,
    /// It belongs to a feature that is not here: setting it is refused.
    Absent,
}

/// An option.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The key in full: `network.ping-timeout`.
    pub key: &'static str,
    /// What holds when it is not set; `(null)` if nothing.
    pub default: &'static str,
    /// What may be set.
    pub check: Check,
    /// What setting it does.
    pub support: Support,
    /// The translator that it is for: `protocol/client`.
    pub translator: &'static str,
    /// Its name there, if that is another one; `-`: it is not handed on as it is.
    named: &'static str,
    /// Whether the default is shown as if it had been set.
    pub seems_set: bool,
}

impl Row {
    /// The part before the first dot: `network`.
    pub fn section(&self) -> &'static str {
        self.key.split('.').next().unwrap_or_default()
    }

    /// The part after the first dot: `ping-timeout`.
    pub fn short(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, short)| short)
    }

    /// Its name in its translator, by which a refusal calls it.
    pub fn own(&self) -> &'static str {
        if matches!(self.named, "=" | "-") { self.short() } else { self.named }
    }

    /// Whether its translator gets it as it was set.
    pub fn is_handed_on(&self) -> bool {
        self.named != "-"
    }

    fn parse(line: &'static str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [key, default, values, translator, named, support, rest @ ..] = &fields[..] else { return None };
        let support = match *support {
            "acts" => Support::Acts,
            "kept" => Support::Kept,
            _ => Support::Absent,
        };
        let check = Check::parse(values)?;
        Some(Self { key, default, check, support, translator, named, seems_set: rest == ["set"] })
    }
}

/// Every option that can be named, in GlusterFS's order. Defaults and bounds as of GlusterFS 10.3.
pub static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let lines = include_str!("../../../assets/volume/options.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(Row::parse).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    /// No line of the file is lost: each that is no remark is a row.
    #[test]
    fn every_line_is_a_row() {
        let lines = include_str!("../../../assets/volume/options.tsv").lines().filter(|l| !l.starts_with('#'));
        let keys: Vec<&str> = lines.filter_map(|l| l.split('\t').next()).collect();
        assert_eq!(TABLE.iter().map(|row| row.key).collect::<Vec<_>>(), keys);
    }
}
