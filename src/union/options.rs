//! The options of `mount -t aufs -o …`: their grammar, and nothing but their grammar.
//!
//! [`parse`] reads a comma-separated list into [`Options`]: what is ours in the order given, the flags that any mount
//! has, and warnings. Both spellings are read, `br:/a:/b` and `br=/a:/b`. A path ends at the first `=`; commas, colons
//! and equals signs cannot be part of one and there is no escape. Applying them is [`super::reshape`]'s work: at mount by
//! class (flags, branches), at remount strictly from left to right.

use serde::{Deserialize, Serialize};

use super::policy::{CopyUp, Create};

/// What a branch may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and write; its whiteouts count.
    Rw,
    /// Read only; its whiteouts do not count unless `+wh`.
    Ro,
    /// Read only for real: it never changes, so it is not watched.
    Rr,
}

/// A branch permission with its attributes, as in `ro+wh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The permission.
    pub access: Access,
    /// `+wh`: whiteouts on a read-only branch count.
    pub wh: bool,
    /// `+nolwh`: whiteouts are files of their own, not hard links.
    pub nolwh: bool,
    /// Copy-up when a file is opened: `+coo_reg`, `+coo_all`, `+moo`.
    pub coo: Option<Coo>,
    /// Attribute namespaces whose errors do not matter in a copy-up to this branch, as bits in the order of [`ICEX`].
    pub icex: u8,
}

/// When opening a file copies it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coo {
    /// Regular files.
    Reg,
    /// Directories too.
    All,
    /// Regular files, and the source is removed.
    Moo,
}

/// The `+icex…` attributes, in AUFS's order: security, system, trusted, user, others.
pub const ICEX: [&str; 5] = ["icexsec", "icexsys", "icextr", "icexusr", "icexoth"];

impl Permission {
    /// A permission without attributes.
    pub const fn plain(access: Access) -> Self {
        Self { access, wh: false, nolwh: false, coo: None, icex: 0 }
    }

    /// Whether whiteouts and opaque marks on the branch count.
    pub fn honours_whiteouts(self) -> bool {
        self.access == Access::Rw || self.wh
    }

    /// Packs into one word, so that a live branch's permission can be read without a lock.
    pub fn pack(self) -> u32 {
        let access = match self.access {
            Access::Rw => 0,
            Access::Ro => 1,
            Access::Rr => 2,
        };
        let coo = match self.coo {
            None => 0,
            Some(Coo::Reg) => 1,
            Some(Coo::All) => 2,
            Some(Coo::Moo) => 3,
        };
        access | u32::from(self.wh) << 2 | u32::from(self.nolwh) << 3 | coo << 4 | u32::from(self.icex) << 8
    }

    /// The inverse of [`Permission::pack`].
    pub fn unpack(word: u32) -> Self {
        let access = [Access::Rw, Access::Ro, Access::Rr][(word & 3).min(2) as usize];
        let coo = [None, Some(Coo::Reg), Some(Coo::All), Some(Coo::Moo)][(word >> 4 & 3) as usize];
        Self { access, wh: word & 4 != 0, nolwh: word & 8 != 0, coo, icex: (word >> 8) as u8 & 31 }
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.access {
            Access::Rw => "rw",
            Access::Ro => "ro",
            Access::Rr => "rr",
        })?;
        match self.coo {
            Some(Coo::Reg) => f.write_str("+coo_reg")?,
            Some(Coo::All) => f.write_str("+coo_all")?,
            _ => {}
        }
        for (bit, name) in ICEX.iter().enumerate().filter(|(bit, _)| self.icex & (1 << bit) != 0) {
            let _ = bit;
            write!(f, "+{name}")?;
        }
        let rest = [(self.wh, "+wh"), (self.coo == Some(Coo::Moo), "+moo"), (self.nolwh, "+nolwh")];
        rest.iter().filter(|(set, _)| *set).try_for_each(|(_, word)| f.write_str(word))
    }
}

/// One `PATH[=PERM[+ATTR]…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchSpec {
    /// The directory as written.
    pub path: String,
    /// Its permission; `None`: the default of its place ([`default_access`]).
    pub permission: Option<Permission>,
}

/// How direct changes of branches are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Udba {
    /// Not at all: the kernel's caches are trusted.
    None,
    /// Every access looks again: strict, slow.
    Reval,
    /// The branches are watched and the kernel's caches corrected. The default here.
    #[default]
    Notify,
}

/// One option of the union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opt {
    /// `br=`, `br:`, `dirs=`: branches, topmost first.
    Branches(Vec<BranchSpec>),
    /// `add:IDX:BR`, `ins:IDX:BR`.
    Add(i64, BranchSpec),
    /// `append:BR`: at the bottom.
    Append(BranchSpec),
    /// `prepend:BR`: on top.
    Prepend(BranchSpec),
    /// `del:PATH`.
    Del(String),
    /// `mod:PATH=PERM`.
    Mod(String, Permission),
    /// `create=`.
    Create(Create),
    /// `cpup=`.
    CopyUp(CopyUp),
    /// `udba=`.
    Udba(Udba),
    /// `sum`, `nosum`.
    Sum(bool),
    /// `diropq=a` (true), `diropq=w`.
    OpaqueAlways(bool),
    /// `plink`, `noplink`.
    Plink(bool),
    /// `dirperm1`, `nodirperm1`.
    Dirperm1(bool),
    /// `shwh`, `noshwh`.
    ShowWhiteouts(bool),
    /// `ro`, `rw`.
    ReadOnly(bool),
}

/// What an option list says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The union's own, in the order given.
    pub own: Vec<Opt>,
    /// Flags of any mount: `nosuid`, `noatime`, `remount`.
    pub flags: Vec<String>,
    /// What was accepted in a way that should be said.
    pub warnings: Vec<String>,
}

impl Options {
    /// Whether `flag` was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }
}

/// Why an option list was refused: one line that says what and what to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// It is none.
    #[error("unknown option \"{0}\" (see mount.aufs --help; -s ignores unknown ones)")]
    Unknown(String),
    /// AUFS knows it.
    #[error("\"{0}\": aufs has this, terrarium does not: {1}")]
    Missing(String, &'static str),
    /// Its value makes no sense.
    #[error("\"{0}\": {1}")]
    Bad(String, &'static str),
}

/// The permission of a branch written without one (AUFS §1.1): `rr` on a file system that cannot change, `rw` for the first
/// branch of a union that is not mounted `ro`, else `ro`.
pub fn default_access(immutable_fs: bool, first: bool, read_only: bool) -> Access {
    match (immutable_fs, first && !read_only) {
        (true, _) => Access::Rr,
        (false, true) => Access::Rw,
        (false, false) => Access::Ro,
    }
}

/// Reads an option list. With `sloppy`, unknown options become warnings.
///
/// # Errors
/// The first option that cannot be had.
pub fn parse(list: &str, sloppy: bool) -> Result<Options, OptionError> {
    let mut options = Options::default();
    for word in list.split(',').filter(|w| !w.is_empty()) {
        match parse_one(word, &mut options) {
            Err(OptionError::Unknown(word)) if sloppy => options.warnings.push(format!("option {word} ignored")),
            other => other?,
        }
    }
    Ok(options)
}

/// Flags of any mount, and what the kernel shows of a FUSE mount (`mount -o remount` repeats it).
const FLAGS: &[&str] = &[
    "remount",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "noatime",
    "atime",
    "nodiratime",
    "diratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "sync",
    "async",
    "dirsync",
    "silent",
    "loud",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "_netdev",
    "nofail",
    "defaults",
    "allow_other",
    "default_permissions",
    "nosymfollow",
    "symfollow",
    "iversion",
    "noiversion",
    "mand",
    "nomand",
    "passthrough",
    "nopoll",
];
const FLAG_KEYS: &[&str] =
    &["user_id", "group_id", "max_read", "blksize", "rootmode", "fd", "x-", "comment", "context", "subtype", "fsname"];

/// Accepted without effect, as in AUFS or because FUSE leaves nothing to do.
const IGNORED: &[&str] = &[
    "noxino",
    "trunc_xino",
    "notrunc_xino",
    "trunc_xib",
    "notrunc_xib",
    "clean_plink",
    "nodlgt",
    "acl",
    "verbose",
    "v",
    "noverbose",
    "quiet",
    "q",
    "warn_perm",
    "nowarn_perm",
    "nodio",
    "dio",
    "nodirren",
];
const IGNORED_KEYS: &[&str] = &[
    "xino",
    "trunc_xino",
    "trunc_xino_path",
    "itrunc_xino",
    "si",
    "debug",
    "delete",
    "imap",
    "dirwh",
    "rdcache",
    "rdblk",
    "rdhash",
];

fn parse_one(word: &str, options: &mut Options) -> Result<(), OptionError> {
    let (key, value) = match word.find(['=', ':']) {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let own = match (key, value) {
        ("br" | "dirs", Some(list)) => Opt::Branches(branch_list(list, &mut options.warnings)),
        ("add" | "ins", Some(v)) => add(word, v, &mut options.warnings)?,
        ("append", Some(v)) => Opt::Append(branch(v, &mut options.warnings)),
        ("prepend", Some(v)) => Opt::Prepend(branch(v, &mut options.warnings)),
        ("del", Some(v)) if !v.is_empty() => Opt::Del(v.to_owned()),
        ("mod", Some(v)) => modify(word, v, &mut options.warnings)?,
        ("create" | "create_policy", Some(v)) => Opt::Create(create(word, v)?),
        ("cpup" | "copyup" | "copyup_policy", Some(v)) => Opt::CopyUp(copy_up(word, v)?),
        ("udba", Some(v)) => Opt::Udba(udba(word, v)?),
        ("diropq", Some("a" | "always")) => Opt::OpaqueAlways(true),
        ("diropq", Some("w" | "whiteouted")) => Opt::OpaqueAlways(false),
        ("sum", None) => Opt::Sum(true),
        ("nosum" | "wsum", None) => Opt::Sum(false),
        ("plink", None) => Opt::Plink(true),
        ("noplink", None) => Opt::Plink(false),
        ("dirperm1", None) => Opt::Dirperm1(true),
        ("nodirperm1", None) => Opt::Dirperm1(false),
        ("shwh", None) => Opt::ShowWhiteouts(true),
        ("noshwh", None) => Opt::ShowWhiteouts(false),
        ("ro", None) => Opt::ReadOnly(true),
        ("rw", None) => Opt::ReadOnly(false),
        (level @ ("droplvl" | "ephemeral"), v) => return drop_level(word, level, v, options),
        _ => return other(word, key, value, options),
    };
    options.own.push(own);
    Ok(())
}

/// Options that are not the union's own, or not had.
fn other(word: &str, key: &str, value: Option<&str>, options: &mut Options) -> Result<(), OptionError> {
    let missing = |why| Err(OptionError::Missing(word.to_owned(), why));
    match (key, value) {
        ("dirren", _) => {
            return missing("a directory that lies on several branches is renamed by mv's copying (EXDEV)");
        }
        ("fhsm_sec", _) => return missing("files are not moved down by themselves"),
        ("noacl", None) => return missing("ACLs of the branches always count"),
        ("br" | "dirs" | "add" | "ins" | "append" | "prepend" | "del" | "mod", _) => {
            return Err(OptionError::Bad(word.to_owned(), "needs a directory, as in append:/dir=ro"));
        }
        ("diropq" | "create" | "cpup" | "udba", _) => return Err(OptionError::Bad(word.to_owned(), "no such value")),
        (_, None) if FLAGS.contains(&key) => options.flags.push(key.to_owned()),
        (_, None) if IGNORED.contains(&key) => {}
        (_, Some(_)) if IGNORED_KEYS.contains(&key) => {}
        _ if FLAG_KEYS.iter().any(|k| key == *k || (k.ends_with('-') && key.starts_with(k))) => {
            options.flags.push(word.to_owned())
        }
        _ => return Err(OptionError::Unknown(word.to_owned())),
    }
    Ok(())
}

/// The helper's own option: a bundle of others for unions that do not live long.
fn drop_level(word: &str, key: &str, value: Option<&str>, options: &mut Options) -> Result<(), OptionError> {
    let level = if key == "ephemeral" { 3 } else { value.and_then(|v| v.parse::<i8>().ok()).map_or(0, i8::abs) };
    if !(1..=3).contains(&level) {
        return Err(OptionError::Bad(word.to_owned(), "the level is 1, 2 or 3"));
    }
    options.flags.push("noatime".to_owned());
    options.own.extend([Opt::Dirperm1(true), Opt::Udba(Udba::None)]);
    if level == 3 {
        options.own.push(Opt::Plink(false));
    }
    Ok(())
}

/// An empty item ends the list silently, as in AUFS.
fn branch_list(list: &str, warnings: &mut Vec<String>) -> Vec<BranchSpec> {
    list.split(':').take_while(|item| !item.is_empty()).map(|item| branch(item, warnings)).collect()
}

fn branch(item: &str, warnings: &mut Vec<String>) -> BranchSpec {
    let (path, permission) = match item.split_once('=') {
        Some((path, words)) => (path, Some(permission(words, warnings))),
        None => (item, None),
    };
    BranchSpec { path: path.to_owned(), permission }
}

/// Reads `PERM[+ATTR]…`. An unknown permission is `ro`; an unknown attribute drops itself and all after it.
fn permission(words: &str, warnings: &mut Vec<String>) -> Permission {
    let mut words = words.split('+');
    let mut permission = Permission::plain(match words.next().unwrap_or("") {
        "rw" => Access::Rw,
        "ro" | "" => Access::Ro,
        "rr" => Access::Rr,
        other => {
            warnings.push(format!("unknown branch permission \"{other}\": ro is taken"));
            Access::Ro
        }
    });
    for word in words {
        let rw = permission.access == Access::Rw;
        match word {
            "wh" if !rw => permission.wh = true,
            "nolwh" if rw => permission.nolwh = true,
            "coo_reg" => permission.coo = Some(Coo::Reg),
            "coo_all" => permission.coo = Some(Coo::All),
            "moo" if rw => permission.coo = Some(Coo::Moo),
            "icex" => permission.icex = 31,
            "wh" | "nolwh" | "moo" | "unpin" => {
                warnings.push(format!("branch attribute +{word} means nothing here and is dropped"))
            }
            "fhsm" => {
                warnings.push("branch attribute +fhsm: aufs has this, terrarium does not; it is dropped".to_owned())
            }
            _ => match ICEX.iter().position(|name| *name == word) {
                Some(bit) => permission.icex |= 1 << bit,
                None => {
                    warnings.push(format!("unknown branch attribute +{word}: it and what follows are dropped"));
                    break;
                }
            },
        }
    }
    permission
}

fn add(word: &str, value: &str, warnings: &mut Vec<String>) -> Result<Opt, OptionError> {
    let bad = || OptionError::Bad(word.to_owned(), "is written add:INDEX:DIR[=PERM]");
    let (index, item) = value.split_once(':').ok_or_else(bad)?;
    if item.is_empty() {
        return Err(bad());
    }
    Ok(Opt::Add(index.parse().map_err(|_| bad())?, branch(item, warnings)))
}

fn modify(word: &str, value: &str, warnings: &mut Vec<String>) -> Result<Opt, OptionError> {
    let bad = OptionError::Bad(word.to_owned(), "is written mod:DIR=PERM");
    let (path, words) = value.split_once('=').ok_or(bad)?;
    Ok(Opt::Mod(path.to_owned(), permission(words, warnings)))
}

fn udba(word: &str, value: &str) -> Result<Udba, OptionError> {
    match value {
        "none" => Ok(Udba::None),
        "reval" => Ok(Udba::Reval),
        "notify" | "fsnotify" => Ok(Udba::Notify),
        _ => Err(OptionError::Bad(word.to_owned(), "is none, reval or notify")),
    }
}

fn copy_up(word: &str, value: &str) -> Result<CopyUp, OptionError> {
    match value {
        "tdp" | "top-down-parent" => Ok(CopyUp::TopDownParent),
        "bup" | "bottom-up-parent" => Ok(CopyUp::BottomUpParent),
        "bu" | "bottom-up" => Ok(CopyUp::BottomUp),
        _ => Err(OptionError::Bad(word.to_owned(), "is tdp, bup or bu")),
    }
}

/// Seconds for which free space is remembered when nothing is said.
const MFS_SECS: u64 = 30;
/// The most that may be said.
const MFS_SECS_MAX: u64 = 3600;

fn create(word: &str, value: &str) -> Result<Create, OptionError> {
    let mut parts = value.split(':');
    let name = parts.next().unwrap_or("");
    let numbers: Vec<u64> = parts
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| OptionError::Bad(word.to_owned(), "needs whole numbers (bytes, seconds)"))?;
    let needs_low = matches!(name, "tdmfs" | "top-down-mfs" | "mfsrr" | "most-free-space-round-robin" | "pmfsrr");
    let (low, secs) = if needs_low { (numbers.first().copied(), numbers.get(1)) } else { (Some(0), numbers.first()) };
    let low =
        low.ok_or_else(|| OptionError::Bad(word.to_owned(), "needs a threshold in bytes, as in mfsrr:1048576"))?;
    let secs = secs.copied().unwrap_or(MFS_SECS);
    if secs > MFS_SECS_MAX || numbers.len() > if needs_low { 2 } else { 1 } {
        return Err(OptionError::Bad(word.to_owned(), "seconds are 0 to 3600"));
    }
    match name {
        "tdp" | "top-down-parent" if numbers.is_empty() => Ok(Create::TopDownParent),
        "rr" | "round-robin" if numbers.is_empty() => Ok(Create::RoundRobin),
        "tdmfs" | "top-down-mfs" => Ok(Create::TopDownMostFree { low, secs }),
        "mfs" | "most-free-space" => Ok(Create::MostFree { secs }),
        "mfsrr" | "most-free-space-round-robin" => Ok(Create::MostFreeRoundRobin { low, secs }),
        "pmfs" => Ok(Create::ParentMostFree { secs }),
        "pmfsrr" => Ok(Create::ParentMostFreeRoundRobin { low, secs }),
        _ => Err(OptionError::Bad(word.to_owned(), "is tdp, tdmfs, rr, mfs, mfsrr, pmfs or pmfsrr")),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
