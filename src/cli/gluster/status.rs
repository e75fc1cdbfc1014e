//! `volume status`: which processes of a volume run, on which ports, with which disks and clients.

mod inside;

use std::fmt::Write as _;

use super::session::{Failure, Outcome, Session};
use super::xml::{Node, leaf, node};
use crate::volume::definition::Volume;
use crate::volume::handshake::DefragState;
use crate::volume::manager::protocol::{About, BrickReport, Disk, Report};
use crate::volume::manager::task::{Task, state_label};

/// Pattern of `volume status`.
pub const STATUS: &str =
    "volume status [all | <VOLNAME> [nfs|shd|<BRICK>|quotad]] [detail|clients|mem|inode|fd|callpool|tasks|client-list]";

const LINE: &str = "------------------------------------------------------------------------------";
/// A process's name is cut into pieces of this many bytes.
const NAME: usize = 43;

/// What is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Healers,
    Detail,
    Inside(inside::What),
    Tasks,
}

/// What is asked for, and of which brick alone.
#[derive(Clone, Copy, PartialEq)]
struct Wanted<'a> {
    form: Form,
    brick: Option<&'a str>,
}

impl Wanted<'_> {
    fn is_wanted(&self, brick: &str) -> bool {
        self.brick.is_none_or(|only| only == brick)
    }
}

/// `volume status [V] [what]`.
///
/// # Errors
/// [`Failure`].
pub fn status(session: &Session, words: &[&str]) -> Outcome {
    let (name, wanted) = parse(words)?;
    let names: Vec<String> = match name {
        Some(name) => vec![name.into()],
        None => session.volumes(None).map_err(Failure::text)?.into_iter().map(|v| v.name).collect(),
    };
    if names.is_empty() {
        eprintln!("No volumes present");
    }
    let mut elements = vec![];
    for one in &names {
        match show(session, one, wanted) {
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

fn parse<'a>(words: &[&'a str]) -> Result<(Option<&'a str>, Wanted<'a>), Failure> {
    let (name, rest) = match words {
        [] => (None, &[][..]),
        ["all", rest @ ..] => (None, rest),
        [name, rest @ ..] => (Some(*name), rest),
    };
    let form = |word: &str| match word {
        "detail" => Some(Form::Detail),
        "tasks" => Some(Form::Tasks),
        word => inside::What::named(word).map(Form::Inside),
    };
    let wanted = |form, brick| Wanted { form, brick };
    let wanted = match rest {
        [] => wanted(Form::Plain, None),
        ["shd"] => wanted(Form::Healers, None),
        ["shd", "detail" | "fd" | "clients" | "tasks"] => {
            eprintln!("Detail/FD/Clients/Tasks status not available for Self-heal Daemons");
            return Err(Failure::Usage(STATUS));
        }
        [what @ ("nfs" | "quotad" | "bitd" | "scrub"), ..] => {
            return Err(Failure::text(format!("gluster has `volume status {what}`, terrarium does not")));
        }
        [one] => form(one).map_or_else(|| wanted(Form::Plain, Some(*one)), |form| wanted(form, None)),
        [brick, one] if *one != "tasks" => wanted(form(one).ok_or(Failure::Usage(STATUS))?, Some(*brick)),
        _ => return Err(Failure::Usage(STATUS)),
    };
    if name.is_none() && wanted.brick.is_some() {
        return Err(Failure::Usage(STATUS));
    }
    Ok((name, wanted))
}

fn show(session: &Session, name: &str, wanted: Wanted<'_>) -> Result<Option<Node>, Failure> {
    let about = match wanted.form {
        Form::Detail => About::Detail,
        Form::Inside(what) => About::Bricks(what.ask()),
        _ => About::Status,
    };
    let (volume, reports) = session.query(name, about).map_err(Failure::text)?;
    if let Some(brick) = wanted.brick {
        has_brick(&volume, brick)?;
    }
    if session.xml {
        return Ok(Some(element(&volume, &reports, wanted)));
    }
    let all = |brick: &str| wanted.is_wanted(brick);
    match wanted.form {
        Form::Plain if wanted.brick.is_some() => println!("{} ", table(&volume, &reports, all, false)),
        Form::Plain => print!("{}{}", table(&volume, &reports, all, true), tasks(&volume, &reports)),
        Form::Healers => println!("{} ", table(&volume, &reports, |_| false, true)),
        Form::Detail => print!("{}", detail(&volume, &reports, all)),
        Form::Inside(what) => print!("{}", inside::text(what, &volume, &reports, all)),
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

fn detail(volume: &Volume, reports: &[Report], wanted: impl Fn(&str) -> bool) -> String {
    let mut out = format!("Status of volume: {}\n", volume.name);
    for brick in by_brick(reports) {
        let Some(name) = volume.bricks.get(brick.index).map(|b| b.name()).filter(|n| wanted(n)) else { continue };
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

fn element(volume: &Volume, reports: &[Report], wanted: Wanted<'_>) -> Node {
    let bricks = !matches!(wanted.form, Form::Healers | Form::Tasks);
    let healers = matches!(wanted.form, Form::Plain | Form::Healers) && wanted.brick.is_none();
    let mut nodes: Vec<Node> = vec![];
    for brick in by_brick(reports).into_iter().filter(|_| bricks) {
        let Some(def) = volume.bricks.get(brick.index).filter(|b| wanted.is_wanted(&b.name())) else { continue };
        let mut more = brick.disk.as_ref().map_or_else(Vec::new, disk);
        if let (Form::Inside(what), Some(Ok(value))) = (wanted.form, &brick.value) {
            more.extend(inside::element(what, value));
        }
        nodes.push(process(&def.host, &def.path, &def.peer.to_string(), brick.pid, &brick.port.to_string(), more));
    }
    for report in reports.iter().filter(|_| healers) {
        if let Some(healer) = report.healer {
            let peer = report.peer.to_string();
            nodes.push(process("Self-heal Daemon", &report.host, &peer, healer.pid, "N/A", vec![]));
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
    let name = leaf("volName", &volume.name);
    let count = (wanted.form != Form::Tasks).then(|| leaf("nodeCount", nodes.len()));
    let has_tasks = matches!(wanted.form, Form::Plain | Form::Tasks) && wanted.brick.is_none();
    let tasks = has_tasks.then(|| node("tasks", tasks.into_iter().collect()));
    node("volume", [name].into_iter().chain(count).chain(nodes).chain(tasks).collect())
}

/// A brick's disk.
fn disk(disk: &Disk) -> Vec<Node> {
    vec![
        leaf("sizeTotal", disk.total),
        leaf("sizeFree", disk.free),
        leaf("device", &disk.device),
        leaf("blockSize", disk.block),
        leaf("mntOptions", &disk.options),
        leaf("fsName", &disk.kind),
        leaf("inodesTotal", disk.inodes),
        leaf("inodesFree", disk.free_inodes),
    ]
}

fn process(host: &str, path: &str, peer: &str, pid: Option<i32>, port: &str, more: Vec<Node>) -> Node {
    let port = pid.map_or("N/A", |_| port);
    let known = vec![
        leaf("hostname", host),
        leaf("path", path),
        leaf("peerid", peer),
        leaf("status", u8::from(pid.is_some())),
        leaf("port", port),
        node("ports", vec![leaf("tcp", port), leaf("rdma", "N/A")]),
        leaf("pid", pid.unwrap_or(-1)),
    ];
    node("node", known.into_iter().chain(more).collect())
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
        let count =
            |form, brick| crate::cli::gluster::xml::success(vec![element(&volume(), &reports, Wanted { form, brick })]);
        let one = count(Form::Plain, Some("node3:/srv/data/fv"));
        assert!(one.contains("<nodeCount>1</nodeCount>") && one.contains("<status>0</status>"), "{one}");
        assert!(!one.contains("<status>1</status>") && !one.contains("tasks"), "{one}");
        assert!(count(Form::Healers, None).contains("<nodeCount>2</nodeCount>"));
        assert!(count(Form::Plain, None).contains("<nodeCount>4</nodeCount>"));
    }

    /// A brick and what is asked of it may stand together; a healer has no disk.
    #[test]
    fn forms_are_read() {
        let wanted = |words: &[&str]| parse(words).map(|(name, w)| (name.map(str::to_owned), w.brick.is_some())).ok();
        assert_eq!(wanted(&["gv0", "node1:/b", "mem"]), Some((Some("gv0".into()), true)));
        assert_eq!(wanted(&["all", "detail"]), Some((None, false)));
        assert_eq!(wanted(&["gv0", "shd", "detail"]), None);
        assert_eq!(wanted(&["gv0", "nfs"]), None);
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
