//! The three that are measured: how each is started, mounted, robbed of a brick and given it back.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

use crate::volume::definition::{Brick, Status, Volume};

/// The address of the one host that GlusterFS sees.
const ADDRESS: &str = "10.79.0.1";
/// How long anything may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something with a file system of three copies.
pub trait Peer {
    /// Mounts it once more.
    ///
    /// # Errors
    /// In words.
    fn mount(&mut self, at: &Path) -> Result<(), String>;
    /// Kills the third brick. `false`: it has none.
    fn kill_brick(&mut self) -> bool;
    /// Starts it again.
    ///
    /// # Errors
    /// In words.
    fn start_brick(&mut self) -> Result<(), String>;
    /// The bricks' directories.
    fn bricks(&self) -> Vec<PathBuf>;
    /// Ends everything.
    fn stop(&mut self);
}

/// Unmounts.
pub fn unmount(at: &Path) {
    // A plain directory is not mounted.
    let _ = nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH);
}

/// Private mounts, a /proc of these processes, a loopback with [`ADDRESS`], a host name, and a place in memory for what an
/// installed GlusterFS keeps outside its bricks.
pub fn own_world(base: &Path) -> Result<(), String> {
    let failed = |doing: &'static str| move |e: nix::errno::Errno| format!("{doing}: {e}");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(failed("private mounts"))?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>).map_err(failed("its own /proc"))?;
    nix::unistd::sethostname("server1").map_err(failed("its host name"))?;
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["addr", "add", &format!("{ADDRESS}/32"), "dev", "lo"])?;
    let hosts = base.join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost\n{ADDRESS} server1\n")).map_err(|e| e.to_string())?;
    mount(Some(&hosts), "/etc/hosts", None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(failed("/etc/hosts"))?;
    for place in ["/var/lib/glusterd", "/var/log/glusterfs", "/run"] {
        if Path::new(place).is_dir() {
            mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), None::<&str>).map_err(failed(place))?;
        }
    }
    fs::create_dir_all("/run/gluster").map_err(|e| e.to_string())
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    let out = out.map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if out.status.success() {
        return Ok(text(&out.stdout));
    }
    Err(format!("{program} {}: {}", args.join(" "), text(&out.stderr)))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return Err(format!("waited {} s for {what}", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a file system of this type is mounted there.
fn is_mounted(at: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(1) == at.to_str())
}

/// Starts a peer with its bricks below `place`.
///
/// # Errors
/// In words; also if it is not installed.
pub fn start(name: &str, place: &Path) -> Result<Box<dyn Peer>, String> {
    fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    let bricks: Vec<PathBuf> = (0..3).map(|i| place.join(format!("brick{i}"))).collect();
    for brick in &bricks {
        fs::create_dir_all(brick).map_err(|e| format!("{}: {e}", brick.display()))?;
    }
    Ok(match name {
        "native" => Box::new(Native(place.join("native"))),
        "glusterfs" => Box::new(Real::start(bricks)?),
        _ => Box::new(Ours::start(place, bricks)?),
    })
}

/// A directory on the same disk; "mounted" by a symbolic link.
struct Native(PathBuf);

impl Peer for Native {
    fn mount(&mut self, at: &Path) -> Result<(), String> {
        fs::create_dir_all(&self.0).map_err(|e| e.to_string())?;
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        mount(Some(&self.0), at, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|e| e.to_string())
    }

    fn kill_brick(&mut self) -> bool {
        false
    }

    fn start_brick(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn bricks(&self) -> Vec<PathBuf> {
        vec![]
    }

    fn stop(&mut self) {}
}

/// GlusterFS itself.
struct Real {
    bricks: Vec<PathBuf>,
}

impl Real {
    fn start(bricks: Vec<PathBuf>) -> Result<Self, String> {
        if Command::new("glusterd").arg("--version").output().is_err() {
            return Err("it is not installed".into());
        }
        if !nix::unistd::geteuid().is_root()
            || fs::read_to_string("/proc/self/uid_map").is_ok_and(|m| !m.contains("4294967295"))
        {
            return Err("it needs real root".into());
        }
        run("glusterd", &[])?;
        until("glusterd", || gluster(&["volume", "list"]).is_ok())?;
        let named: Vec<String> = bricks.iter().map(|b| format!("server1:{}", b.display())).collect();
        let mut words = vec!["volume", "create", "gv0", "replica", "3"];
        words.extend(named.iter().map(String::as_str));
        words.push("force");
        gluster(&words)?;
        gluster(&["volume", "start", "gv0"])?;
        Ok(Self { bricks })
    }
}

fn gluster(words: &[&str]) -> Result<String, String> {
    run("gluster", &[&["--mode=script"], words].concat())
}

impl Peer for Real {
    fn mount(&mut self, at: &Path) -> Result<(), String> {
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        let point = at.display().to_string();
        run("glusterfs", &["--volfile-server=server1", "--volfile-id=/gv0", &point])?;
        until("the mount", || is_mounted(at) && fs::read_dir(at).is_ok())
    }

    fn kill_brick(&mut self) -> bool {
        let brick = self.bricks[2].display().to_string();
        run("pkill", &["-9", "-f", &format!("glusterfsd.*--brick-name {brick}")]).is_ok()
    }

    fn start_brick(&mut self) -> Result<(), String> {
        gluster(&["volume", "start", "gv0", "force"]).map(drop)
    }

    fn bricks(&self) -> Vec<PathBuf> {
        self.bricks.clone()
    }

    fn stop(&mut self) {
        let _ = gluster(&["volume", "stop", "gv0"]);
        let _ = gluster(&["volume", "delete", "gv0"]);
        // Only these namespaces' processes can be seen here.
        let _ = run("pkill", &["-9", "-x", "glusterd|glusterfs|glusterfsd"]);
        let _ = until("glusterd to end", || run("pgrep", &["-x", "glusterd"]).is_err());
    }
}

/// Ours, by hand: no manager takes part in what is measured.
struct Ours {
    volume: Volume,
    file: PathBuf,
    bricks: Vec<Option<Child>>,
    healer: Option<Child>,
}

impl Ours {
    fn start(place: &Path, dirs: Vec<PathBuf>) -> Result<Self, String> {
        let port = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_or(0, |a| a.port());
        let brick = |(slot, path): (usize, &PathBuf)| Brick {
            host: "127.0.0.1".into(),
            path: path.display().to_string(),
            peer: uuid::Uuid::nil(),
            slot,
            port: port(),
            decommissioned: false,
        };
        let options = vec![("cluster.quorum-type".into(), "auto".into())];
        let volume = Volume {
            name: "gv0".into(),
            id: uuid::Uuid::new_v4(),
            status: Status::Started,
            replica: 3,
            arbiter: 0,
            bricks: dirs.iter().enumerate().map(brick).collect(),
            options,
            version: 1,
            commit_hash: 1,
        };
        let file = place.join("gv0.json");
        let text = serde_json::to_string(&volume).map_err(|e| e.to_string())?;
        fs::write(&file, text).map_err(|e| e.to_string())?;
        let mut ours = Self { volume, file, bricks: (0..3).map(|_| None).collect(), healer: None };
        (0..3).try_for_each(|i| ours.start_one(i))?;
        let mut healer = ours.own("glusterfs");
        healer.args(["--process-name", "glustershd", "--machine", "127.0.0.1", "--volume-file"]).arg(&ours.file);
        ours.healer = Some(healer.spawn().map_err(|e| format!("the self-heal daemon: {e}"))?);
        Ok(ours)
    }

    fn own(&self, verb: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg(verb).env("TERRARIUM_KEEPER", "/nonexistent").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn start_one(&mut self, i: usize) -> Result<(), String> {
        let brick = &self.volume.bricks[i];
        let mut command = self.own("brick");
        command.args(["--name", &brick.name(), "--path", &brick.path, "--bind", "127.0.0.1"]);
        command.args(["--port", &brick.port.to_string(), "--volume"]).arg(&self.file);
        self.bricks[i] = Some(command.spawn().map_err(|e| format!("a brick: {e}"))?);
        let port = self.volume.bricks[i].port;
        until("a brick", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Peer for Ours {
    fn mount(&mut self, at: &Path) -> Result<(), String> {
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        let mut command = self.own("glusterfs");
        let status = command.arg("--volume-file").arg(&self.file).arg(at).status().map_err(|e| e.to_string())?;
        if !status.success() {
            return Err(format!("the mount failed ({status})"));
        }
        until("the mount", || fs::read_dir(at).is_ok())
    }

    fn kill_brick(&mut self) -> bool {
        end(self.bricks[2].take());
        true
    }

    fn start_brick(&mut self) -> Result<(), String> {
        self.start_one(2)
    }

    fn bricks(&self) -> Vec<PathBuf> {
        self.volume.bricks.iter().map(|b| b.path.clone().into()).collect()
    }

    fn stop(&mut self) {
        self.bricks.iter_mut().for_each(|b| end(b.take()));
        end(self.healer.take());
    }
}
