//! What a manager keeps on disk: `/var/lib/glusterd`, in GlusterFS's own layout.
//!
//! ```text
//! glusterd.info            UUID=…, operating-version=…
//! options                  options of the whole pool
//! peers/UUID               one file a peer
//! deleted                  ids of deleted volumes (terrarium's own)
//! vols/V/info, cksum, node_state.info, bricks/HOST:-PATH, *.vol
//! ```
//!
//! Every file is written beside its old self, synced, and renamed over it: a manager killed at any time leaves either.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::info;
use super::peer::Peer;
use super::state::State;
use super::task::Task;
use crate::volume::definition::Volume;

/// The folder, and the verbs to keep it true.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens the store, giving the server an identity if it has none.
    ///
    /// # Errors
    /// As of the disk, with the path; a volume that cannot be read is an error too, rather than a volume less.
    pub fn open(dir: &Path) -> io::Result<(Self, State)> {
        for folder in ["", "peers", "vols", "groups"] {
            fs::create_dir_all(dir.join(folder)).map_err(|e| at(&dir.join(folder), &e))?;
        }
        let store = Self { dir: dir.into() };
        let mut state = State { uuid: store.identity()?, ..State::default() };
        state.peers = store.texts("peers")?.values().filter_map(|text| Peer::from_store(text)).collect();
        state.peers.sort_by(|a, b| a.hostnames.cmp(&b.hostnames));
        state.globals = pairs(&store.read("options").unwrap_or_default());
        state.deleted = store.read("deleted").unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect();
        super::hooks::prepare(dir);
        store.load_volumes(&mut state)?;
        store.write_groups()?;
        Ok((store, state))
    }

    fn identity(&self) -> io::Result<Uuid> {
        let text = self.read("glusterd.info").unwrap_or_default();
        let known = pairs(&text).into_iter().find(|(k, _)| k == "UUID").and_then(|(_, v)| v.parse().ok());
        if let Some(uuid) = known {
            return Ok(uuid);
        }
        let uuid = Uuid::new_v4();
        self.write("glusterd.info", &format!("UUID={uuid}\noperating-version=100000\n"))?;
        Ok(uuid)
    }

    fn load_volumes(&self, state: &mut State) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join("vols"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let folder = format!("vols/{name}");
            let Some(text) = self.read(&format!("{folder}/info")) else { continue };
            let volume = info::parse(&name, &text, |file| self.read(&format!("{folder}/bricks/{file}")))
                .map_err(|e| io::Error::other(format!("{}: {e}", self.dir.join(&folder).display())))?;
            if let Some(task) =
                self.read(&format!("{folder}/node_state.info")).and_then(|t| Task::from_store(&name, &t))
            {
                state.tasks.insert(name.clone(), task);
            }
            state.volumes.insert(name, volume);
        }
        Ok(())
    }

    /// Stores a volume with all its files; those of bricks that are gone are removed.
    ///
    /// # Errors
    /// As of the disk, with the path.
    pub fn save_volume(&self, volume: &Volume) -> io::Result<()> {
        let folder = format!("vols/{}", volume.name);
        let bricks = self.dir.join(&folder).join("bricks");
        fs::create_dir_all(&bricks).map_err(|e| at(&bricks, &e))?;
        let wanted: Vec<String> = volume.bricks.iter().map(info::brick_file).collect();
        for (file, brick) in wanted.iter().zip(&volume.bricks) {
            self.write(&format!("{folder}/bricks/{file}"), &info::brick(volume, brick))?;
        }
        for (file, text) in crate::volume::volfile::all(volume) {
            self.write(&format!("{folder}/{file}"), &text)?;
        }
        self.write(&format!("{folder}/cksum"), &info::cksum(volume))?;
        self.write(&format!("{folder}/info"), &info::info(volume))?;
        let known = fs::read_dir(&bricks)?.flatten();
        let stale = known.filter(|e| !wanted.iter().any(|w| e.file_name() == w.as_str()));
        stale.for_each(|e| drop(fs::remove_file(e.path())));
        Ok(())
    }

    /// Forgets a volume.
    ///
    /// # Errors
    /// As of the disk.
    pub fn remove_volume(&self, name: &str) -> io::Result<()> {
        let path = self.dir.join("vols").join(name);
        fs::remove_dir_all(&path).map_err(|e| at(&path, &e))
    }

    /// Stores a volume's task, or forgets it.
    ///
    /// # Errors
    /// As of the disk.
    pub fn save_task(&self, volume: &str, task: Option<&Task>) -> io::Result<()> {
        let file = format!("vols/{volume}/node_state.info");
        match task {
            Some(task) => self.write(&file, &task.to_store()),
            None => fs::remove_file(self.dir.join(file)).or_else(missing_is_fine),
        }
    }

    /// Stores what is not a volume: peers, options of the pool, deleted volumes.
    ///
    /// # Errors
    /// As of the disk.
    pub fn save_pool(&self, state: &State) -> io::Result<()> {
        for name in self.texts("peers")?.keys() {
            if !state.peers.iter().any(|p| p.uuid.to_string() == *name) {
                fs::remove_file(self.dir.join("peers").join(name)).or_else(missing_is_fine)?;
            }
        }
        for peer in &state.peers {
            self.write(&format!("peers/{}", peer.uuid), &peer.to_store())?;
        }
        self.write("options", &state.globals.iter().map(|(k, v)| format!("{k}={v}\n")).collect::<String>())?;
        self.write("deleted", &state.deleted.iter().map(|id| format!("{id}\n")).collect::<String>())
    }

    /// The options of `volume set V group NAME`; `None` if there is no such group.
    pub fn group(&self, name: &str) -> Option<Vec<(String, String)>> {
        let plain = !name.contains('/') && !name.starts_with('.');
        plain.then(|| self.read(&format!("groups/{name}"))).flatten().map(|text| pairs(&text))
    }

    /// Puts the groups that GlusterFS ships into place, unless somebody changed them.
    fn write_groups(&self) -> io::Result<()> {
        for (name, options) in GROUPS {
            if self.read(&format!("groups/{name}")).is_none() {
                let text: String = options.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
                self.write(&format!("groups/{name}"), &text)?;
            }
        }
        Ok(())
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(file)).ok()
    }

    /// Every file of a folder, by name.
    fn texts(&self, folder: &str) -> io::Result<BTreeMap<String, String>> {
        let entries = fs::read_dir(self.dir.join(folder))?.flatten();
        let named = entries.map(|e| e.file_name().to_string_lossy().into_owned()).filter(|n| !n.ends_with(".tmp"));
        Ok(named.filter_map(|name| Some((name.clone(), self.read(&format!("{folder}/{name}"))?))).collect())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        replace(&self.dir.join(file), text)
    }
}

/// Writes a file beside its old self, syncs it, and renames it over.
///
/// # Errors
/// As of the disk, with the path.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_file_name(format!("{}.tmp", path.file_name().unwrap_or_default().to_string_lossy()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&beside, path)
    };
    write().map_err(|e| at(path, &e))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.trim().into(), v.trim().into())).collect()
}

/// Groups of options by purpose, as far as terrarium has the options.
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "metadata-cache",
        &[
            ("features.cache-invalidation", "on"),
            ("features.cache-invalidation-timeout", "600"),
            ("performance.stat-prefetch", "on"),
            ("performance.cache-invalidation", "on"),
            ("performance.md-cache-timeout", "600"),
            ("network.inode-lru-limit", "200000"),
        ],
    ),
    (
        "nl-cache",
        &[
            ("features.cache-invalidation", "on"),
            ("features.cache-invalidation-timeout", "600"),
            ("performance.nl-cache", "on"),
            ("performance.nl-cache-timeout", "600"),
            ("network.inode-lru-limit", "200000"),
        ],
    ),
    (
        "db-workload",
        &[
            ("performance.open-behind", "on"),
            ("performance.write-behind", "off"),
            ("performance.stat-prefetch", "off"),
            ("performance.quick-read", "off"),
            ("performance.strict-o-direct", "on"),
            ("performance.read-ahead", "off"),
            ("performance.io-cache", "off"),
            ("performance.readdir-ahead", "off"),
            ("performance.client-io-threads", "on"),
            ("server.event-threads", "4"),
            ("client.event-threads", "4"),
            ("performance.read-after-open", "yes"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::op::tests::volume;
    use super::super::peer::PeerState;
    use super::*;

    /// What a manager stored it finds again, identity included; a deleted volume stays away.
    #[test]
    fn what_was_stored_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut state) = Store::open(dir.path()).unwrap();
        let gv0 = volume(3, 3);
        store.save_volume(&gv0).unwrap();
        store.save_volume(&Volume { name: "old".into(), ..volume(1, 2) }).unwrap();
        store.remove_volume("old").unwrap();
        let uuid = Uuid::from_u128(4);
        state.peers.push(Peer { uuid, hostnames: vec!["server2".into()], state: PeerState::InCluster });
        store.save_pool(&state).unwrap();
        let (_, again) = Store::open(dir.path()).unwrap();
        assert_eq!((again.uuid, again.peers), (state.uuid, state.peers));
        assert_eq!(again.volumes.into_values().collect::<Vec<_>>(), [gv0]);
    }

    /// A brick that left takes its file along, and a damaged store is an error, not a volume less.
    #[test]
    fn files_follow_the_bricks() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let mut gv0 = volume(3, 3);
        store.save_volume(&gv0).unwrap();
        gv0.bricks.pop();
        store.save_volume(&gv0).unwrap();
        let files = fs::read_dir(dir.path().join("vols/gv0/bricks")).unwrap().count();
        assert_eq!(files, 2);
        fs::write(dir.path().join("vols/gv0/info"), "type=2\n").unwrap();
        assert!(Store::open(dir.path()).unwrap_err().to_string().contains("`status` is missing"));
    }

    /// Each option of a group may be set.
    #[test]
    fn groups_hold_options_that_exist() {
        for (key, value) in GROUPS.iter().flat_map(|(_, options)| *options) {
            assert_eq!(crate::volume::options::check(key, value), Ok(*key));
        }
    }
}
