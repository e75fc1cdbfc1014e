//! What lies over what in a merged directory: for those who watch.
//!
//! A look-up ends at the first branch that has the name, so it never learns what is shadowed below; the screen wants just
//! that. When a directory is listed and somebody watches, its branches are read once more and the names that more than one
//! branch has something of are told. Nobody else pays for it.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::branch::{Branch, Result};
use super::event::{Happening, Overlap};
use super::lookup::is_opaque;
use super::node::{Node, Place};
use super::{Union, names};

/// At most so many names of a directory are told.
const MOST: usize = 64;

impl<B: Branch> Union<B> {
    /// Tells what lies over what in a directory that was listed, if somebody wants to know.
    pub(super) fn tell_listed(&self, node: &Node<B>) {
        if !self.host.is_curious() {
            return;
        }
        let places = node.places();
        let opaque = places.iter().filter(|p| matches!(is_opaque(p), Ok(true))).map(|p| p.member.index()).collect();
        if let Ok(overlaps) = overlaps(&places) {
            let path = Some(node.path()).filter(|path| !path.is_empty()).unwrap_or_else(|| "/".into());
            self.host.tell(Happening::Listed { at: self.at.clone(), path, overlaps, opaque });
        }
    }
}

/// The names of which several branches have a copy, or one a whiteout, in the order of their bytes.
fn overlaps<B: Branch>(places: &[Place<B>]) -> Result<Vec<Overlap>> {
    let mut found: BTreeMap<String, Overlap> = BTreeMap::new();
    let mut of = |name: &OsStr, note: &dyn Fn(&mut Overlap)| {
        let name = name.to_string_lossy().into_owned();
        note(found.entry(name.clone()).or_insert_with(|| Overlap { name, ..Overlap::default() }));
    };
    for place in places {
        let branch = place.member.index();
        place.member.branch.list(&place.dir, &mut |entry| match names::hidden_by(entry.name) {
            Some(hidden) if place.member.honours_whiteouts() => of(hidden, &|o| o.whiteouts.push(branch)),
            _ if names::is_reserved(entry.name) => {}
            _ => of(entry.name, &|o| o.copies.push(branch)),
        })?;
    }
    let told = found.into_values().filter(|o| o.copies.len() > 1 || !o.whiteouts.is_empty());
    Ok(told.take(MOST).collect())
}
