//! `volume status`: which processes of a volume run, on which ports, with which disks and clients.

use std::fmt::Write as _;

use super::session::{Failure, Outcome, Session};
use super::xml::{Node, leaf, node};
use crate::volume::definition::Volume;
use crate::volume::handshake::{BrickAsk, DefragState};
use crate::volume::manager::protocol::{About, BrickReport, Report};
use crate::volume::manager::task::{Task, state_label};

/// Pattern of `volume status`.
pub const STATUS: &str =
    "volume status [all | <VOLNAME> [nfs|shd|<BRICK>|quotad]] [detail|clients|mem|inode|fd|callpool|tasks|client-list]";

const LINE: &str = "------------------------------------------------------------------------------";
/// A process's name is cut into pieces of this many bytes.
const NAME: usize = 43;

#[derive(Clone, Copy, PartialEq)]
enum Form<'a> {
    Plain,
    Brick(&'a str),
    Healers,
    Detail,
    Clients,
    Fds,
    Tasks,
}

/// `volume status [V] [what]`.
///
/// # Errors
/// [`Failure`].
pub fn status(session: &Session, words: &[&str]) -> Outcome {
    let (name, form) = parse(words)?;
    let names: Vec<String> = match name {
        Some(name) => vec![name.into()],
        None => session.volumes(None).map_err(Failure::text)?.into_iter().map(|v| v.name).collect(),
    };
    if names.is_empty() {
        eprintln!("No volumes present");
    }
    let mut elements = vec![];
    for one in &names {
        match show(session, one, form) {
            Ok(element) => elements.extend(element),
            Err(Failure::Text { said, .. }) if name.is_none() => {
                if !session.xml {
                    println!(" ");
                }
                eprintln!("{said}");
            }
            Err(other) => return Err(other),
        }
    }
    if session.xml {
        return session.say("", || node("volStatus", vec![node("volumes", elements)]));
    }
    Ok(0)
}

fn parse<'a>(words: &[&'a str]) -> Result<(Option<&'a str>, Form<'a>), Failure> {
    let (name, rest) = match words {
        [] => (None, &[][..]),
        ["all", rest @ ..] => (None, rest),
        [name, rest @ ..] => (Some(*name), rest),
    };
    let form = match rest {
        [] => Form::Plain,
        ["shd"] => Form::Healers,
        ["detail"] => Form::Detail,
        ["clients" | "client-list"] => Form::Clients,
        ["fd"] => Form::Fds,
        ["tasks"] => Form::Tasks,
        [what @ ("mem" | "inode" | "callpool" | "nfs" | "quotad" | "bitd" | "scrub")] => {
            return Err(Failure::text(format!("gluster has `volume status {what}`, terrarium does not")));
        }
        [brick] if brick.contains(":/") => Form::Brick(brick),
        _ => return Err(Failure::Usage(STATUS)),
    };
    Ok((name, form))
}

fn show(session: &Session, name: &str, form: Form<'_>) -> Result<Option<Node>, Failure> {
    let about = match form {
        Form::Detail => About::Detail,
        Form::Clients => About::Bricks(BrickAsk::Clients),
        Form::Fds => About::Bricks(BrickAsk::Fds),
        _ => About::Status,
    };
    let (volume, reports) = session.query(name, about).map_err(Failure::text)?;
    if session.xml {
        if let Form::Brick(brick) = form {
            has_brick(&volume, brick)?;
        }
        return Ok(Some(element(&volume, &reports, form)));
    }
    match form {
        Form::Plain => print!("{}{}", table(&volume, &reports, |_| true, true), tasks(&volume, &reports)),
        Form::Brick(brick) => {
            has_brick(&volume, brick)?;
            print!("{}", table(&volume, &reports, |b| b == brick, false));
            println!(" ");
        }
        Form::Healers => {
            print!("{}", table(&volume, &reports, |_| false, true));
            println!(" ");
        }
        Form::Detail => print!("{}", detail(&volume, &reports)),
        Form::Clients => print!("{}", clients(&volume, &reports)),
        Form::Fds => print!("{}", fds(&volume, &reports)),
        Form::Tasks => print!("{}", tasks(&volume, &reports).trim_start_matches(" \n")),
    }
    Ok(None)
}

fn has_brick(volume: &Volume, brick: &str) -> Result<(), Failure> {
    if volume.bricks.iter().any(|b| b.name() == brick) {
        return Ok(());
    }
    Err(Failure::text(format!("No brick {brick} in volume {}", volume.name)))
}

/// The reports of all bricks, in the order of the volume; those of servers that did not answer are missing.
pub fn by_brick(reports: &[Report]) -> Vec<&BrickReport> {
    let mut all: Vec<&BrickReport> = reports.iter().flat_map(|r| &r.bricks).collect();
    all.sort_by_key(|b| b.index);
    all
}

/// The table of processes.
fn table(volume: &Volume, reports: &[Report], wanted: impl Fn(&str) -> bool, healers: bool) -> String {
    let mut out = format!("Status of volume: {}\n", volume.name);
    let _ = writeln!(out, "{:<44}{:<10}{:<11}{:<8}Pid\n{LINE}", "Gluster process", "TCP Port", "RDMA Port", "Online");
    for brick in by_brick(reports) {
        let Some(name) = volume.bricks.get(brick.index).map(|b| b.name()).filter(|n| wanted(n)) else { continue };
        let port = brick.pid.map_or("N/A".into(), |_| brick.port.to_string());
        let rdma = if brick.pid.is_some() { "0" } else { "N/A" };
        row(&mut out, &format!("Brick {name}"), &port, rdma, brick.pid);
    }
    for report in reports.iter().filter(|_| healers) {
        if let Some(healer) = report.healer {
            row(&mut out, &format!("Self-heal Daemon on {}", report.host), "N/A", "N/A", healer.pid);
        }
    }
    out
}

/// A row; a name that is too long goes over several lines, the values after its last piece.
fn row(out: &mut String, name: &str, port: &str, rdma: &str, pid: Option<i32>) {
    let mut rest = name;
    while rest.len() > NAME {
        let cut = (1..=NAME).rev().find(|n| rest.is_char_boundary(*n)).unwrap_or(rest.len());
        let _ = writeln!(out, "{}", &rest[..cut]);
        rest = &rest[cut..];
    }
    let online = if pid.is_some() { "Y" } else { "N" };
    let pid = pid.map_or("N/A".into(), |pid| pid.to_string());
    let _ = writeln!(out, "{rest:<44}{port:<10}{rdma:<11}{online:<8}{pid:<5}");
}

/// The volume's task as all servers know it: running if it runs anywhere, else the worst outcome.
pub fn task(reports: &[Report]) -> Option<&Task> {
    let rank = |task: &&Task| match task.progress.state {
        DefragState::InProgress => 4,
        DefragState::Failed => 3,
        DefragState::Stopped => 2,
        DefragState::Completed => 1,
        DefragState::NotStarted => 0,
    };
    reports.iter().filter_map(|r| r.task.as_ref()).max_by_key(rank)
}

fn tasks(volume: &Volume, reports: &[Report]) -> String {
    let mut out = format!(" \nTask Status of Volume {}\n{LINE}\n", volume.name);
    match task(reports) {
        None => out.push_str("There are no active volume tasks\n"),
        Some(task) => {
            let _ = writeln!(out, "{:<20} : {:<20}\n{:<20} : {:<20}", "Task", task.label(), "ID", task.id);
            if task.is_removal() {
                let _ = writeln!(out, "{:<20}", "Removed bricks:");
                for brick in &task.bricks {
                    let _ = writeln!(out, "{brick:<20}");
                }
            }
            let _ = writeln!(out, "{:<20} : {:<20}", "Status", state_label(task.mode, task.progress.state));
        }
    }
    out + " \n"
}

fn detail(volume: &Volume, reports: &[Report]) -> String {
    let mut out = format!("Status of volume: {}\n", volume.name);
    for brick in by_brick(reports) {
        let Some(name) = volume.bricks.get(brick.index).map(|b| b.name()) else { continue };
        let (online, up) = if brick.pid.is_some() { ("Y", true) } else { ("N", false) };
        let or = |value: String| if up { value } else { "N/A".into() };
        let _ = writeln!(out, "{LINE}");
        let mut field = |key: &str, value: &str| {
            let _ = writeln!(out, "{key:<20} : {value:<20}");
        };
        field("Brick", &format!("Brick {name}"));
        field("TCP Port", &or(brick.port.to_string()));
        field("RDMA Port", &or("0".into()));
        field("Online", online);
        field("Pid", &brick.pid.map_or("N/A".into(), |pid| pid.to_string()));
        let Some(disk) = &brick.disk else { continue };
        field("File System", &disk.kind);
        field("Device", &disk.device);
        field("Mount Options", &disk.options);
        field("Inode Size", "N/A");
        field("Disk Space Free", &human(disk.free));
        field("Total Disk Space", &human(disk.total));
        field("Inode Count", &disk.inodes.to_string());
        field("Free Inodes", &disk.free_inodes.to_string());
    }
    out + " \n"
}

/// `10Bytes`, `100.0MB`, `2.0GB`.
pub fn human(bytes: u64) -> String {
    let units = [("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    let unit = units.iter().find(|(_, bits)| bytes >= 1 << bits);
    unit.map_or_else(
        || format!("{bytes}Bytes"),
        |(name, bits)| format!("{:.1}{name}", bytes as f64 / (1u64 << bits) as f64),
    )
}

const SHORT: &str = "----------------------------------------------";

fn clients(volume: &Volume, reports: &[Report]) -> String {
    let mut out = format!("Client connections for volume {}\n{SHORT}\n", volume.name);
    for (brick, value) in answers(volume, reports, &mut out) {
        let list = value.as_array().cloned().unwrap_or_default();
        let _ = writeln!(out, "Brick : {brick}\nClients connected : {}", list.len());
        let _ = writeln!(out, "{:<48} {:>15} {:>15} {:>15}", "Hostname", "BytesRead", "BytesWritten", "OpVersion");
        let _ = writeln!(out, "{:<48} {:>15} {:>15} {:>15}", "--------", "---------", "------------", "---------");
        for client in list {
            let number = |key: &str| client[key].as_u64().unwrap_or_default();
            let host = client["hostname"].as_str().unwrap_or_default();
            let _ = writeln!(
                out,
                "{host:<48} {:>15} {:>15} {:>15}",
                number("bytes_read"),
                number("bytes_written"),
                100_000
            );
        }
        let _ = writeln!(out, "{SHORT}");
    }
    out
}

fn fds(volume: &Volume, reports: &[Report]) -> String {
    let mut out = format!("FD tables for volume {}\n{SHORT}\n", volume.name);
    for (brick, value) in answers(volume, reports, &mut out) {
        let _ = writeln!(out, "Brick : {brick}");
        for open in value.as_array().into_iter().flatten() {
            let (path, fds) = (open["path"].as_str().unwrap_or_default(), open["fds"].as_u64().unwrap_or_default());
            let _ = writeln!(out, "{fds:>6} {path}");
        }
        let _ = writeln!(out, "{SHORT}");
    }
    out
}

/// What the bricks answered; one that did not is said so in `out`.
fn answers(volume: &Volume, reports: &[Report], out: &mut String) -> Vec<(String, serde_json::Value)> {
    let mut all = vec![];
    for report in by_brick(reports) {
        let Some(name) = volume.bricks.get(report.index).map(|b| b.name()) else { continue };
        match report.value.clone() {
            Some(Ok(value)) => all.push((name, value)),
            Some(Err(why)) => {
                let _ = writeln!(out, "Brick : {name}\n{why}");
            }
            None => {}
        }
    }
    all
}

fn element(volume: &Volume, reports: &[Report], form: Form<'_>) -> Node {
    let (bricks, healers) =
        (!matches!(form, Form::Healers | Form::Tasks), !matches!(form, Form::Brick(_) | Form::Tasks));
    let wanted = |name: &str| bricks && !matches!(form, Form::Brick(other) if other != name);
    let mut nodes: Vec<Node> = vec![];
    for brick in by_brick(reports) {
        let Some(def) = volume.bricks.get(brick.index).filter(|b| wanted(&b.name())) else { continue };
        nodes.push(process(&def.host, &def.path, &def.peer.to_string(), brick.pid, &brick.port.to_string()));
    }
    for report in reports.iter().filter(|_| healers) {
        if let Some(healer) = report.healer {
            nodes.push(process("Self-heal Daemon", &report.host, &report.peer.to_string(), healer.pid, "N/A"));
        }
    }
    let tasks = task(reports).map(|task| {
        let state = task.progress.state;
        let fields = vec![
            leaf("type", task.label()),
            leaf("id", task.id),
            leaf("status", state as u8),
            leaf("statusStr", state_label(task.mode, state)),
        ];
        node("task", fields)
    });
    let head = [leaf("volName", &volume.name), leaf("nodeCount", nodes.len())];
    let tasks = (!matches!(form, Form::Brick(_) | Form::Healers)).then(|| node("tasks", tasks.into_iter().collect()));
    node("volume", head.into_iter().chain(nodes).chain(tasks).collect())
}

fn process(host: &str, path: &str, peer: &str, pid: Option<i32>, port: &str) -> Node {
    let port = pid.map_or("N/A", |_| port);
    node(
        "node",
        vec![
            leaf("hostname", host),
            leaf("path", path),
            leaf("peerid", peer),
            leaf("status", u8::from(pid.is_some())),
            leaf("port", port),
            node("ports", vec![leaf("tcp", port), leaf("rdma", "N/A")]),
            leaf("pid", pid.unwrap_or(-1)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::definition::{Brick, Status};
    use crate::volume::manager::protocol::Healer;

    fn volume() -> Volume {
        let brick = |n: usize| Brick {
            host: format!("node{n}"),
            path: "/srv/data/fv".into(),
            peer: uuid::Uuid::nil(),
            slot: n - 1,
            port: 0,
            decommissioned: false,
        };
        Volume {
            name: "fv".into(),
            id: uuid::Uuid::nil(),
            status: Status::Started,
            replica: 3,
            arbiter: 0,
            bricks: vec![brick(1), brick(2), brick(3)],
            options: vec![],
            version: 1,
            commit_hash: 1,
        }
    }

    fn report(host: &str, index: usize, pid: Option<i32>, healer: i32) -> Report {
        let brick = BrickReport { index, pid, port: 52860, ..BrickReport::default() };
        Report {
            host: host.into(),
            bricks: vec![brick],
            healer: Some(Healer { pid: Some(healer) }),
            ..Report::default()
        }
    }

    /// The captured table, to the byte: a brick that is down, and a server that did not answer and has no line.
    #[test]
    fn volume_status_is_the_captured_table() {
        let reports = [report("localhost", 0, Some(20085), 13538), report("node3", 2, None, 13703)];
        let expected = "Status of volume: fv\n\
            Gluster process                             TCP Port  RDMA Port  Online  Pid\n\
            ------------------------------------------------------------------------------\n\
            Brick node1:/srv/data/fv                    52860     0          Y       20085\n\
            Brick node3:/srv/data/fv                    N/A       N/A        N       N/A  \n\
            Self-heal Daemon on localhost               N/A       N/A        Y       13538\n\
            Self-heal Daemon on node3                   N/A       N/A        Y       13703\n \n\
            Task Status of Volume fv\n\
            ------------------------------------------------------------------------------\n\
            There are no active volume tasks\n \n";
        let volume = volume();
        assert_eq!(table(&volume, &reports, |_| true, true) + &tasks(&volume, &reports), expected);
    }

    /// Asked for one brick, the XML has that brick alone: scripts read its status from it.
    #[test]
    fn one_brick_is_one_node() {
        let reports = [report("localhost", 0, Some(20085), 13538), report("node3", 2, None, 13703)];
        let count = |form| crate::cli::gluster::xml::success(vec![element(&volume(), &reports, form)]);
        let one = count(Form::Brick("node3:/srv/data/fv"));
        assert!(one.contains("<nodeCount>1</nodeCount>") && one.contains("<status>0</status>"), "{one}");
        assert!(!one.contains("<status>1</status>") && !one.contains("tasks"), "{one}");
        assert!(count(Form::Healers).contains("<nodeCount>2</nodeCount>"));
        assert!(count(Form::Plain).contains("<nodeCount>4</nodeCount>"));
    }

    /// A long name wraps at 43 bytes, the values after its last piece.
    #[test]
    fn long_names_wrap() {
        let mut out = String::new();
        row(&mut out, &format!("Brick node1:/{}", "x".repeat(40)), "49152", "0", Some(7));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0].len(), 43);
        assert_eq!(lines[1], format!("{:<44}49152     0          Y       7    ", "x".repeat(10)));
    }

    /// Sizes as captured.
    #[test]
    fn sizes_are_written_as_gluster_writes_them() {
        assert_eq!([10, 100 << 20, 2 << 30].map(human), ["10Bytes", "100.0MB", "2.0GB"]);
    }
}
