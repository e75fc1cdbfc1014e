//! The events on disk: one JSON object a line, in `seq` order.
//!
//! A world is a fold over its journal. The file rotates within a bound: when a segment is full the next one begins
//! with a snapshot of the [`World`] (`{"snapshot": …}`), and the segment before the last is removed, so that a world
//! that runs for weeks costs at most [`KEEP`] segments. A line that was cut off by a crash is left out on reading.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Event, World};

/// A segment is full at this size, in bytes.
pub const SEGMENT: u64 = 32 << 20;
/// How many segments are kept.
pub const KEEP: usize = 4;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Snapshot { snapshot: Box<World> },
    Event(Box<Event>),
}

/// The writer of a world's journal.
pub struct Journal {
    dir: PathBuf,
    out: BufWriter<File>,
    size: u64,
}

impl Journal {
    /// Opens the journal in folder `dir` (made if missing) for appending.
    ///
    /// # Errors
    /// As of the files.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = segments(dir)?.pop().unwrap_or_else(|| segment(dir, 1));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { dir: dir.into(), out: BufWriter::with_capacity(1 << 16, file), size })
    }

    /// Appends one event. `world` is the picture with this event already folded in; it begins the next segment when
    /// this one is full.
    ///
    /// # Errors
    /// As of the files.
    pub fn append(&mut self, event: &Event, world: &World) -> io::Result<()> {
        self.write(&serde_json::to_vec(event)?)?;
        if self.size >= SEGMENT { self.rotate(world) } else { Ok(()) }
    }

    /// Hands what is buffered to the kernel.
    ///
    /// # Errors
    /// As of the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.size += line.len() as u64 + 1;
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    fn rotate(&mut self, world: &World) -> io::Result<()> {
        self.out.flush()?;
        let old = segments(&self.dir)?;
        let next = old.last().and_then(|p| number(p)).unwrap_or(0) + 1;
        self.out = BufWriter::with_capacity(1 << 16, File::create(segment(&self.dir, next))?);
        self.size = 0;
        self.write(&serde_json::to_vec(&Line::Snapshot { snapshot: Box::new(world.clone()) })?)?;
        for path in old.iter().rev().skip(KEEP - 1) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// The journal in `dir` as the world it adds up to, and the events that are kept, oldest first.
///
/// # Errors
/// As of the files; `InvalidData` for a line that is whole but not an event.
pub fn read(dir: &Path) -> io::Result<(World, Vec<Event>)> {
    let (mut world, mut events) = (World::default(), Vec::new());
    for (i, path) in segments(dir)?.into_iter().enumerate() {
        for line in BufReader::new(File::open(&path)?).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(Line::Snapshot { snapshot }) if i == 0 => world = *snapshot,
                Ok(Line::Snapshot { .. }) => {}
                Ok(Line::Event(event)) => {
                    world.apply(&event);
                    events.push(*event);
                }
                Err(e) if e.is_eof() => {}
                Err(e) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display()))),
            }
        }
    }
    Ok((world, events))
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:06}.jsonl"))
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The segments in order.
fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<_> =
        fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| number(p).is_some()).collect();
    paths.sort();
    Ok(paths)
}
