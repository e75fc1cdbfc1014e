//! Where worlds live on disk: `$XDG_STATE_HOME/terrarium/worlds/NAME/`.
//!
//! ```text
//! lock            held (flock) by the outermost process while the world runs
//! root/           mount point of the private root; always empty from outside
//! disk/           what outlives the world: lxc/ data/ mnt/ srv/ home/ log/ glusterd/ and nodes/
//! journal/        its events
//! keeper.sock     the keeper's socket, and `log/`: what each process wrote to standard error
//! ```
//!
//! A world that is gone but left its folder (`kill -9`, power cut) is recognised by its free lock; a start heals it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::{Error, Result, While};

/// How a lock is taken: at once or not at all.
const TAKE: FlockArg = FlockArg::LockExclusiveNonblock;

/// Worlds made by `run` for one command; their folders go when it ends. The prefix of their names.
pub const PASSING: &str = "run-";

/// A world's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The world's name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
}

/// The folder of everything that the program keeps: `$XDG_STATE_HOME/terrarium`, else `~/.local/state/terrarium`.
///
/// # Errors
/// If neither is set.
pub fn state_dir() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("terrarium"))
        .ok_or_else(|| Error::new("finding the state directory", "set HOME or XDG_STATE_HOME to a full path"))
}

/// Every world that has a folder, by name.
///
/// # Errors
/// As of [`state_dir`].
pub fn all() -> Result<Vec<Place>> {
    let worlds = state_dir()?.join("worlds");
    let names = fs::read_dir(worlds).into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut places =
        names.filter(|name| !name.starts_with('.')).map(|name| Place::of(&name)).collect::<Result<Vec<_>>>()?;
    places.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(places)
}

impl Place {
    /// The place of the world called `name`.
    ///
    /// # Errors
    /// If the name is not letters, digits, `-`, `_` and `.`.
    pub fn of(name: &str) -> Result<Self> {
        let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || name.len() > 64 || !name.chars().all(fits) {
            return Err(Error::new(format!("world name {name:?}"), "use letters, digits, - and _, at most 64"));
        }
        Ok(Self { name: name.into(), dir: state_dir()?.join("worlds").join(name) })
    }

    /// Whether it was made for one command and goes with it.
    pub fn is_passing(&self) -> bool {
        self.name.starts_with(PASSING)
    }

    /// The keeper's socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("keeper.sock")
    }

    /// Makes the folder and takes its lock, which lasts as long as the returned value.
    ///
    /// # Errors
    /// If the world runs already, or as of the files.
    pub fn claim(&self) -> Result<Flock<File>> {
        self.close_to_others()?;
        let lock = self.lock()?;
        for sub in [
            "root",
            "journal",
            "log",
            "disk/lxc",
            "disk/data/brick1",
            "disk/mnt",
            "disk/srv",
            "disk/home",
            "disk/glusterd",
        ] {
            let path = self.dir.join(sub);
            fs::create_dir_all(&path).when(|| format!("making {}", path.display()))?;
        }
        Ok(lock)
    }

    /// Takes the lock of a folder that may not be there yet, while others look for what dead worlds have left: a lock that is
    /// free is a dead world's, so a new one appears under its name already taken. Whoever removes a folder may still be
    /// faster than one of these steps; then they are done again.
    fn lock(&self) -> Result<Flock<File>> {
        let path = self.dir.join("lock");
        loop {
            fs::create_dir_all(&self.dir).when(|| format!("making {}", self.dir.display()))?;
            match self.new_lock(&path) {
                Ok(lock) => return Ok(lock),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).when(|| format!("making {}", path.display())),
            }
            let Ok(file) = File::open(&path) else { continue };
            let lock = Flock::lock(file, TAKE).map_err(|_| {
                let try_this = format!("it runs already; join it with `terrarium enter --world {}`", self.name);
                Error::new(format!("world {}", self.name), try_this)
            })?;
            if is_at(&lock, &path) {
                return Ok(lock);
            }
        }
    }

    fn new_lock(&self, path: &Path) -> io::Result<Flock<File>> {
        let own = self.dir.join(format!("lock.{}", std::process::id()));
        let lock = Flock::lock(File::create(&own)?, TAKE).map_err(|(_, e)| e)?;
        let linked = fs::hard_link(&own, path);
        fs::remove_file(&own)?;
        linked.map(|()| lock)
    }

    /// Nobody else may come near what lies in a world: root of a container can leave set-user-id programs there.
    fn close_to_others(&self) -> Result<()> {
        let worlds = self.dir.parent().unwrap_or(&self.dir);
        fs::create_dir_all(worlds).when(|| format!("making {}", worlds.display()))?;
        let own = fs::Permissions::from_mode(0o700);
        fs::set_permissions(worlds, own).when(|| format!("closing {} to others", worlds.display()))
    }

    /// Whether the world runs: somebody holds its lock.
    pub fn is_running(&self) -> bool {
        let Ok(file) = File::open(self.dir.join("lock")) else { return false };
        Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
    }

    /// Puts the world back to its beginning: its journal and logs go to `worlds/.attic/`, numbered; its disks are removed.
    ///
    /// # Errors
    /// As of the files.
    pub fn archive(&self) -> Result<()> {
        if !self.dir.is_dir() {
            return Ok(());
        }
        let attic = state_dir()?.join("worlds/.attic");
        let number = (1..).find(|n| !attic.join(format!("{}.{n}", self.name)).exists()).unwrap_or(1);
        let kept = attic.join(format!("{}.{number}", self.name));
        fs::create_dir_all(&kept).when(|| format!("making {}", kept.display()))?;
        for evidence in ["journal", "log"] {
            let _ = fs::rename(self.dir.join(evidence), kept.join(evidence));
        }
        self.remove()
    }

    /// Removes the world's folder, the lock last: a folder without one is nobody's. Files of mapped ids are removed as their owner.
    ///
    /// # Errors
    /// If something could not be removed.
    pub fn remove(&self) -> Result<()> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().filter_map(io::Result::ok);
        for entry in entries.filter(|entry| entry.file_name() != "lock") {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => super::ids::remove_as_owner(&entry.path())?,
                _ => drop(fs::remove_file(entry.path())),
            }
        }
        super::ids::remove_as_owner(&self.dir)
    }

    /// Removes the folder of a world that is dead: its lock can be had.
    fn heal(&self) {
        match File::open(self.dir.join("lock")) {
            Ok(file) => {
                if let Ok(_lock) = Flock::lock(file, TAKE) {
                    let _ = self.remove();
                }
            }
            Err(_) => drop(fs::remove_dir(&self.dir)), // just being made, or all but removed: only if it is empty
        }
    }
}

/// Whether a locked file is still the one of this path.
fn is_at(lock: &Flock<File>, path: &Path) -> bool {
    let identity = |found: io::Result<fs::Metadata>| found.ok().map(|m| (m.dev(), m.ino()));
    identity(lock.metadata()).is_some_and(|own| identity(fs::metadata(path)) == Some(own))
}

/// Removes the folders and groups of worlds that `run` left behind when it was killed.
pub fn heal() {
    super::cgroup::heal();
    all().unwrap_or_default().iter().filter(|place| place.is_passing()).for_each(Place::heal);
}
