//! The processes of one server: a brick server a brick, one self-heal daemon, and the movers of files.
//!
//! [`Daemons`] starts and stops them and knows which run and where they listen; which should run follows from the
//! definitions and is decided elsewhere. A brick that dies stays dead until `volume start V force`, as in GlusterFS,
//! unless the volume has `terrarium.restart-bricks on`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::info::dashed;
use super::op::DefragMode;
use super::place::Place;
use super::process::{Process, Spec};
use super::store;
use crate::volume::definition::{Brick, Volume};
use crate::volume::handshake::{FIRST_BRICK_PORT, SHD_VOLUME_ID};
use crate::volume::volfile;

/// How long a brick may take until it listens.
const LISTENS: Duration = Duration::from_secs(10);
/// The last port that a brick may get.
const LAST_BRICK_PORT: u16 = 60999;

/// (volume, brick path), as both are known on this server.
pub type BrickKey = (String, String);

/// A brick that runs.
#[derive(Debug, Clone)]
pub struct RunningBrick {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub port: u16,
}

/// The processes of this server.
#[derive(Debug, Default)]
pub struct Daemons {
    bricks: Mutex<BTreeMap<BrickKey, RunningBrick>>,
    healer: Mutex<Option<Process>>,
    movers: Mutex<BTreeMap<String, Process>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key of a brick.
pub fn key(volume: &Volume, brick: &Brick) -> BrickKey {
    (volume.name.clone(), brick.path.clone())
}

impl Daemons {
    /// The brick's process, if it runs.
    pub fn brick(&self, key: &BrickKey) -> Option<RunningBrick> {
        lock(&self.bricks).get(key).filter(|b| b.process.is_alive()).cloned()
    }

    /// The port of the brick with this path, of whichever volume.
    pub fn port(&self, path: &str) -> Option<u16> {
        let bricks = lock(&self.bricks);
        bricks.iter().find(|((_, own), b)| own == path && b.process.is_alive()).map(|(_, b)| b.port)
    }

    /// The keys of all bricks that run.
    pub fn bricks(&self) -> Vec<BrickKey> {
        lock(&self.bricks).iter().filter(|(_, b)| b.process.is_alive()).map(|(key, _)| key.clone()).collect()
    }

    /// Starts a brick unless it runs, and waits until it listens. Gives its process if it was started or adopted now.
    ///
    /// # Errors
    /// If it could not be started, or ended at once; its log says why.
    pub async fn start_brick(&self, place: &Place, volume: &Volume, brick: &Brick) -> io::Result<Option<Process>> {
        let key = key(volume, brick);
        if self.brick(&key).is_some() {
            return Ok(None);
        }
        let files = BrickFiles::of(place, volume, brick);
        let (process, port) = match files.adopt() {
            Some(found) => found,
            None => {
                let port = free_port(place)?;
                self.write_definition(place, volume)?;
                (Process::start(&files.spec(place, volume, brick, port))?, port)
            }
        };
        lock(&self.bricks).insert(key, RunningBrick { process: process.clone(), port });
        until_it_listens(&process, SocketAddr::new(place.ip, port)).await?;
        Ok(Some(process))
    }

    /// Writes the definition that bricks of this volume are started with.
    ///
    /// # Errors
    /// As of the disk.
    pub fn write_definition(&self, place: &Place, volume: &Volume) -> io::Result<()> {
        let file = definition_file(place, &volume.name);
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        store::replace(&file, &serde_json::to_string_pretty(volume)?)
    }

    /// Stops a brick.
    pub async fn stop_brick(&self, key: &BrickKey) {
        let running = lock(&self.bricks).remove(key);
        if let Some(brick) = running {
            brick.process.stop().await;
        }
    }

    /// The self-heal daemon's process id, if it runs.
    pub fn healer(&self) -> Option<i32> {
        lock(&self.healer).as_ref().filter(|p| p.is_alive()).map(|p| p.pid)
    }

    /// Starts the self-heal daemon unless it runs.
    ///
    /// # Errors
    /// If it could not be started.
    pub fn start_healer(&self, place: &Place) -> io::Result<()> {
        if self.healer().is_some() {
            return Ok(());
        }
        let pid_file = place.run.join("glustershd/glustershd.pid");
        let args = client_args(place, "glustershd", SHD_VOLUME_ID);
        let spec = Spec { name: "glusterfs", args, log: place.log.join("glustershd.log"), pid_file };
        let telling = ["--process-name", "glustershd"];
        let process = Process::adopt(&spec.pid_file, &telling).map_or_else(|| Process::start(&spec), Ok)?;
        *lock(&self.healer) = Some(process);
        Ok(())
    }

    /// Stops the self-heal daemon.
    pub async fn stop_healer(&self) {
        let running = lock(&self.healer).take();
        if let Some(process) = running {
            process.stop().await;
        }
    }

    /// Starts the mover of a volume's files on this server; gives its process.
    ///
    /// # Errors
    /// If it could not be started.
    pub fn start_mover(&self, place: &Place, volume: &str, mode: DefragMode) -> io::Result<Process> {
        let mut args = client_args(place, "rebalance", &format!("rebalance/{volume}"));
        args.extend(["--mode".into(), mode.word().into()]);
        let pid_file = place.run.join(format!("vols/{volume}/rebalance.pid"));
        let spec = Spec { name: "glusterfs", args, log: place.log.join(format!("{volume}-rebalance.log")), pid_file };
        let process = Process::start(&spec)?;
        lock(&self.movers).insert(volume.into(), process.clone());
        Ok(process)
    }

    /// Whether the mover of a volume's files runs here.
    pub fn mover_runs(&self, volume: &str) -> bool {
        lock(&self.movers).get(volume).is_some_and(Process::is_alive)
    }
}

fn client_args(place: &Place, process: &str, volume_id: &str) -> Vec<OsString> {
    let words = ["--process-name".to_owned(), process.into(), format!("--volfile-server={}", place.name)];
    let rest = [format!("--volfile-id={volume_id}"), "--bind".into(), place.ip.to_string()];
    words.into_iter().chain(rest).map(OsString::from).collect()
}

fn definition_file(place: &Place, volume: &str) -> PathBuf {
    place.run.join(format!("vols/{volume}/{volume}.json"))
}

/// The files of a brick's process.
struct BrickFiles {
    pid: PathBuf,
    log: PathBuf,
    path: String,
}

impl BrickFiles {
    fn of(place: &Place, volume: &Volume, brick: &Brick) -> Self {
        let dashes = dashed(&brick.path);
        let short = dashes.trim_start_matches('-');
        let pid = place.run.join(format!("vols/{}/{}-{short}.pid", volume.name, brick.host));
        Self { pid, log: place.log.join(format!("bricks/{short}.log")), path: brick.path.clone() }
    }

    fn adopt(&self) -> Option<(Process, u16)> {
        let process = Process::adopt(&self.pid, &["--brick-name", &self.path])?;
        let port = process.argument("--brick-port")?.parse().ok()?;
        Some((process, port))
    }

    fn spec(&self, place: &Place, volume: &Volume, brick: &Brick, port: u16) -> Spec {
        let mut args: Vec<OsString> =
            ["-s", &brick.host, "--volfile-id", &volfile::brick_id(volume, brick)].map(OsString::from).into();
        args.extend(["-p".into(), self.pid.clone().into_os_string(), "--brick-name".into(), brick.path.clone().into()]);
        args.extend(["-l".into(), self.log.clone().into_os_string(), "--process-name".into(), "brick".into()]);
        args.extend(["--bind".into(), place.ip.to_string().into()]);
        args.extend(["--brick-port".into(), port.to_string().into()]);
        Spec { name: "glusterfsd", args, log: self.log.clone(), pid_file: self.pid.clone() }
    }
}

/// The first port from 49152 on that nobody listens on at this server's address.
fn free_port(place: &Place) -> io::Result<u16> {
    let free = |port: &u16| TcpListener::bind((place.ip, *port)).is_ok();
    (FIRST_BRICK_PORT..=LAST_BRICK_PORT)
        .find(free)
        .ok_or_else(|| io::Error::other(format!("no free port for a brick on {}", place.ip)))
}

async fn until_it_listens(process: &Process, address: SocketAddr) -> io::Result<()> {
    let listens = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = listens => Ok(()),
        () = process.ended() => Err(io::Error::other("it ended at once")),
        () = tokio::time::sleep(LISTENS) => Err(io::Error::other(format!("it does not listen on {address}"))),
    }
}
