//! `cmd_history.log`: every command that was given to this manager, and how it went.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Appends a line in GlusterFS's form: `[time]  : volume start gv0 : SUCCESS`, or `: FAILED : why`.
pub fn append(log: &Path, words: &str, failure: Option<&str>) {
    let _ = std::fs::create_dir_all(log);
    let outcome = failure.map_or_else(|| "SUCCESS".to_owned(), |why| format!("FAILED : {why}"));
    let line = format!("[{}]  : {words} : {outcome}\n", timestamp());
    let file = OpenOptions::new().create(true).append(true).open(log.join("cmd_history.log"));
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The wall clock as GlusterFS writes it: `2026-11-23 09:46:55.612996 +0000`.
pub fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format_time(since.as_secs(), since.subsec_micros())
}

/// A moment in whole seconds since the epoch: `2026-11-23 20:16:58 +0000`.
pub fn timestamp_of(seconds: u64) -> String {
    format_time(seconds, 0).replace(".000000", "")
}

/// A moment, in seconds since the epoch and microseconds.
pub fn format_time(seconds: u64, micros: u32) -> String {
    let (year, month, day) = civil(seconds / 86400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06} +0000")
}

/// Days since 1970-01-01 → (year, month, day), after Howard Hinnant's `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The captured stamp of the reference.
    #[test]
    fn times_are_written_as_gluster_writes_them() {
        assert_eq!(format_time(1_795_427_215, 612_996), "2026-11-23 09:46:55.612996 +0000");
        assert_eq!(format_time(951_782_400, 0), "2000-02-29 00:00:00.000000 +0000");
    }

    /// Both outcomes, a line each.
    #[test]
    fn both_outcomes_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), "volume heal fv full", None);
        append(dir.path(), "volume start fv", Some("Volume fv already started"));
        let text = std::fs::read_to_string(dir.path().join("cmd_history.log")).unwrap();
        let lines: Vec<&str> = text.lines().map(|l| l.split_once(']').unwrap().1).collect();
        assert_eq!(
            lines,
            ["  : volume heal fv full : SUCCESS", "  : volume start fv : FAILED : Volume fv already started"]
        );
    }
}
