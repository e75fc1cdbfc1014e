//! A volume's definition as files, in GlusterFS's own form: `vols/V/info`, `vols/V/bricks/HOST:-PATH`, `vols/V/cksum`.
//!
//! Lines are `key=value`. What has a dot in its key is an option; bricks are listed at the end as `brick-N=HOST:-PATH`
//! (the path with dashes for slashes) and described in a file each. Fields of what terrarium does not have
//! (dispersion, tiers, snapshots, quota) are written with the values of a volume without them.

use uuid::Uuid;
use xxhash_rust::xxh64::xxh64;

use crate::volume::definition::{Brick, Status, Volume};

/// `/data/brick1/gv0` → `-data-brick1-gv0`.
pub fn dashed(path: &str) -> String {
    path.replace('/', "-")
}

/// The name of a brick's file: `server1:-data-brick1-gv0`.
pub fn brick_file(brick: &Brick) -> String {
    format!("{}:{}", brick.host, dashed(&brick.path))
}

/// The file `info`.
pub fn info(volume: &Volume) -> String {
    let store_type = if volume.is_replicated() { 2 } else { 0 };
    let (user, password) = crate::volume::volfile::credentials(volume.id);
    let mut lines: Vec<(&str, String)> = vec![
        ("type", store_type.to_string()),
        ("count", volume.bricks.len().to_string()),
        ("status", (volume.status as u8).to_string()),
        ("sub_count", if volume.is_replicated() { volume.replica } else { 0 }.to_string()),
        ("replica_count", volume.replica.to_string()),
        ("arbiter_count", volume.arbiter.to_string()),
        ("disperse_count", "0".into()),
        ("redundancy_count", "0".into()),
        ("version", volume.version.to_string()),
        ("transport-type", "0".into()),
        ("volume-id", volume.id.to_string()),
        ("username", user.to_string()),
        ("password", password.to_string()),
        ("op-version", "100000".into()),
        ("client-op-version", "100000".into()),
        ("quota-version", "0".into()),
        ("parent_volname", "N/A".into()),
        ("restored_from_snap", Uuid::nil().to_string()),
        ("snap-max-hard-limit", "256".into()),
        ("commit-hash", volume.commit_hash.to_string()),
    ];
    lines.extend(volume.options.iter().map(|(k, v)| (k.as_str(), v.clone())));
    let named = lines.iter().map(|(k, v)| format!("{k}={v}\n")).collect::<String>();
    let bricks = volume.bricks.iter().enumerate().map(|(i, b)| format!("brick-{i}={}\n", brick_file(b)));
    named + &bricks.collect::<String>()
}

/// The file `bricks/HOST:-PATH`.
pub fn brick(volume: &Volume, brick: &Brick) -> String {
    let (path, port) = (&brick.path, brick.port);
    format!(
        "uuid={}\nhostname={}\npath={path}\nreal_path={path}\nlisten-port={port}\nrdma.listen-port=0\n\
         decommissioned={}\nbrick-id={}\nmount_dir={path}\nsnap-status=0\n",
        brick.peer,
        brick.host,
        u8::from(brick.decommissioned),
        volume.client_name(brick),
    )
}

/// The file `cksum`: two managers whose volumes have the same version must agree on it.
pub fn cksum(volume: &Volume) -> String {
    format!("info={}\n", checksum(volume))
}

/// The checksum of everything that managers agree on; ports and the status of processes are left out.
pub fn checksum(volume: &Volume) -> u32 {
    let bricks = volume.bricks.iter().map(|b| brick(volume, &Brick { port: 0, ..b.clone() }));
    let mut all = info(volume);
    all.extend(bricks);
    u32::try_from(xxh64(all.as_bytes(), 0) & 0xffff_ffff).unwrap_or_default()
}

/// Reads a volume back: `bricks` gives the text of a brick's file by its name.
///
/// # Errors
/// What is missing or not understood, with the field's name.
pub fn parse(name: &str, info: &str, bricks: impl Fn(&str) -> Option<String>) -> Result<Volume, String> {
    let fields: Vec<(&str, &str)> = info.lines().filter_map(|line| line.split_once('=')).collect();
    let status = match number(&fields, "status")? {
        1 => Status::Started,
        2 => Status::Stopped,
        _ => Status::Created,
    };
    let count = number(&fields, "count")?;
    let files = (0..count).map(|i| field(&fields, &format!("brick-{i}")));
    let read = |file: &str| parse_brick(name, &bricks(file).ok_or_else(|| format!("bricks/{file} is missing"))?);
    Ok(Volume {
        name: name.into(),
        id: field(&fields, "volume-id")?.parse().map_err(|e| format!("volume-id: {e}"))?,
        status,
        replica: number(&fields, "replica_count")?.max(1),
        arbiter: number(&fields, "arbiter_count")?,
        bricks: files.map(|file| read(file?)).collect::<Result<_, _>>()?,
        options: fields.iter().filter(|(k, _)| k.contains('.')).map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        version: number(&fields, "version")? as u64,
        commit_hash: number(&fields, "commit-hash").map_or(1, |n| n as u32),
    })
}

fn parse_brick(volume: &str, text: &str) -> Result<Brick, String> {
    let fields: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let slot = field(&fields, "brick-id")?.strip_prefix(&format!("{volume}-client-")).unwrap_or_default();
    Ok(Brick {
        host: field(&fields, "hostname")?.into(),
        path: field(&fields, "path")?.into(),
        peer: field(&fields, "uuid")?.parse().map_err(|e| format!("uuid: {e}"))?,
        slot: slot.parse().map_err(|_| "brick-id is not VOLUME-client-N".to_owned())?,
        port: 0,
        decommissioned: field(&fields, "decommissioned")? == "1",
    })
}

fn field<'a>(fields: &[(&str, &'a str)], key: &str) -> Result<&'a str, String> {
    fields.iter().find(|(k, _)| *k == key).map(|(_, v)| *v).ok_or_else(|| format!("`{key}` is missing"))
}

fn number(fields: &[(&str, &str)], key: &str) -> Result<usize, String> {
    field(fields, key)?.parse().map_err(|_| format!("`{key}` is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gv0() -> Volume {
        let brick = |n: usize| Brick {
            host: format!("server{n}"),
            path: "/data/brick1/gv0".into(),
            peer: Uuid::from_u128(n as u128),
            slot: n - 1,
            port: 0,
            decommissioned: n == 3,
        };
        let (name, id, bricks) = ("gv0".into(), Uuid::from_u128(7), (1..=3).map(brick).collect());
        let options = vec![("cluster.quorum-type".into(), "auto".into()), ("nfs.disable".into(), "on".into())];
        let status = Status::Started;
        Volume { name, id, status, replica: 3, arbiter: 1, bricks, options, version: 4, commit_hash: 9 }
    }

    /// What is stored has GlusterFS's lines, and is read back whole.
    #[test]
    fn a_volume_is_stored_as_glusterd_stores_it() {
        let volume = gv0();
        let text = info(&volume);
        assert!(
            text.starts_with("type=2\ncount=3\nstatus=1\nsub_count=3\nreplica_count=3\narbiter_count=1\n"),
            "{text}"
        );
        assert!(text.ends_with("nfs.disable=on\nbrick-0=server1:-data-brick1-gv0\nbrick-1=server2:-data-brick1-gv0\nbrick-2=server3:-data-brick1-gv0\n"));
        let bricks = |file: &str| volume.bricks.iter().find(|b| brick_file(b) == file).map(|b| brick(&volume, b));
        assert_eq!(parse("gv0", &text, bricks), Ok(volume.clone()));
        assert!(parse("gv0", "type=2\n", |_| None).unwrap_err().contains("`status` is missing"));
    }

    /// Managers compare checksums: any change of meaning shows, a port does not.
    #[test]
    fn the_checksum_sees_meaning_alone() {
        let (volume, mut moved, mut other) = (gv0(), gv0(), gv0());
        moved.bricks[0].port = 49152;
        other.set_option("cluster.quorum-type", "none");
        assert_eq!(checksum(&volume), checksum(&moved));
        assert_ne!(checksum(&volume), checksum(&other));
    }
}
