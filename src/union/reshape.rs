//! Adding, removing and re-permitting branches, at mount and on a live union.
//!
//! At a mount the options are applied by class (flags, then branches); at a remount strictly from left to right, and what was
//! applied before an error stays, as in AUFS. After each change the directories that are held are merged anew, from the
//! top down. The errors are those of AUFS's table (§14 of its reference): whatever is wrong with a directory is `EINVAL`, an
//! index out of range `EDOM`, too many branches `ENOSPC`, a branch in use `EBUSY`; the sentence beside it says why.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::branch::{At, Branch, Errno, Kind, Result};
use super::lookup::find;
use super::node::{Member, Node, Place, ROOT, State};
use super::options::{Access, BranchSpec, Opt, Permission, Udba, default_access};
use super::policy::{CopyUp, Create};
use super::{BranchInfo, Happening, Settings, Union, names};

/// The most branches a union can have.
pub const MAX_BRANCHES: usize = 127;

/// A directory made ready to be a branch.
pub struct Candidate<B> {
    /// The branch.
    pub branch: B,
    /// Its absolute path without links.
    pub path: String,
    /// Whether its file system can never change (squashfs, iso9660, cramfs, romfs).
    pub immutable: bool,
}

/// Why a mount or remount was refused: an error number and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// The error that mount(2) would give.
    pub errno: Errno,
    /// What, where, and what to try.
    pub why: String,
}

impl Refused {
    /// A refusal.
    pub fn new(errno: Errno, why: impl Into<String>) -> Self {
        Self { errno, why: why.into() }
    }
}

/// How a directory becomes a candidate: opens it, and refuses what cannot be a branch.
pub type Opener<'a, B> = dyn Fn(&str) -> std::result::Result<Candidate<B>, Refused> + 'a;

impl<B: Branch> Union<B> {
    /// Applies the options of a mount.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn mount(&self, options: &[Opt], open: &Opener<'_, B>) -> std::result::Result<(), Refused> {
        let (branches, flags): (Vec<&Opt>, Vec<&Opt>) = options.iter().partition(|o| is_about_branches(o));
        flags.into_iter().for_each(|opt| self.set(opt));
        for opt in branches {
            self.apply(opt, open, true)?;
        }
        if self.members().is_empty() {
            return Err(Refused::new(Errno::EINVAL, "no branch: say which, as in -o br:/rw:/ro"));
        }
        Ok(())
    }

    /// Applies one option. At a mount (`fresh`) a directory that is already a branch, or one to remove that is none, is an
    /// error; on a live union it is no change.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn apply(&self, opt: &Opt, open: &Opener<'_, B>, fresh: bool) -> std::result::Result<(), Refused> {
        // What was seen of a branch holds for what the branch was.
        self.changed_directly();
        match opt {
            Opt::Branches(list) => {
                let mut at = if fresh { self.members().len() } else { 0 };
                for spec in list {
                    at += usize::from(self.add(at, spec, open, fresh)?);
                }
                Ok(())
            }
            Opt::Add(index, spec) => {
                let count = self.members().len();
                let index = usize::try_from(*index).ok().filter(|i| *i <= count);
                let index = index.ok_or_else(|| Refused::new(Errno::EDOM, format!("the index is 0 to {count}")))?;
                self.add(index, spec, open, fresh).map(drop)
            }
            Opt::Append(spec) => self.add(self.members().len(), spec, open, fresh).map(drop),
            Opt::Prepend(spec) => self.add(0, spec, open, fresh).map(drop),
            Opt::Del(path) => self.delete(path, open, fresh),
            Opt::Mod(path, permission) => self.modify(path, *permission, open, fresh),
            other => {
                self.set(other);
                Ok(())
            }
        }
    }

    /// Sets an option that is not about branches.
    fn set(&self, opt: &Opt) {
        let mut shape = self.shape.write().unwrap();
        let s = &mut shape.settings;
        match opt {
            Opt::Create(policy) => s.create = *policy,
            Opt::CopyUp(policy) => s.copy_up = *policy,
            Opt::Udba(udba) => s.udba = *udba,
            Opt::Sum(on) => s.sum = *on,
            Opt::OpaqueAlways(on) => s.opaque_always = *on,
            Opt::Plink(on) => s.plink = *on,
            Opt::Dirperm1(on) => s.dirperm1 = *on,
            Opt::ShowWhiteouts(on) => s.show_whiteouts = *on,
            Opt::ReadOnly(on) => s.read_only = *on,
            _ => {}
        }
    }

    /// Adds a branch; whether it is one more.
    fn add(
        &self,
        index: usize,
        spec: &BranchSpec,
        open: &Opener<'_, B>,
        fresh: bool,
    ) -> std::result::Result<bool, Refused> {
        let candidate = open(&spec.path)?;
        let _change = self.changing();
        let members = self.members();
        if let Some(clash) = self.clash(&candidate, &members) {
            let same = clash.path == candidate.path;
            if same && !fresh {
                return Ok(false);
            }
            let why = match same {
                true => format!("{} is a branch already", clash.path),
                false => format!("{} lies in, above or on top of the branch {}", candidate.path, clash.path),
            };
            return Err(Refused::new(Errno::EINVAL, why));
        }
        if members.len() >= MAX_BRANCHES {
            return Err(Refused::new(Errno::ENOSPC, format!("a union has at most {MAX_BRANCHES} branches")));
        }
        let read_only = self.settings().read_only;
        let default = || Permission::plain(default_access(candidate.immutable, index == 0, read_only));
        let permission = spec.permission.unwrap_or_else(default);
        let space = candidate.branch.space().unwrap_or_default();
        if permission.access == Access::Rw && space.read_only {
            let why = format!("{}: rw on a read-only file system (try =ro)", candidate.path);
            return Err(Refused::new(Errno::EINVAL, why));
        }
        let mut shape = self.shape.write().unwrap();
        let member = Arc::new(Member {
            id: shape.next_id,
            path: candidate.path,
            branch: candidate.branch,
            index: AtomicUsize::new(index),
            permission: AtomicU32::new(permission.pack()),
            fs_read_only: space.read_only,
        });
        make_base(&member)?;
        shape.next_id += 1;
        shape.members.insert(index, member);
        renumber(&shape.members);
        drop(shape);
        self.merge_anew();
        Ok(true)
    }

    /// The branch that a candidate is the same as, or nested with.
    fn clash<'m>(&self, candidate: &Candidate<B>, members: &'m [Arc<Member<B>>]) -> Option<&'m Arc<Member<B>>> {
        let root = candidate.branch.root();
        let key = candidate.branch.stat(At::Dir(&root)).ok().map(|s| s.key);
        let nested =
            |a: &str, b: &str| a == b || b.strip_prefix(a.trim_end_matches('/')).is_some_and(|r| r.starts_with('/'));
        members.iter().find(|m| {
            nested(&m.path, &candidate.path)
                || nested(&candidate.path, &m.path)
                || m.branch.stat(At::Dir(&m.branch.root())).ok().map(|s| s.key) == key
        })
    }

    /// The branch of a path, as written or as the directory it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn member_at(&self, path: &str, open: &Opener<'_, B>) -> std::result::Result<Arc<Member<B>>, Refused> {
        let members = self.members();
        let plain = path.trim_end_matches('/');
        if let Some(member) = members.iter().find(|m| m.path == plain) {
            return Ok(member.clone());
        }
        let candidate = open(path)?;
        let found = members.iter().find(|m| m.path == candidate.path).cloned();
        found.ok_or_else(|| Refused::new(Errno::ENOENT, format!("{path} is no branch of this union")))
    }

    fn delete(&self, path: &str, open: &Opener<'_, B>, fresh: bool) -> std::result::Result<(), Refused> {
        let member = match self.member_at(path, open) {
            Err(e) if e.errno == Errno::ENOENT && !fresh => return Ok(()),
            member => member?,
        };
        let _change = self.changing();
        if self.members().len() == 1 {
            return Err(Refused::new(Errno::EBUSY, format!("{} is the last branch", member.path)));
        }
        if let Some(user) = self.users(&member).first() {
            let why =
                format!("{} is in use: {} is open, mapped or somebody's working directory", member.path, shown(user));
            return Err(Refused::new(Errno::EBUSY, why));
        }
        let mut shape = self.shape.write().unwrap();
        shape.members.retain(|m| m.id != member.id);
        renumber(&shape.members);
        drop(shape);
        self.plinks.write().unwrap().retain(|_, p| p.member.id != member.id);
        self.merge_anew();
        Ok(())
    }

    /// The held objects that live on a branch alone: what keeps it from being removed.
    pub fn users(&self, member: &Member<B>) -> Vec<Arc<Node<B>>> {
        let only_there = |node: &Arc<Node<B>>| {
            let state = node.state.read().unwrap();
            match node.kind {
                Kind::Dir => node.ino != ROOT && state.places.iter().all(|p| p.member.id == member.id),
                _ => state.top.id == member.id,
            }
        };
        self.nodes().into_iter().filter(only_there).collect()
    }

    fn modify(
        &self,
        path: &str,
        permission: Permission,
        open: &Opener<'_, B>,
        fresh: bool,
    ) -> std::result::Result<(), Refused> {
        let member = match self.member_at(path, open) {
            Err(e) if e.errno == Errno::ENOENT && !fresh => return Ok(()),
            member => member?,
        };
        let _change = self.changing();
        let before = member.permission();
        if permission.access == Access::Rw && member.fs_read_only {
            return Err(Refused::new(Errno::EINVAL, format!("{}: rw on a read-only file system", member.path)));
        }
        member.permission.store(permission.pack(), Relaxed);
        if before.access != Access::Rw
            && let Err(e) = make_base(&member)
        {
            member.permission.store(before.pack(), Relaxed);
            return Err(e);
        }
        if before.access == Access::Rw && permission.access != Access::Rw {
            self.close_writers(&member);
            remove_base(&member);
        }
        self.merge_anew();
        Ok(())
    }

    /// Files open for writing on a branch that may not be written any more: the next write copies up.
    fn close_writers(&self, member: &Member<B>) {
        for node in self.nodes() {
            let mut state = node.state.write().unwrap();
            if state.top.id == member.id && !state.names.is_empty() {
                state.file = None;
            }
        }
    }

    /// Merges every held directory anew, parents before children.
    fn merge_anew(&self) {
        let members = self.members();
        let root_places: Vec<Place<B>> = members
            .iter()
            .filter_map(|m| {
                let dir = m.branch.root();
                let key = m.branch.stat(At::Dir(&dir)).ok()?.key;
                Some(Place { member: m.clone(), dir, key })
            })
            .collect();
        let Some(first) = root_places.first().cloned() else { return };
        let keys: Vec<_> = root_places.iter().map(|p| p.key).collect();
        let mut table = self.table.lock().unwrap();
        let root = table.get(ROOT).unwrap_or_else(|| Arc::new(root_node(&first)));
        table.insert(&root, []);
        keys.iter().for_each(|key| table.tie(&root, *key));
        drop(table);
        {
            let mut state = root.state.write().unwrap();
            (state.top, state.key, state.places) = (first.member, first.key, root_places.into());
        }
        let mut dirs: Vec<_> = self.nodes().into_iter().filter(|n| n.kind == Kind::Dir && n.ino != ROOT).collect();
        dirs.sort_by_cached_key(|n| depth(n));
        dirs.iter().for_each(|dir| self.merge_dir(dir, &members));
    }

    fn merge_dir(&self, node: &Arc<Node<B>>, members: &[Arc<Member<B>>]) {
        node.listing.lock().unwrap().take();
        let Some((parent, name)) = node.name() else { return };
        match find(&parent.places(), 0, &name) {
            Ok(Some(found)) if found.stat.kind == Kind::Dir => {
                if let Ok((same, _)) = self.adopt(&parent, &name, found) {
                    self.forget(same.ino, 1);
                }
            }
            _ => {
                let mut state = node.state.write().unwrap();
                let lives = |p: &&Place<B>| members.iter().any(|m| m.id == p.member.id);
                state.places = state.places.iter().filter(lives).cloned().collect();
            }
        }
    }

    /// The branches as listings show them.
    pub fn branch_infos(&self) -> Vec<BranchInfo> {
        let info = |m: &Arc<Member<B>>| {
            let space = m.branch.space().unwrap_or_default();
            BranchInfo {
                path: m.path.clone(),
                permission: m.permission().to_string(),
                free: space.free_bytes(),
                total: space.blocks.saturating_mul(space.bsize),
            }
        };
        self.members().iter().map(info).collect()
    }

    /// Reports the branches and options as they are now.
    pub fn tell_branches(&self, because: &str) {
        self.tell(|| Happening::Branches {
            at: self.at.clone(),
            branches: self.branch_infos(),
            options: option_words(&self.settings()),
            because: because.to_owned(),
        });
    }
}

fn is_about_branches(opt: &Opt) -> bool {
    matches!(opt, Opt::Branches(_) | Opt::Add(..) | Opt::Append(_) | Opt::Prepend(_) | Opt::Del(_) | Opt::Mod(..))
}

fn renumber<B: Branch>(members: &[Arc<Member<B>>]) {
    members.iter().enumerate().for_each(|(index, m)| m.index.store(index, Relaxed));
}

fn depth<B: Branch>(node: &Arc<Node<B>>) -> usize {
    std::iter::successors(node.name(), |(parent, _)| parent.name()).count()
}

fn shown<B: Branch>(node: &Node<B>) -> String {
    let path = node.path();
    if path.is_empty() { "a removed file".to_owned() } else { path }
}

fn root_node<B: Branch>(first: &Place<B>) -> Node<B> {
    let state = State {
        names: Vec::new(),
        top: first.member.clone(),
        key: first.key,
        places: Arc::from([]),
        floor: None,
        file: None,
        anchor: None,
        last: None,
    };
    let root = Node::new(ROOT, Kind::Dir, state);
    root.lookups.store(1, Relaxed);
    root
}

/// Makes the bookkeeping files of a writable branch.
fn make_base<B: Branch>(member: &Member<B>) -> std::result::Result<(), Refused> {
    if !member.writable() {
        return Ok(());
    }
    let (branch, root) = (&member.branch, member.branch.root());
    let exists = |done: Result<()>| match done {
        Err(Errno::EEXIST) => Ok(()),
        done => done,
    };
    let made = exists(branch.mknod(&root, OsStr::new(names::BASE), Kind::File, 0o444, 0))
        .and_then(|()| exists(branch.mkdir(&root, OsStr::new(names::PLINK), 0o700)))
        .and_then(|()| exists(branch.mkdir(&root, OsStr::new(names::ORPHAN), 0o700)));
    made.map_err(|e| Refused::new(Errno::EINVAL, format!("{}: cannot be written: {e} (try =ro)", member.path)))
}

fn remove_base<B: Branch>(member: &Member<B>) {
    let (branch, root) = (&member.branch, member.branch.root());
    let _ = branch.unlink(&root, OsStr::new(names::BASE));
    let _ = branch.rmdir(&root, OsStr::new(names::PLINK));
    let _ = branch.rmdir(&root, OsStr::new(names::ORPHAN));
}

/// A create policy in the words of its option.
pub fn create_words(policy: Create) -> String {
    match policy {
        Create::TopDownParent => "tdp".to_owned(),
        Create::TopDownMostFree { low, secs } => format!("tdmfs:{low}:{secs}"),
        Create::RoundRobin => "rr".to_owned(),
        Create::MostFree { secs } => format!("mfs:{secs}"),
        Create::MostFreeRoundRobin { low, secs } => format!("mfsrr:{low}:{secs}"),
        Create::ParentMostFree { secs } => format!("pmfs:{secs}"),
        Create::ParentMostFreeRoundRobin { low, secs } => format!("pmfsrr:{low}:{secs}"),
    }
}

/// The options that differ from the defaults, as AUFS would show them in `/proc/mounts`; `udba` always.
pub fn option_words(s: &Settings) -> String {
    let mut words = vec![match s.udba {
        Udba::None => "udba=none".to_owned(),
        Udba::Reval => "udba=reval".to_owned(),
        Udba::Notify => "udba=notify".to_owned(),
    }];
    if s.create != Create::default() {
        words.push(format!("create={}", create_words(s.create)));
    }
    match s.copy_up {
        CopyUp::TopDownParent => {}
        CopyUp::BottomUpParent => words.push("cpup=bup".to_owned()),
        CopyUp::BottomUp => words.push("cpup=bu".to_owned()),
    }
    let flags = [
        (s.read_only, "ro"),
        (s.show_whiteouts, "shwh"),
        (!s.plink, "noplink"),
        (s.dirperm1, "dirperm1"),
        (s.opaque_always, "diropq=a"),
        (s.sum, "sum"),
    ];
    words.extend(flags.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()));
    words.join(",")
}
