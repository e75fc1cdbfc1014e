//! Clients as processes: the mount, the self-heal daemon, the mover.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::manager::{self, Manager, Push, Source};
use super::mount::{self, MountOptions, Ttl};
use super::session::{Notice, Options, Session};
use crate::volume::definition::{Status, Volume};
use crate::world::Reporter;
use crate::world::reporter::{Introduction, Question};
use crate::world::wire::{Ask, socket_path};

/// How to mount.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where the volume comes from.
    pub source: Source,
    /// Which volume, for a manager: `/gv0`.
    pub volume_id: String,
    /// The machine that this runs on.
    pub machine: String,
    /// Where.
    pub point: PathBuf,
    /// A directory of the volume to mount instead of its root.
    pub subdir: Option<String>,
    /// `ro`.
    pub read_only: bool,
    /// Whether everything is also found by its identity, below `.gfid`.
    pub aux_gfid: bool,
    /// How long the kernel may believe figures.
    pub attribute: Duration,
    /// How long it may believe names.
    pub entry: Duration,
}

/// A volume, and the line to the manager that told it.
pub(super) fn obtain(
    source: &Source,
    machine: &str,
    volume_id: &str,
    process: &str,
) -> io::Result<(Vec<Volume>, Option<Manager>)> {
    match source {
        Source::File(path) => Ok((vec![manager::read_file(path)?], None)),
        Source::Managers(servers) => {
            let (line, spec) = manager::fetch(servers, machine, volume_id, process)?;
            Ok((spec.volumes, Some(line)))
        }
    }
}

/// Mounts a volume and serves it until it is unmounted; `ready` is called when it is mounted.
///
/// # Errors
/// If there is no such volume, it is not started, or it cannot be mounted.
pub fn mount(options: &Mount, ready: impl FnOnce()) -> io::Result<()> {
    let (volumes, line) = obtain(&options.source, &options.machine, &options.volume_id, "fuse")?;
    let volume = volumes.into_iter().next().ok_or_else(|| io::Error::other("there is no such volume"))?;
    if volume.status != Status::Started {
        return Err(io::Error::other(format!("volume {} is not started", volume.name)));
    }
    let point = std::fs::canonicalize(&options.point)?;
    let server = match &options.source {
        Source::Managers(servers) => servers.first().cloned().unwrap_or_default(),
        Source::File(_) => volume.bricks.first().map(|b| b.host.clone()).unwrap_or_default(),
    };
    let ttl = Ttl { attribute: options.attribute, entry: options.entry };
    let subdir = options.subdir.clone().filter(|d| !d.trim_matches('/').is_empty());
    let source = format!("{server}:/{}{}", volume.name, subdir.as_deref().unwrap_or_default());
    let settings = MountOptions {
        point: point.clone(),
        source,
        read_only: options.read_only,
        subdir,
        aux_gfid: options.aux_gfid,
        machine: options.machine.clone(),
        ttl,
    };
    let name = format!("mount:{}", point.display());
    let begin = |notice: Box<dyn Fn(Notice) + Send>| {
        let who = ("fuse", "client", name.as_str());
        let session = start(volume, &options.source, &options.machine, who, notice)?;
        session.wait_ready(Duration::from_secs(3));
        // Without enough bricks it is done by a later client.
        let _ = session.files.prepare();
        if let (Source::Managers(servers), Some(line)) = (&options.source, line) {
            follow(&session, servers.clone(), options.machine.clone(), options.volume_id.clone(), line)?;
        }
        Ok(session)
    };
    mount::serve(&settings, begin, ready)
}

/// Connects to a volume's bricks, and introduces the process (which process, which role, under which name) to the keeper.
pub(super) fn start(
    volume: Volume,
    source: &Source,
    machine: &str,
    (process, role, name): (&str, &str, &str),
    notice: impl Fn(Notice) + Send + 'static,
) -> io::Result<Arc<Session>> {
    let introduction = Introduction { name: name.into(), role: role.into(), machine: machine.into(), listen: None };
    let shared: Arc<OnceLock<Weak<Session>>> = Arc::default();
    let asked = shared.clone();
    let answering = move |question: Question| {
        // What the keeper says first is meant for the session that is about to begin.
        let session = asked.wait().upgrade();
        let answer = answer(session.as_deref(), &question.ask);
        question.answer(answer);
    };
    let reporter =
        Reporter::connect(&socket_path(), introduction, answering).unwrap_or_else(|_| Reporter::silent(name));
    let options =
        Options { source: source.clone(), process: process.into(), machine: machine.into(), name: name.into() };
    let session = Session::start(volume, options, reporter, notice)?;
    let _ = shared.set(Arc::downgrade(&session));
    Ok(session)
}

fn answer(session: Option<&Session>, ask: &Ask) -> Result<serde_json::Value, String> {
    match (ask, session) {
        (Ask::Route { via, .. }, Some(session)) => session.route(*via),
        (Ask::Detail(on), Some(session)) => session.set_detail(*on),
        (Ask::Speed(speed), Some(session)) => session.teller.set_speed(*speed),
        (Ask::Freeze(frozen), Some(session)) => session.teller.set_frozen(*frozen),
        (Ask::Words(words), _) => return Err(format!("a client does not understand `{}`", words.join(" "))),
        _ => {}
    }
    Ok(serde_json::Value::Null)
}

/// Takes the volume's changes from the managers.
fn follow(
    session: &Arc<Session>,
    servers: Vec<String>,
    machine: String,
    volume_id: String,
    line: Manager,
) -> io::Result<()> {
    let session = Arc::downgrade(session);
    let body = move || {
        manager::follow(&servers, &machine, (&volume_id, "fuse"), Some(line), &mut |push| {
            let (Some(session), Push::Spec(spec)) = (session.upgrade(), push) else { return };
            if let Some(volume) = spec.volumes.into_iter().next() {
                // Without a thread for a new brick the old ones go on.
                let _ = session.take(volume);
            }
        })
    };
    std::thread::Builder::new().name("manager".into()).spawn(body).map(drop)
}

pub use super::migrate::run as rebalance;
pub use super::shd::run as heal;
