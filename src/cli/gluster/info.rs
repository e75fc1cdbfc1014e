//! `volume info`, `volume list`.

use super::session::{Failure, Outcome, Session};
use super::xml::{Node, leaf, node};
use crate::volume::definition::Volume;

/// Pattern of `volume info`.
pub const INFO: &str = "volume info [all|<VOLNAME>]";

/// `volume info [V]`.
///
/// # Errors
/// [`Failure`].
pub fn info(session: &Session, words: &[&str]) -> Outcome {
    let name = match words {
        [] | ["all"] => None,
        [name] => Some(*name),
        _ => return Err(Failure::Usage(INFO)),
    };
    let volumes = session.volumes(name).map_err(Failure::text)?;
    if session.xml {
        let all = volumes.iter().map(element).chain([leaf("count", volumes.len())]).collect();
        return session.say("", || node("volInfo", vec![node("volumes", all)]));
    }
    if volumes.is_empty() {
        eprintln!("No volumes present");
    }
    volumes.iter().for_each(|v| print!("{}", text(v)));
    Ok(0)
}

/// `volume list`.
///
/// # Errors
/// [`Failure`].
pub fn list(session: &Session, words: &[&str]) -> Outcome {
    if !words.is_empty() {
        return Err(Failure::Usage("volume list"));
    }
    let volumes = session.volumes(None).map_err(|e| Failure::failed("volume list", &e))?;
    if session.xml {
        let names = volumes.iter().map(|v| leaf("volume", &v.name));
        let all = std::iter::once(leaf("count", volumes.len())).chain(names).collect();
        return session.say("", || node("volList", all));
    }
    if volumes.is_empty() {
        eprintln!("No volumes present in cluster");
    }
    volumes.iter().for_each(|v| println!("{}", v.name));
    Ok(0)
}

/// `4`, `1 x 3 = 3`, `2 x (2 + 1) = 6`.
fn brick_count(volume: &Volume) -> String {
    let (all, sets, replica) = (volume.bricks.len(), volume.set_count(), volume.replica);
    match (volume.is_replicated(), volume.arbiter) {
        (false, _) => all.to_string(),
        (true, 0) => format!("{sets} x {replica} = {all}"),
        (true, arbiter) => format!("{sets} x ({} + {arbiter}) = {all}", replica - arbiter),
    }
}

/// One volume of `volume info`.
fn text(volume: &Volume) -> String {
    let bricks = volume.bricks.iter().enumerate().map(|(i, b)| {
        let arbiter = if volume.is_arbiter(i) { " (arbiter)" } else { "" };
        format!("Brick{}: {}{arbiter}\n", i + 1, b.name())
    });
    let options = volume.options.iter().map(|(k, v)| format!("{k}: {v}\n"));
    format!(
        " \nVolume Name: {}\nType: {}\nVolume ID: {}\nStatus: {}\nSnapshot Count: 0\nNumber of Bricks: {}\nTransport-type: tcp\n\
         Bricks:\n{}Options Reconfigured:\n{}",
        volume.name,
        volume.kind().label(),
        volume.id,
        volume.status.label(),
        brick_count(volume),
        bricks.collect::<String>(),
        options.collect::<String>(),
    )
}

fn element(volume: &Volume) -> Node {
    let bricks = volume.bricks.iter().enumerate().map(|(i, b)| {
        let inside =
            vec![leaf("name", b.name()), leaf("hostUuid", b.peer), leaf("isArbiter", u8::from(volume.is_arbiter(i)))];
        leaf("brick", b.name()).with("uuid", b.peer).and(inside)
    });
    let options = volume.options.iter().map(|(k, v)| node("option", vec![leaf("name", k), leaf("value", v)]));
    let (kind, status) = (volume.kind(), volume.status);
    node(
        "volume",
        vec![
            leaf("name", &volume.name),
            leaf("id", volume.id),
            leaf("status", status as u8),
            leaf("statusStr", status.label()),
            leaf("snapshotCount", 0),
            leaf("brickCount", volume.bricks.len()),
            leaf("distCount", volume.set_count()),
            leaf("replicaCount", volume.replica),
            leaf("arbiterCount", volume.arbiter),
            leaf("disperseCount", 0),
            leaf("redundancyCount", 0),
            leaf("type", kind.number()),
            leaf("typeStr", kind.label()),
            leaf("transport", 0),
            node("bricks", bricks.collect()),
            leaf("optCount", volume.options.len()),
            node("options", options.collect()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::definition::{Brick, Status};
    use crate::volume::manager::op::birth_options;

    fn volume(replica: usize, arbiter: usize, count: usize) -> Volume {
        let brick = |n: usize| Brick {
            host: format!("node{n}"),
            path: "/srv/data/arb".into(),
            peer: uuid::Uuid::nil(),
            slot: n - 1,
            port: 0,
            decommissioned: false,
        };
        Volume {
            name: "arb".into(),
            id: "e7809b5f-9423-49af-979b-733df53e3964".parse().unwrap(),
            status: Status::Created,
            replica,
            arbiter,
            bricks: (1..=count).map(brick).collect(),
            options: birth_options(replica),
            version: 1,
            commit_hash: 1,
        }
    }

    /// The captured text of an arbiter volume, to the byte.
    #[test]
    fn volume_info_is_the_captured_text() {
        let expected = " \nVolume Name: arb\nType: Replicate\nVolume ID: e7809b5f-9423-49af-979b-733df53e3964\nStatus: Created\n\
            Snapshot Count: 0\nNumber of Bricks: 1 x (2 + 1) = 3\nTransport-type: tcp\nBricks:\nBrick1: node1:/srv/data/arb\n\
            Brick2: node2:/srv/data/arb\nBrick3: node3:/srv/data/arb (arbiter)\nOptions Reconfigured:\n\
            cluster.granular-entry-heal: on\nstorage.fips-mode-rchecksum: on\ntransport.address-family: inet\n\
            nfs.disable: on\nperformance.client-io-threads: off\n";
        assert_eq!(text(&volume(3, 1, 3)), expected);
    }

    /// Each kind counts its bricks in its own way.
    #[test]
    fn bricks_are_counted_by_kind() {
        let counts = [(1, 0, 4), (3, 0, 3), (3, 0, 6), (3, 1, 6)].map(|(r, a, n)| brick_count(&volume(r, a, n)));
        assert_eq!(counts, ["4", "1 x 3 = 3", "2 x 3 = 6", "2 x (2 + 1) = 6"]);
    }
}
