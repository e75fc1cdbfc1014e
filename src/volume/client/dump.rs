//! What a client knows of its bricks, for a dump of its state.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::session::Session;

/// The sessions of this process.
static SESSIONS: Mutex<Vec<Weak<Session>>> = Mutex::new(vec![]);

/// Remembers a session as long as it lives.
pub(super) fn remember(session: &Arc<Session>) {
    let mut all = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(session));
}

/// One section a brick (`connected`) and one a replica set (`child_up`, `pending_key`), named and written as GlusterFS does.
pub fn text() -> String {
    let all = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    all.iter().filter_map(Weak::upgrade).map(|session| session_text(&session)).collect()
}

fn session_text(session: &Session) -> String {
    let graph = session.files.graph();
    let mut text = String::new();
    for (n, set) in graph.sets.iter().enumerate() {
        let epochs = set.wire.epochs();
        let up = |i: usize| u8::from(epochs[i] > 0);
        for (i, slot) in set.shape.slots.iter().enumerate() {
            let _ = writeln!(text, "[xlator.protocol.client.{slot}.priv]\nconnected={}\n", up(i));
        }
        if graph.volume.is_replicated() {
            let _ = writeln!(text, "[cluster/replicate.{}]\nchild_count={}", graph.name(n), epochs.len());
            for (i, slot) in set.shape.slots.iter().enumerate() {
                let _ = writeln!(text, "child_up[{i}]={}\npending_key[{i}]=trusted.afr.{slot}", up(i));
            }
            text.push('\n');
        }
    }
    text
}
