//! `/var/lib/lxc`: one directory a container, with its `config` and its `rootfs`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::super::config::Config;
use super::super::plan::{DEVICES, Facts};
use super::super::spec::Spec;
use super::{Doing, Error, ids};

/// Configuration files that come with LXC's packages; taken from here where the machine does not have them.
static SHARED: Dir = include_dir!("$CARGO_MANIFEST_DIR/assets/rootfs/config");

/// Where LXC's own shared configuration lies.
pub const SHARED_PATH: &str = "/usr/share/lxc/config";
/// Where containers live unless `-P` says otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/lxc";

/// One container's place on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory of all containers.
    pub lxcpath: PathBuf,
    /// The container's name.
    pub name: String,
}

impl Place {
    /// The place of a container.
    pub fn new(lxcpath: &Path, name: &str) -> Self {
        Self { lxcpath: lxcpath.into(), name: name.into() }
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.lxcpath.join(&self.name)
    }

    /// Its `config`.
    pub fn config_path(&self) -> PathBuf {
        self.dir().join("config")
    }

    /// Whether it is defined: it has a `config`.
    pub fn is_defined(&self) -> bool {
        self.config_path().is_file()
    }

    /// Reads its configuration, or the file `instead`, with `defines` (`key=value`) added.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn config(&self, instead: Option<&Path>, defines: &[String]) -> Result<Config, Error> {
        let path = instead.map_or_else(|| self.config_path(), Path::to_path_buf);
        let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        let mut config = Config::parse(&path.to_string_lossy(), &text, &mut include)?;
        for words in defines {
            config.define(words)?;
        }
        Ok(config)
    }

    /// Reads and understands its configuration.
    ///
    /// # Errors
    /// As of [`Place::config`], and values that make no sense.
    pub fn spec(&self) -> Result<Spec, Error> {
        Ok(Spec::read(&self.name, &self.config(None, &[])?)?)
    }

    /// The path of the monitor's socket, in the directory for things of the moment.
    pub fn socket(&self) -> PathBuf {
        let path = self.lxcpath.to_string_lossy();
        let folder = if self.lxcpath == Path::new(DEFAULT_PATH) { "lxc".into() } else { path.replace('/', "_") };
        runtime_dir().join(folder).join(format!("{}.sock", self.name))
    }
}

/// `$TERRARIUM_RUN`, else `/run/terrarium`.
pub fn runtime_dir() -> PathBuf {
    std::env::var_os("TERRARIUM_RUN").map_or_else(|| "/run/terrarium".into(), PathBuf::from)
}

/// Names of the defined containers, sorted.
///
/// # Errors
/// When the directory cannot be read; that there is none is an empty list.
pub fn names(lxcpath: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(lxcpath) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|n| Place::new(lxcpath, n).is_defined()).collect();
    names.sort();
    Ok(names)
}

/// Finds what `lxc.include` names: a file, the `*.conf` of a directory, or one of LXC's shared files from our own.
fn include(path: &str) -> Result<Vec<(String, String)>, String> {
    let read = |p: &Path| fs::read_to_string(p).map(|text| (p.display().to_string(), text));
    let there = Path::new(path);
    if there.is_dir() {
        let mut files: Vec<_> = fs::read_dir(there).map_err(|e| e.to_string())?.flatten().map(|e| e.path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "conf"));
        files.sort();
        return files.iter().map(|f| read(f).map_err(|e| format!("{}: {e}", f.display()))).collect();
    }
    match read(there) {
        Ok(file) => Ok(vec![file]),
        Err(e) => shared(path).map(|text| vec![(path.into(), text)]).ok_or_else(|| e.to_string()),
    }
}

/// One of LXC's shared files from our own: `…/debian.common.conf`. Those of a distribution that has none of its own are
/// the common ones.
fn shared(path: &str) -> Option<String> {
    let name = Path::new(path).strip_prefix(SHARED_PATH).ok()?.to_str()?;
    if name == "common.conf.d" || name == "common.conf.d/" {
        return Some(String::new());
    }
    let common = name.strip_suffix(".common.conf").map(|_| "common.conf");
    let file = SHARED.get_file(name).or_else(|| SHARED.get_file(common?))?;
    file.contents_utf8().map(str::to_string)
}

/// Finds out what the machine offers for a plan.
///
/// # Errors
/// A file of `lxc.mount.fstab` that cannot be read.
pub fn facts(spec: &Spec) -> Result<Facts, Error> {
    let devices = DEVICES.iter().filter(|d| Path::new("/dev").join(d).exists()).map(|d| (*d).to_string()).collect();
    let read = |path: &String| fs::read_to_string(path).doing(|| format!("read lxc.mount.fstab {path}"));
    let fstabs = spec.fstabs.iter().map(read).collect::<Result<_, _>>()?;
    let own_program = super::build::own_program().map(|p| p.display().to_string());
    Ok(Facts { devices, tty_group: ids::has_group(5), fstabs, own_network: !spec.shares_network(), own_program })
}
