//! What brick processes themselves tell: who is connected, which files are open, what memory they use, what they know and do.

use std::fmt::Write as _;

use serde_json::Value;

use super::by_brick;
use crate::cli::gluster::xml::{Node, leaf, node};
use crate::volume::definition::Volume;
use crate::volume::handshake::BrickAsk;
use crate::volume::manager::protocol::Report;

const LINE: &str = "----------------------------------------------";

/// What is asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Who is connected.
    Clients,
    /// The same, counted by kind.
    ClientList,
    /// Which files are open.
    Fds,
    /// How much memory is in use.
    Memory,
    /// How many inodes they know.
    Inodes,
    /// Which calls are under way.
    Calls,
}

impl What {
    /// By the word of the command line.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "clients" => Self::Clients,
            "client-list" => Self::ClientList,
            "fd" => Self::Fds,
            "mem" => Self::Memory,
            "inode" => Self::Inodes,
            "callpool" => Self::Calls,
            _ => return None,
        })
    }

    /// The question.
    pub fn ask(self) -> BrickAsk {
        match self {
            Self::Clients | Self::ClientList => BrickAsk::Clients,
            Self::Fds => BrickAsk::Fds,
            Self::Memory => BrickAsk::Memory,
            Self::Inodes => BrickAsk::Inodes,
            Self::Calls => BrickAsk::Calls,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Clients | Self::ClientList => "Client connections for volume",
            Self::Fds => "FD tables for volume",
            Self::Memory => "Memory status for volume :",
            Self::Inodes => "Inode tables for volume",
            Self::Calls => "Pending calls for volume",
        }
    }
}

/// The answers of all bricks that are wanted.
pub fn text(what: What, volume: &Volume, reports: &[Report], wanted: impl Fn(&str) -> bool) -> String {
    let mut out = format!("{} {}\n", what.title(), volume.name);
    let mut answers = vec![];
    for report in by_brick(reports) {
        let Some(name) = volume.bricks.get(report.index).map(|b| b.name()).filter(|n| wanted(n)) else { continue };
        match report.value.clone() {
            Some(Ok(value)) => answers.push((name, value)),
            Some(Err(why)) if what != What::ClientList => {
                let _ = writeln!(out, "{LINE}\nBrick : {name}\n{why}");
            }
            _ => {}
        }
    }
    if what == What::ClientList {
        return out + &client_list(volume, &answers);
    }
    let _ = writeln!(out, "{LINE}");
    for (brick, value) in answers {
        let _ = writeln!(out, "Brick : {brick}");
        out += &match what {
            What::Clients => clients(&value),
            What::Fds => fds(&value),
            What::Memory => memory(&value),
            What::Inodes => inodes(&value),
            What::Calls | What::ClientList => calls(&value),
        };
        let _ = writeln!(out, "{LINE}");
    }
    if matches!(what, What::Clients | What::Memory) { out + "\n" } else { out }
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn clients(value: &Value) -> String {
    let line = |host: &str, read: &dyn std::fmt::Display, written: &dyn std::fmt::Display, version: &str| {
        format!("{host:<48} {read:>15} {written:>15} {version:>15}\n")
    };
    let heads = line("Hostname", &"BytesRead", &"BytesWritten", "OpVersion")
        + &line("--------", &"---------", &"------------", "---------");
    let one = |c: &Value| line(word(c, "hostname"), &number(c, "bytes_read"), &number(c, "bytes_written"), "100000");
    format!("Clients connected : {}\n{heads}{}", rows(value).len(), rows(value).iter().map(one).collect::<String>())
}

/// How many of each kind there are: each is connected to many bricks and counts once.
fn client_list(volume: &Volume, answers: &[(String, Value)]) -> String {
    let of = |value: &Value| rows(value).iter().map(|c| word(c, "process").to_owned()).collect::<Vec<_>>();
    let most = answers.iter().map(|(_, value)| of(value)).max_by_key(Vec::len).unwrap_or_default();
    let mut kinds = most.clone();
    kinds.sort();
    kinds.dedup();
    let mut out = format!("{:<48} {:>15}\n{:<48} {:>15}\n", "Name", "count", "-----", "------");
    for kind in kinds {
        let _ = writeln!(out, "{kind:<48} {:>15}", most.iter().filter(|k| **k == kind).count());
    }
    let line = "-----------------------------------------------------------------";
    out + &format!("\ntotal clients for volume {} : {} \n{line}\n\n", volume.name, most.len())
}

fn fds(value: &Value) -> String {
    rows(value).iter().map(|open| format!("{:>6} {}\n", number(open, "fds"), word(open, "path"))).collect()
}

/// The names of the figures of mallinfo(3), in the order in which they are told.
const MALLINFO: [&str; 10] =
    ["Arena", "Ordblks", "Smblks", "Hblks", "Hblkhd", "Usmblks", "Fsmblks", "Uordblks", "Fordblks", "Keepcost"];

fn memory(value: &Value) -> String {
    let figures = MALLINFO.iter().zip(rows(value));
    let lines = figures.map(|(name, n)| format!("{name:<8} : {}\n", n.as_u64().unwrap_or_default()));
    format!("Mallinfo\n--------\n{} \n", lines.collect::<String>())
}

fn inodes(value: &Value) -> String {
    let of = |key: &str| number(value, key);
    format!("Connection 1:\nActive Inodes : {}\nLRU Inodes    : {}\nPurge Inodes  : 0\n \n", of("active"), of("lru"))
}

fn calls(value: &Value) -> String {
    let mut out = format!("Pending calls: {}\n", rows(value).len());
    for (n, call) in rows(value).iter().enumerate() {
        let _ = writeln!(out, "Call Stack{}\n Frames : 1\n Frame 1\n  Operation : {}\n ", n + 1, word(call, "fop"));
    }
    out + if rows(value).is_empty() { " \n" } else { "" }
}

/// One brick's answer as XML.
pub fn element(what: What, value: &Value) -> Option<Node> {
    Some(match what {
        What::Clients => {
            let client = |c: &Value| {
                let bytes =
                    [leaf("bytesRead", number(c, "bytes_read")), leaf("bytesWrite", number(c, "bytes_written"))];
                let head = [leaf("hostname", word(c, "hostname"))];
                node("client", head.into_iter().chain(bytes).chain([leaf("opVersion", 100_000)]).collect())
            };
            let count = [leaf("clientCount", rows(value).len())];
            node("clientsStatus", count.into_iter().chain(rows(value).iter().map(client)).collect())
        }
        What::ClientList => return None,
        What::Fds => node("fdStatus", vec![leaf("connections", rows(value).len())]),
        What::Memory => {
            let figures = MALLINFO.iter().zip(rows(value));
            let figures = figures.map(|(name, n)| leaf(&name.to_lowercase(), n.as_u64().unwrap_or_default()));
            node("memStatus", vec![node("mallinfo", figures.collect())])
        }
        What::Inodes => {
            let active = vec![leaf("activeSize", number(value, "active"))];
            node("inodeStatus", vec![leaf("connections", 1), node("connection", active)])
        }
        What::Calls => node("callpoolStatus", vec![leaf("count", rows(value).len())]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The captured shapes.
    #[test]
    fn answers_are_told_as_captured() {
        let value = serde_json::json!([{ "hostname": "10.79.0.1:49133", "bytes_read": 7828, "bytes_written": 9048 }]);
        assert_eq!(
            clients(&value),
            "Clients connected : 1\n\
             Hostname                                               BytesRead    BytesWritten       OpVersion\n\
             --------                                               ---------    ------------       ---------\n\
             10.79.0.1:49133                                             7828            9048          100000\n"
        );
        let figures = memory(&serde_json::json!([8_097_792, 45, 17, 8, 2_105_344, 0, 976, 3_205_200, 4_892_592, 2048]));
        assert!(figures.starts_with("Mallinfo\n--------\nArena    : 8097792\nOrdblks  : 45\n"), "{figures}");
        assert!(figures.ends_with("Keepcost : 2048\n \n"), "{figures}");
    }
}
