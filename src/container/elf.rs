//! A small reader of ELF files: what a program needs in order to run.
//!
//! A dynamically linked program names its *interpreter* (the dynamic loader) and the libraries it needs; each library names
//! its own. With that a program can be carried into another root filesystem. Everything else in an ELF file is passed over.
//!
//! Source: elf(5), System V ABI chapter 5.

/// What a program or library needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Path of the dynamic loader; a static program and a library have none.
    pub interpreter: Option<String>,
    /// Names of libraries: `libc.so.6`.
    pub libraries: Vec<String>,
    /// Where it wants them looked for first (`DT_RUNPATH` or `DT_RPATH`), with `$ORIGIN` for its own folder.
    pub runpath: Vec<String>,
    /// 32 or 64.
    pub bits: u8,
    /// The machine (`e_machine`).
    pub machine: u16,
}

/// Why bytes are not an ELF file that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotElf {
    /// Something else: a script, a picture.
    #[error("not an ELF file")]
    Other,
    /// Cut off, or pointing outside itself.
    #[error("a damaged ELF file")]
    Damaged,
}

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// The file with its word size and byte order.
struct File<'a> {
    bytes: &'a [u8],
    wide: bool,
    big: bool,
}

/// A program header.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

/// Reads what a program or library needs.
///
/// # Errors
/// [`NotElf`].
pub fn read(bytes: &[u8]) -> Result<Needs, NotElf> {
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(NotElf::Other);
    }
    let (class, order) = (bytes.get(4).ok_or(NotElf::Damaged)?, bytes.get(5).ok_or(NotElf::Damaged)?);
    let file = File { bytes, wide: *class == 2, big: *order == 2 };
    file.needs().ok_or(NotElf::Damaged)
}

impl File<'_> {
    fn needs(&self) -> Option<Needs> {
        let segments = self.segments()?;
        let machine = u16::try_from(self.number(18, 2)?).ok()?;
        let mut needs = Needs { bits: if self.wide { 64 } else { 32 }, machine, ..Needs::default() };
        if let Some(interp) = segments.iter().find(|s| s.kind == PT_INTERP) {
            needs.interpreter = Some(self.text(interp.offset)?);
        }
        let Some(dynamic) = segments.iter().find(|s| s.kind == PT_DYNAMIC) else { return Some(needs) };
        let entries = self.dynamic(dynamic)?;
        let Some((_, strings)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else { return Some(needs) };
        let strings = place_of(&segments, *strings)?;
        for (tag, value) in &entries {
            match *tag {
                DT_NEEDED => needs.libraries.push(self.text(strings.checked_add(*value)?)?),
                DT_RPATH | DT_RUNPATH => {
                    let path = self.text(strings.checked_add(*value)?)?;
                    needs.runpath.extend(path.split(':').map(String::from));
                }
                _ => {}
            }
        }
        Some(needs)
    }

    fn segments(&self) -> Option<Vec<Segment>> {
        let (table, each, count) = if self.wide { (32, 54, 56) } else { (28, 42, 44) };
        let start = self.word(table)?;
        let (each, count) = (self.number(each, 2)?, self.number(count, 2)?);
        (0..count).map(|i| self.segment(start.checked_add(i * each)?)).collect()
    }

    fn segment(&self, at: u64) -> Option<Segment> {
        let (offset, address, size) = if self.wide { (8, 16, 32) } else { (4, 8, 16) };
        let word = |from: u64| self.word(at.checked_add(from)?);
        Some(Segment { kind: self.number(at, 4)?, offset: word(offset)?, address: word(address)?, size: word(size)? })
    }

    /// The (tag, value) pairs of the dynamic section, up to its end mark.
    fn dynamic(&self, segment: &Segment) -> Option<Vec<(u64, u64)>> {
        let word = if self.wide { 8 } else { 4 };
        let mut entries = Vec::new();
        for at in (0..segment.size / (2 * word)).map(|i| segment.offset.checked_add(i * 2 * word)) {
            match (self.word(at?)?, self.word(at?.checked_add(word)?)?) {
                (0, _) => break,
                entry => entries.push(entry),
            }
        }
        Some(entries)
    }

    fn word(&self, at: u64) -> Option<u64> {
        self.number(at, if self.wide { 8 } else { 4 })
    }

    fn number(&self, at: u64, size: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    fn text(&self, at: u64) -> Option<String> {
        let rest = self.bytes.get(usize::try_from(at).ok()?..)?;
        let end = rest.iter().position(|b| *b == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    }
}

/// Where in the file an address of memory lies.
fn place_of(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |s: &&Segment| s.kind == PT_LOAD && address >= s.address && address - s.address < s.size;
    let segment = segments.iter().find(holds)?;
    segment.offset.checked_add(address - segment.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very program is dynamically linked (tests are never built static here) and says so.
    #[test]
    fn our_own_file() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let needs = read(&bytes).unwrap();
        assert!(needs.interpreter.unwrap().contains("ld-"));
        assert!(needs.libraries.iter().any(|l| l.starts_with("libc.")));
    }

    /// No bytes, wherever they are cut or bent, make the reader fall.
    #[test]
    fn damaged_files_are_refused() {
        assert_eq!(read(b"#!/bin/sh\n"), Err(NotElf::Other));
        let whole = std::fs::read("/proc/self/exe").unwrap();
        for length in [4, 5, 6, 20, 40, 64, 100, 500] {
            assert_eq!(read(&whole[..length]), Err(NotElf::Damaged), "cut at {length}");
        }
        let mut bent = whole[..4096].to_vec();
        for at in 4..512 {
            for byte in [0, 0x7f, 0xff] {
                let before = std::mem::replace(&mut bent[at], byte);
                let _ = read(&bent);
                bent[at] = before;
            }
        }
    }
}
