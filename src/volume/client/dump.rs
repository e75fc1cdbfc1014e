//! What a client tells of its bricks and sets, as GlusterFS's translators would.

use std::sync::{Arc, Weak};

use super::files::{Files, Graph};
use super::session::Session;
use super::set::Set;
use crate::volume::definition::Volume;
use crate::volume::dump::{self, Section};
use crate::volume::options;

/// A session is asked as long as it lives.
pub(super) fn remember(session: &Arc<Session>) {
    let session: Weak<Session> = Arc::downgrade(session);
    dump::on_request(move || session.upgrade().map(|session| sections(&session.files)));
}

/// One section a brick, one a replica set, and one for the hash.
fn sections(files: &Files) -> Vec<Section> {
    let graph = files.graph();
    let sets = graph.sets.iter().enumerate();
    let of_set = sets.flat_map(|(n, set)| {
        let bricks = (0..set.shape.slots.len()).map(move |i| brick(set, i));
        bricks.chain(graph.volume.is_replicated().then(|| replicas(&graph, n, set)))
    });
    of_set.chain([hash(&graph)]).collect()
}

/// What the translator of this name tells, if it tells anything.
pub fn of_translator(files: &Files, name: &str) -> Option<Section> {
    let told = |section: &Section| {
        let title = section.title.trim_end_matches(".priv");
        title.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
    };
    sections(files).into_iter().find(told)
}

fn is_up(set: &Set, brick: usize) -> u8 {
    u8::from(set.wire.epochs().get(brick).is_some_and(|epoch| *epoch > 0))
}

fn brick(set: &Set, place: usize) -> Section {
    let slot = &set.shape.slots[place];
    Section::new(format!("xlator.protocol.client.{slot}.priv")).with("connected", is_up(set, place))
}

fn replicas(graph: &Graph, number: usize, set: &Set) -> Section {
    let volume = &graph.volume;
    let slots = &set.shape.slots;
    let mut told = Section::new(format!("cluster/replicate.{}", graph.name(number))).with("child_count", slots.len());
    for (i, slot) in slots.iter().enumerate() {
        let key = format!("trusted.afr.{slot}");
        told = told.with(format!("child_up[{i}]"), is_up(set, i)).with(format!("pending_key[{i}]"), key);
    }
    for heal in ["data-self-heal", "metadata-self-heal", "entry-self-heal"] {
        told = told.with(heal.replace('-', "_"), on(volume, heal));
    }
    told = told.with("read_child", read_child(volume, set));
    for key in ["heal-wait-queue-length", "background-self-heal-count", "read-hash-mode"] {
        told = told.with(key, options::value(volume, &format!("cluster.{key}")));
    }
    told = told.with("use-anonymous-inode", on(volume, "use-anonymous-inode"));
    told = match (options::value(volume, "cluster.quorum-type"), options::value(volume, "cluster.quorum-count")) {
        ("fixed", "(null)") => told.with("quorum-type", "none"),
        ("fixed", count) => told.with("quorum-type", "fixed").with("quorum-count", count),
        (kind, _) => told.with("quorum-type", kind),
    };
    told.with("up", u8::from(set.ready().is_ok()))
}

fn on(volume: &Volume, key: &str) -> u8 {
    u8::from(options::is_on(volume, &format!("cluster.{key}")))
}

/// The copy that is read first: what was set, else the one on this machine; -1: whichever.
fn read_child(volume: &Volume, set: &Set) -> i64 {
    let wanted = options::value(volume, "cluster.read-subvolume");
    let named = set.shape.slots.iter().position(|slot| slot == wanted);
    named.or(set.near).and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

fn hash(graph: &Graph) -> Section {
    let volume = &graph.volume;
    let kind = if volume.is_replicated() { "cluster/replicate" } else { "protocol/client" };
    let mut told =
        Section::new(format!("xlator.cluster.dht.{}-dht.priv", volume.name)).with("subvol_cnt", graph.sets.len());
    for (i, set) in graph.sets.iter().enumerate() {
        told = told.with(format!("subvolumes[{i}]"), format!("{kind}.{}", graph.name(i)));
        told = told.with(format!("subvolume_status[{i}]"), u8::from(set.ready().is_ok()));
    }
    told.with("min_free_disk", options::value(volume, "cluster.min-free-disk"))
        .with("min_free_inodes", options::value(volume, "cluster.min-free-inodes"))
}
