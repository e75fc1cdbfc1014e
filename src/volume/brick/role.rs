//! A brick as a process: listens, reports to the keeper, watches its directory.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Brick;
use super::server::Server;
use super::store::{Settings, Store};
use crate::volume::Happening;
use crate::volume::definition::Volume;
use crate::volume::gfid::Gfid;
use crate::world::reporter::{Introduction, Question};
use crate::world::wire::{Ask, socket_path};
use crate::world::{Reporter, What};

/// What a brick is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// `server1:/data/brick1/gv0`.
    pub name: String,
    /// The directory.
    pub path: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The file with the volume's definition.
    pub volume: PathBuf,
    /// Its log, if it has one of its own.
    pub log: Option<PathBuf>,
}

/// Serves the brick until its directory is gone.
///
/// # Errors
/// If the directory cannot be served, or the address is taken.
pub fn run(options: &Options) -> io::Result<()> {
    let volume = crate::volume::client::manager::read_file(&options.volume)?;
    let index = volume.bricks.iter().position(|b| b.name() == options.name);
    let arbiter = index.is_some_and(|i| volume.is_arbiter(i));
    // SAFETY: sets two numbers of this process.
    unsafe {
        libc::umask(0);
        let most = libc::rlimit { rlim_cur: 65536, rlim_max: 65536 };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const most);
    }
    let settings = Settings { path: options.path.clone(), volume_id: Gfid(*volume.id.as_bytes()), arbiter };
    let store = Store::open(&settings).map_err(io::Error::other)?;
    let machine = options.name.split(':').next().unwrap_or_default().to_string();
    let listener = TcpListener::bind(options.listen)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: listen at {}: {e}", options.name, options.listen)))?;
    let server = Server::new(Arc::new(Brick::new(store)), options.log.clone())?;
    let reporter = introduce(options, &machine, &server);
    server.report_to(reporter.clone(), &volume.name);
    crate::volume::dump::named(&options.path.display().to_string().trim_start_matches('/').replace('/', "-"));
    let (told, name) = (Arc::downgrade(&server), volume.name.clone());
    crate::volume::dump::on_request(move || told.upgrade().map(|server| server.brick().sections(&name)));
    watch(&volume, options, server.clone(), reporter)?;
    server.listen(&listener)
}

fn introduce(options: &Options, machine: &str, server: &Arc<Server>) -> Reporter {
    let introduction = Introduction {
        name: options.name.clone(),
        role: "brick".into(),
        machine: machine.into(),
        listen: Some(options.listen),
    };
    let server = server.clone();
    Reporter::connect(&socket_path(), introduction, move |question| answer(&server, question))
        .unwrap_or_else(|_| Reporter::silent(&options.name))
}

fn answer(server: &Server, question: Question) {
    let answer = match &question.ask {
        Ask::Detail(on) => {
            server.set_detail(*on);
            Ok(serde_json::Value::Null)
        }
        Ask::Words(words) if words.first().is_some_and(|w| w == "profile") => Ok(server.brick().counters.profile(true)),
        Ask::Words(words) => Err(format!("a brick does not understand `{}`; it answers `profile`", words.join(" "))),
        _ => Ok(serde_json::Value::Null),
    };
    question.answer(answer);
}

/// Reports figures about once a second while they change, and ends the process when the directory is gone.
fn watch(volume: &Volume, options: &Options, server: Arc<Server>, reporter: Reporter) -> io::Result<()> {
    server.reconfigure(volume);
    let (volume, brick) = (volume.name.clone(), options.name.clone());
    let turn = move || {
        let mut told = None;
        for second in 0_u64.. {
            let (read, written, _) = server.brick().counters.totals();
            let pending = u64::try_from(server.brick().store.blaming()).unwrap_or_default();
            if told.replace((read, written, pending)) != Some((read, written, pending)) {
                let (volume, brick, trusted) = (volume.clone(), brick.clone(), server.brick().store.is_trusted());
                let happening = Happening::Brick { volume, brick, written, read, pending, trusted };
                reporter.report(None, What::Volume(happening));
            }
            let interval = server.check_every();
            if interval > 0 && second % interval == 0 && !is_healthy(&server) {
                eprintln!("health-check failed, going down");
                std::process::exit(1);
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    std::thread::Builder::new().name("health".into()).spawn(turn).map(drop)
}

fn is_healthy(server: &Server) -> bool {
    let store = &server.brick().store;
    store.is_healthy() && works(store.touch(&format!("{}", crate::world::reporter::now() / 1_000_000)))
}

/// Whether a disk that answered a write so is in order: a full one is.
fn works(written: Result<(), i32>) -> bool {
    matches!(written, Ok(()) | Err(libc::ENOSPC | libc::EDQUOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk is no broken one: the brick goes on and refuses writes by itself.
    #[test]
    fn a_full_disk_is_healthy() {
        assert!(works(Ok(())) && works(Err(libc::ENOSPC)));
        assert!(!works(Err(libc::EIO)) && !works(Err(libc::EROFS)));
    }
}
