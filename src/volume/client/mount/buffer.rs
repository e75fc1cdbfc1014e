//! Write-behind: writes are answered when they are in memory, gathered into large ones, and sent by a few threads.
//!
//! The promise: what was written before an fsync or a close that succeeded is on the bricks; an error that came later than
//! its write is told by the next write, fsync or close of that file. Pieces that overlap are never under way together, so the
//! last writer of a byte wins on every copy.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::attr::stripped;
use super::heed::Stale;
use crate::volume::client::session::Session;
use crate::volume::client::tale::{self, Told};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Change, Iatt};

/// The largest piece that is sent.
const PIECE: usize = 1 << 20;
/// How many pieces of one file are under way at most.
const WINDOW: usize = 4;
/// Threads that send.
const SENDERS: usize = 3;

/// What is written and not sent yet, of all files.
pub struct Buffers {
    way: Arc<Way>,
    files: Mutex<HashMap<Gfid, Arc<Buffer>>>,
    queue: Sender<Piece>,
}

/// The way to the bricks, and to whoever tells the kernel what changed.
struct Way {
    session: Arc<Session>,
    stale: Sender<Stale>,
}

#[derive(Default)]
struct Buffer {
    state: Mutex<State>,
    landed: Condvar,
}

#[derive(Default)]
struct State {
    /// The tale of what is gathered.
    told: Option<Told>,
    gathering: Option<(u64, Vec<u8>)>,
    /// Whether what is gathered takes the set-user-id and set-group-id bits of the file away.
    strips: bool,
    flying: Vec<(u64, u64)>,
    error: Option<i32>,
}

struct Piece {
    gfid: Gfid,
    told: Option<Told>,
    buffer: Arc<Buffer>,
    offset: u64,
    data: Bytes,
    strips: bool,
}

impl Buffers {
    /// For the files of a session. `stale`: where it is told what the kernel must forget.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn new(session: Arc<Session>, stale: Sender<Stale>) -> std::io::Result<Self> {
        let (queue, waiting) = channel();
        let (way, waiting) = (Arc::new(Way { session, stale }), Arc::new(Mutex::new(waiting)));
        for n in 0..SENDERS {
            let (way, waiting) = (way.clone(), waiting.clone());
            std::thread::Builder::new().name(format!("write-{n}")).spawn(move || send_all(&way, &waiting))?;
        }
        Ok(Self { way, files: Mutex::default(), queue })
    }

    fn buffer(&self, gfid: Gfid) -> Option<Arc<Buffer>> {
        guard(&self.files).get(&gfid).cloned()
    }

    /// Takes bytes to write. `strips`: the set-user-id and set-group-id bits go, as the writer has no right to keep them.
    ///
    /// # Errors
    /// Of an earlier write of this file; ENOTCONN if there is nobody to write to.
    pub fn write(&self, gfid: Gfid, offset: u64, data: &[u8], strips: bool) -> Result<(), i32> {
        self.way.session.files.set_of(gfid)?.ready()?;
        let buffer = guard(&self.files).entry(gfid).or_default().clone();
        let mut state = guard(&buffer.state);
        if let Some(errno) = state.error.take() {
            return Err(errno);
        }
        let follows =
            |(at, piece): &(u64, Vec<u8>)| at + piece.len() as u64 == offset && piece.len() + data.len() <= PIECE;
        if state.gathering.as_ref().is_some_and(|g| !follows(g)) {
            state = self.launch(gfid, &buffer, state);
        }
        match &mut state.gathering {
            Some((_, piece)) => piece.extend_from_slice(data),
            None => state.gathering = Some((offset, data.to_vec())),
        }
        state.strips |= strips;
        state.told = tale::told();
        if state.gathering.as_ref().is_some_and(|(_, piece)| piece.len() >= PIECE) {
            drop(self.launch(gfid, &buffer, state));
        }
        Ok(())
    }

    /// Sends what was gathered, when nothing that overlaps it is under way.
    fn launch<'a>(&self, gfid: Gfid, buffer: &'a Arc<Buffer>, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (mut state, piece) = take_off(buffer, state, WINDOW);
        if let Some((offset, data)) = piece {
            let (told, strips) = (state.told.take(), std::mem::take(&mut state.strips));
            let piece = Piece { gfid, told, buffer: buffer.clone(), offset, data, strips };
            if self.queue.send(piece).is_err() {
                state.error = Some(libc::EIO);
            }
        }
        state
    }

    /// Waits until everything that was written to a file is on the bricks.
    ///
    /// # Errors
    /// Of any write since the last error was told.
    pub fn flush(&self, gfid: Gfid) -> Result<(), i32> {
        self.land(gfid, None).map(drop)
    }

    /// The same; if little was written, it is also on the bricks' disks, in the same round trip. Gives whether it is.
    ///
    /// # Errors
    /// As of [`Buffers::flush`], and of the disks.
    pub fn sync(&self, gfid: Gfid, data: bool) -> Result<bool, i32> {
        self.land(gfid, Some(data))
    }

    fn land(&self, gfid: Gfid, sync: Option<bool>) -> Result<bool, i32> {
        let Some(buffer) = self.buffer(gfid) else { return Ok(false) };
        let state = guard(&buffer.state);
        // What is under way already is not safe when the last piece is.
        let sync = sync.filter(|_| state.flying.is_empty() && state.gathering.is_some());
        let (mut state, piece) = take_off(&buffer, state, usize::MAX);
        let (told, strips) = (state.told.take(), std::mem::take(&mut state.strips));
        drop(state);
        if let Some((offset, data)) = piece {
            self.way.carry(&Piece { gfid, told, buffer: buffer.clone(), offset, data, strips }, sync);
        }
        let state = guard(&buffer.state);
        let mut state =
            buffer.landed.wait_while(state, |s| !s.flying.is_empty()).unwrap_or_else(PoisonError::into_inner);
        state.error.take().map_or(Ok(sync.is_some()), Err)
    }

    /// Whether something of a file is not on the bricks yet.
    pub fn is_dirty(&self, gfid: Gfid) -> bool {
        self.buffer(gfid).is_some_and(|b| {
            let state = guard(&b.state);
            state.gathering.is_some() || !state.flying.is_empty()
        })
    }

    /// Takes the set-user-id and set-group-id bits of a file that was changed by another way away.
    ///
    /// # Errors
    /// As of setting its mode.
    pub fn strip(&self, gfid: Gfid, iatt: &Iatt) -> Result<(), i32> {
        self.way.strip(gfid, iatt)
    }

    /// Nobody has the file open any more.
    pub fn forget(&self, gfid: Gfid) {
        guard(&self.files).remove(&gfid);
    }

    /// Sends everything of all files.
    pub fn flush_all(&self) {
        let all: Vec<Gfid> = guard(&self.files).keys().copied().collect();
        for gfid in all {
            // Its owner hears of it at the next call.
            if let (Err(errno), Some(buffer)) = (self.flush(gfid), self.buffer(gfid)) {
                guard(&buffer.state).error = Some(errno);
            }
        }
    }
}

/// Takes what was gathered, once nothing under way overlaps it and less than `window` pieces are under way.
fn take_off<'a>(
    buffer: &'a Buffer,
    mut state: MutexGuard<'a, State>,
    window: usize,
) -> (MutexGuard<'a, State>, Option<(u64, Bytes)>) {
    loop {
        let Some((at, piece)) = &state.gathering else { return (state, None) };
        let (first, end) = (*at, *at + piece.len() as u64);
        if state.flying.len() < window && state.flying.iter().all(|(a, b)| end <= *a || *b <= first) {
            let piece = state.gathering.take().map(|(at, piece)| (at, Bytes::from(piece)));
            state.flying.push((first, end));
            return (state, piece);
        }
        state = buffer.landed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Way {
    fn carry(&self, piece: &Piece, sync: Option<bool>) {
        let telling = self.session.teller.resume(piece.told.clone());
        tale::step("write-behind", "way-sends", || vec![("size", piece.data.len().to_string())]);
        let files = &self.session.files;
        let written = match sync {
            None => files.write(piece.gfid, piece.offset, &piece.data),
            Some(alone) => files.write_safely(piece.gfid, piece.offset, &piece.data, alone),
        };
        let outcome = written.and_then(|iatt| if piece.strips { self.strip(piece.gfid, &iatt) } else { Ok(()) });
        drop(telling);
        let mut state = guard(&piece.buffer.state);
        let end = piece.offset + piece.data.len() as u64;
        if let Some(i) = state.flying.iter().position(|f| *f == (piece.offset, end)) {
            state.flying.swap_remove(i);
        }
        if let Err(errno) = outcome {
            state.error = Some(errno);
        }
        piece.buffer.landed.notify_all();
    }

    /// Takes the set-user-id and set-group-id bits of a file that was changed away. The kernel may be waiting for the answer to that
    /// change: another thread must tell it.
    fn strip(&self, gfid: Gfid, iatt: &Iatt) -> Result<(), i32> {
        let Some(mode) = stripped(iatt) else { return Ok(()) };
        let change = Change { mode: Some(mode), ..Change::default() };
        self.session.files.setattr(gfid, false, &change)?;
        let _ = self.stale.send(Stale::Inode(gfid));
        Ok(())
    }
}

fn send_all(way: &Way, waiting: &Mutex<Receiver<Piece>>) {
    loop {
        let piece = guard(waiting).recv();
        match piece {
            Ok(piece) => way.carry(&piece, None),
            Err(_) => return,
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
