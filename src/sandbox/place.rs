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
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use super::{Error, Result, While};

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
        let path = self.dir.join("lock");
        let file = File::create(&path).when(|| format!("making {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
            let try_this = format!("it runs already; join it with `terrarium enter --world {}`", self.name);
            Error::new(format!("world {}", self.name), try_this)
        })
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

    /// Removes the world's folder. Files of mapped ids are removed as their owner.
    ///
    /// # Errors
    /// If something could not be removed.
    pub fn remove(&self) -> Result<()> {
        super::ids::remove_as_owner(&self.dir)
    }
}

/// Removes the folders and groups of worlds that `run` left behind when it was killed.
pub fn heal() {
    super::cgroup::heal();
    for place in all().unwrap_or_default() {
        if place.is_passing() && !place.is_running() {
            let _ = place.remove();
        }
    }
}
