//! Where a new file goes when the set that its name belongs to is nearly full (`cluster.min-free-disk`, `cluster.min-free-inodes`):
//! to the set with the most room, with a link-to file where it belongs. A file that is there already stays where it is.
//!
//! How much room there is, is asked at most once a second: the files of one second may all still go to a set that just became full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Files, Graph};
use crate::volume::layout::Layout;
use crate::volume::options::{self, Least};
use crate::volume::rpc::Room;

/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

/// The rooms of the sets, as of a moment; `None`: the set did not say.
pub(super) type Rooms = (Instant, Arc<Vec<Option<Room>>>);

impl Files {
    /// The set that a new file of a name that belongs to `hashed` is made on.
    pub(super) fn roomy(&self, graph: &Graph, layout: &Layout, hashed: usize) -> usize {
        let parse = |key| Least::parse(options::value(&graph.volume, key));
        let (Some(bytes), Some(inodes)) = (parse("cluster.min-free-disk"), parse("cluster.min-free-inodes")) else {
            return hashed;
        };
        let holds = |i: usize| layout.0.get(i).copied().flatten().is_some_and(|range| !range.is_empty());
        let rooms = self.rooms(graph);
        let candidates = rooms.iter().enumerate().map(|(i, room)| room.filter(|_| holds(i))).collect::<Vec<_>>();
        choose(&candidates, (bytes, inodes), hashed)
    }

    fn rooms(&self, graph: &Graph) -> Arc<Vec<Option<Room>>> {
        if let Some((since, rooms)) = &self.known().rooms
            && since.elapsed() < FRESH
        {
            return rooms.clone();
        }
        let rooms = Arc::new(graph.sets.iter().map(|set| set.room().ok()).collect::<Vec<_>>());
        self.known().rooms = Some((Instant::now(), rooms.clone()));
        rooms
    }
}

/// The set that a name belongs to, as long as it has room enough; else the emptiest of those that have; if none has, the
/// emptiest of all, unless that is no emptier.
fn choose(rooms: &[Option<Room>], (bytes, inodes): (Least, Least), hashed: usize) -> usize {
    let enough = |r: &Room| bytes.is_left(r.available, r.blocks) && inodes.is_left(r.files_free, r.files);
    let in_bytes = |r: &Room| Room { available: r.available * r.block, blocks: r.blocks * r.block, ..*r };
    let rooms: Vec<Option<Room>> = rooms.iter().map(|r| r.as_ref().map(in_bytes)).collect();
    let Some(own) = rooms.get(hashed).copied().flatten().filter(|own| !enough(own)) else { return hashed };
    let emptiest = |wanted: &dyn Fn(&Room) -> bool| {
        let some = rooms.iter().enumerate().filter_map(|(i, r)| r.filter(wanted).map(|r| (i, r.available)));
        some.max_by_key(|(_, available)| *available)
    };
    match emptiest(&enough).or_else(|| emptiest(&|_| true)) {
        Some((at, available)) if available > own.available => at,
        _ => hashed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(percent: u64) -> Option<Room> {
        Some(Room { block: 4096, blocks: 1000, available: percent * 10, files: 100, files_free: 50, ..Room::default() })
    }

    const LEAST: (Least, Least) = (Least::Percent(10.0), Least::Percent(5.0));

    /// A full set passes new files on to the emptiest one; when all are full, each keeps its own unless another is emptier.
    #[test]
    fn a_full_set_passes_new_files_on() {
        assert_eq!(choose(&[room(10), room(90)], LEAST, 0), 0, "just enough is enough");
        assert_eq!(choose(&[room(9), room(20), room(90)], LEAST, 0), 2);
        assert_eq!(choose(&[room(9), None, room(5)], LEAST, 0), 0);
        assert_eq!(choose(&[room(4), room(6)], LEAST, 0), 1);
        assert_eq!(choose(&[room(5), room(5)], LEAST, 1), 1, "one disk under both");
        assert_eq!(choose(&[None, room(90)], LEAST, 0), 0, "nobody knows");
        let few_inodes = room(90).map(|r| Room { files_free: 4, ..r });
        assert_eq!(choose(&[few_inodes, room(91)], LEAST, 0), 1);
    }
}
