//! `lab hash NAME [DIR]`: the elastic hash of a name, and in a directory of a mounted volume the ranges of hashes that its
//! bricks hold: which of them gets the name, and why.

use std::ffi::OsString;
use std::process::ExitCode;

use super::getfattr;
use crate::volume::hash;

/// How many columns stand for all 2³² hashes.
const WIDE: u64 = 32;

/// The verb.
pub fn main(words: &[&str]) -> ExitCode {
    let (name, dir) = match words {
        [name] => (*name, None),
        [name, dir] => (*name, Some(*dir)),
        _ => {
            eprintln!("lab: usage: hash NAME [DIRECTORY OF A MOUNTED VOLUME]");
            return ExitCode::from(2);
        }
    };
    match told(name, dir) {
        Ok(text) => {
            super::say(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("lab: {why}");
            ExitCode::FAILURE
        }
    }
}

fn told(name: &str, dir: Option<&str>) -> Result<String, String> {
    if name.is_empty() || name.contains('/') {
        return Err(format!("‘{name}’ is no name of a file: the hash is taken of the last part of a path alone"));
    }
    let hash = hash::of_name(name.as_bytes());
    let munged = String::from_utf8_lossy(hash::munged(name.as_bytes())).into_owned();
    let note = if munged == name { String::new() } else { format!("   (hashed as `{munged}`)") };
    let mut text = format!("{name}  0x{hash:08x}{note}\n");
    let Some(dir) = dir else { return Ok(text) };
    let pathinfo = getfattr::value(&OsString::from(dir), b"trusted.glusterfs.pathinfo", true)
        .map_err(|_| format!("{dir} is no directory of a mounted volume"))?;
    let ranges = ranges(&String::from_utf8_lossy(&pathinfo));
    let ranges = ranges.ok_or_else(|| format!("{dir} is no directory: the ranges of hashes are a directory's"))?;
    let width = ranges.iter().map(|r| r.subvolume.len()).max().unwrap_or(0);
    for range in &ranges {
        text += &range.drawn(hash, width);
    }
    Ok(text)
}

/// What one subvolume holds of a directory. 0–0 is nothing.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    subvolume: String,
    start: u32,
    stop: u32,
}

impl Range {
    /// One line: the range in figures, and its place among all hashes; `*` marks the name's.
    fn drawn(&self, hash: u32, width: usize) -> String {
        let place = |hash: u32| (u64::from(hash) * WIDE) >> 32;
        let empty = self.start == 0 && self.stop == 0;
        let mine = !empty && (self.start..=self.stop).contains(&hash);
        let cell = |column: u64| match column {
            c if mine && c == place(hash) => '*',
            c if !empty && (place(self.start)..=place(self.stop)).contains(&c) => '=',
            _ => '.',
        };
        let bar: String = (0..WIDE).map(cell).collect();
        let here = if mine { "  <- here" } else { "" };
        let (name, start, stop) = (&self.subvolume, self.start, self.stop);
        format!("{name:<width$}  {start:08x}-{stop:08x}  |{bar}|{here}\n")
    }
}

/// The ranges out of `trusted.glusterfs.pathinfo` of a directory: `… (gv0-dht-layout (gv0-client-0 0 1431655763) …)`, in the
/// order of the hashes; `None` if it is of no directory.
fn ranges(pathinfo: &str) -> Option<Vec<Range>> {
    let (_, layout) = pathinfo.split_once("-dht-layout ")?;
    let one = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        let [subvolume, start, stop] = words[..] else { return None };
        Some(Range { subvolume: subvolume.into(), start: start.parse().ok()?, stop: stop.parse().ok()? })
    };
    let parts = layout.split(['(', ')']).map(str::trim).filter(|part| !part.is_empty());
    let mut ranges: Vec<Range> = parts.map(one).collect::<Option<_>>()?;
    ranges.sort_by_key(|r| (r.start, r.stop));
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges that a mount tells are read, and the one that holds the hash is marked.
    #[test]
    fn the_range_that_holds_the_hash_is_marked() {
        let pathinfo = "((<DISTRIBUTE:gv0-dht> <POSIX(/b):server1:/b/>) (gv0-dht-layout (gv0-client-0 2147483647 4294967295) (gv0-client-1 0 2147483646)))";
        let ranges = ranges(pathinfo).unwrap();
        assert_eq!(ranges[0], Range { subvolume: "gv0-client-1".into(), start: 0, stop: 0x7fff_fffe });
        assert_eq!(
            ranges[1].drawn(u32::MAX, 12),
            "gv0-client-0  7fffffff-ffffffff  |...............================*|  <- here\n"
        );
        assert_eq!(
            ranges[0].drawn(u32::MAX, 12),
            "gv0-client-1  00000000-7ffffffe  |================................|\n"
        );
        assert_eq!(super::ranges("(<DISTRIBUTE:gv0-dht> <POSIX(/b):server1:/b/f>)"), None);
    }

    /// A path is refused with words; a temporary name says what of it is hashed.
    #[test]
    fn a_name_is_no_path() {
        assert!(told("a/b", None).is_err());
        assert_eq!(told("hello", None).unwrap(), "hello  0xa7923147\n");
        assert_eq!(told(".hello.Xy12Ab", None).unwrap(), ".hello.Xy12Ab  0xa7923147   (hashed as `hello`)\n");
    }
}
