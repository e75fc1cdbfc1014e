//! The peers: how each is mounted, tuned as far as it lets itself be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A plain directory.
    Native,
    /// The kernel's overlayfs.
    Overlayfs,
    /// fuse-overlayfs.
    FuseOverlayfs,
    /// mergerfs; it has no whiteouts and no copy-up.
    Mergerfs,
    /// Terrarium's.
    Ours,
    /// The same with `passthrough`; for the machine's root alone.
    OursPassthrough,
}

/// A peer that is mounted.
pub struct Mounted {
    /// Where its tree is seen.
    pub at: PathBuf,
    /// How long it took until it answered.
    pub seconds: f64,
    peer: Peer,
}

/// What mergerfs needs to keep as much in the kernel as it can.
const MERGERFS: &str = "cache.files=full,cache.readdir=true,cache.symlinks=true,cache.entry=60,cache.attr=60,\
    cache.negative_entry=60,security_capability=false,category.create=ff,minfreespace=0";

impl Peer {
    /// All, in the table's order.
    pub const ALL: [Peer; 6] =
        [Peer::Native, Peer::Overlayfs, Peer::FuseOverlayfs, Peer::Mergerfs, Peer::Ours, Peer::OursPassthrough];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Native => "native",
            Peer::Overlayfs => "overlayfs",
            Peer::FuseOverlayfs => "fuse-overlayfs",
            Peer::Mergerfs => "mergerfs",
            Peer::Ours => "ours",
            Peer::OursPassthrough => "ours-passthrough",
        }
    }

    /// Mounts it with fresh directories in `place`, over the lower tree in `base`; waits until it answers.
    pub fn mount(self, base: &Path, place: &Path, udba: &str) -> Result<Mounted, String> {
        if self == Peer::Native {
            return Ok(Mounted { at: base.join("native"), seconds: 0.0, peer: self });
        }
        let (upper, work, at) = (place.join("upper"), place.join("work"), place.join("mnt"));
        for dir in [&upper, &work, &at] {
            fs::create_dir_all(dir).map_err(|e| e.to_string())?;
        }
        let mut command = self.command(&base.join("lower"), &upper, &work, &at, udba)?;
        let start = Instant::now();
        // A daemon keeps what it was given: its standard error goes to a file, so that nobody waits for it to end.
        let said = place.join("said");
        let file = fs::File::create(&said).map_err(|e| e.to_string())?;
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status();
        let answers = fs::metadata(at.join("tree"));
        let seconds = start.elapsed().as_secs_f64();
        match (status, answers) {
            (Err(e), _) => Err(e.to_string()),
            (Ok(status), Ok(_)) if status.success() => Ok(Mounted { at, seconds, peer: self }),
            _ => Err(fs::read_to_string(said).unwrap_or_default().trim().to_owned()),
        }
    }

    fn command(self, lower: &Path, upper: &Path, work: &Path, at: &Path, udba: &str) -> Result<Command, String> {
        let (l, u, w) = (lower.display(), upper.display(), work.display());
        let overlay = format!("lowerdir={l},upperdir={u},workdir={w}");
        Ok(match self {
            Peer::Native => return Err("a plain directory is not mounted".to_owned()),
            Peer::Overlayfs => {
                let user = if own_users() { ",userxattr" } else { "" };
                with("mount", &["-t", "overlay", "none", "-o", &format!("{overlay}{user}")], at)
            }
            Peer::FuseOverlayfs => with("fuse-overlayfs", &["-o", &overlay], at),
            Peer::Mergerfs => with("mergerfs", &["-o", MERGERFS, &format!("{u}=RW:{l}=RO")], at),
            Peer::Ours | Peer::OursPassthrough => {
                let more = if self == Peer::OursPassthrough { ",passthrough" } else { "" };
                let own = std::env::current_exe().map_err(|e| e.to_string())?;
                let mut command = Command::new(own);
                command
                    .args(["mount.aufs", "none"])
                    .arg(at)
                    .args(["-o", &format!("br={u}=rw:{l}=ro,udba={udba}{more}")]);
                command
            }
        })
    }
}

/// Whether we are root in a user namespace only.
fn own_users() -> bool {
    !fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"))
}

fn with(program: &str, args: &[&str], at: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(args).arg(at);
    command
}

impl Mounted {
    /// Takes it away, and waits until it is gone.
    pub fn unmount(self) {
        if self.peer == Peer::Native {
            return;
        }
        let plain = Command::new("umount").arg(&self.at).stderr(Stdio::null()).status();
        if !plain.is_ok_and(|s| s.success()) {
            let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
        }
    }
}
