//! What a transaction writes down before and after.

use bytes::Bytes;

use super::{Kids, Shape};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Xattrop;
use crate::volume::xattr::{AFR, DIRTY, Kind, Pending};

/// What to add to the counters of an inode.
pub type Marks = Vec<(String, Pending)>;

/// Before: something of this kind is begun.
pub fn before(gfid: Gfid, kind: Kind) -> Xattrop {
    Xattrop { gfid, add: vec![(DIRTY.into(), Pending::of(kind, 1))], name: None }
}

/// After, on a copy that has it all: what was begun is ended (if it was noted), and `missed` did not get it.
pub fn after(
    shape: &Shape,
    gfid: Gfid,
    kind: Kind,
    noted: bool,
    missed: Kids,
    name: Option<&Bytes>,
) -> Option<Xattrop> {
    let mut add = accuse(shape, missed, Pending::of(kind, 1));
    if noted {
        add.insert(0, (DIRTY.into(), Pending::of(kind, 1).negated()));
    }
    let name = name.filter(|_| !missed.is_empty()).cloned();
    (!add.is_empty()).then_some(Xattrop { gfid, add, name })
}

/// For something new of a kind (`S_IFREG`…) that `missed` will not have: so that contents and attributes follow its name.
pub fn newborn(shape: &Shape, gfid: Gfid, kind: u32, missed: Kids) -> Option<Xattrop> {
    let (is_dir, is_file) = (kind == libc::S_IFDIR, kind == libc::S_IFREG);
    let everything = Pending { data: u32::from(is_file || is_dir), metadata: 1, entry: u32::from(is_dir) };
    let add = accuse(shape, missed, everything);
    (!add.is_empty()).then_some(Xattrop { gfid, add, name: None })
}

fn accuse(shape: &Shape, missed: Kids, pending: Pending) -> Marks {
    missed.iter().filter_map(|i| shape.slots.get(i)).map(|slot| (format!("{AFR}{slot}"), pending)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::replicate::blame::tests::shape;

    /// With everybody there, a write leaves nothing behind but zeros; with one away, one accusation.
    #[test]
    fn who_missed_it_is_written_down() {
        let ended = after(&shape(3), Gfid::ROOT, Kind::Data, true, Kids::NONE, None).unwrap();
        let begun = before(Gfid::ROOT, Kind::Data);
        assert!(begun.add[0].1.plus(ended.add[0].1).is_zero());
        let missed =
            after(&shape(3), Gfid::ROOT, Kind::Entry, false, Kids::one(2), Some(&Bytes::from_static(b"f"))).unwrap();
        assert_eq!(missed.add, [("trusted.afr.gv0-client-2".to_string(), Pending::of(Kind::Entry, 1))]);
        assert_eq!(missed.name.as_deref(), Some(&b"f"[..]));
        assert_eq!(after(&shape(3), Gfid::ROOT, Kind::Entry, false, Kids::NONE, None), None);
    }

    /// A directory made while one is away: `1 1 1`; a file: `1 1 0`. As captured. What is neither has no contents to miss.
    #[test]
    fn the_newborn_is_marked_whole() {
        let marks = |kind| newborn(&shape(3), Gfid::ROOT, kind, Kids::one(2)).unwrap().add[0].1;
        assert_eq!(marks(libc::S_IFDIR), Pending { data: 1, metadata: 1, entry: 1 });
        assert_eq!(marks(libc::S_IFREG), Pending { data: 1, metadata: 1, entry: 0 });
        assert_eq!(marks(libc::S_IFIFO), Pending { data: 0, metadata: 1, entry: 0 });
    }
}
