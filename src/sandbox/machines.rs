//! The machines of the world: their names and addresses, all on the private loopback.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The world's own hostname. A shell of the world is a shell on this machine.
pub const HOME_MACHINE: &str = "server1";

/// The Raft nodes, `n1`…`n9`.
pub const NODES: usize = 9;
/// The storage servers, `server1`…`server4`.
pub const SERVERS: usize = 4;

/// In a world without namespaces: the first three bytes of its addresses on the host's loopback (`127.77.4`).
pub const LOOPBACK: &str = "TERRARIUM_LOOPBACK";

/// The address of the link switch: 10.77.2.1.
pub fn switch() -> Ipv4Addr {
    on_loopback().map_or(Ipv4Addr::new(10, 77, 2, 1), |[a, b, c]| Ipv4Addr::new(a, b, c, 200))
}

/// Every machine with its address: n1 is 10.77.0.1, server1 is 10.77.1.1. Without namespaces n1 is 127.77.x.1.
pub fn all() -> impl Iterator<Item = (String, Ipv4Addr)> {
    let [a, b, c] = on_loopback().unwrap_or([10, 77, 0]);
    let nodes = (1..=NODES as u8).map(move |i| (format!("n{i}"), Ipv4Addr::new(a, b, c, i)));
    let servers = (1..=SERVERS as u8).map(move |i| {
        let address = if a == 127 { Ipv4Addr::new(a, b, c, 100 + i) } else { Ipv4Addr::new(10, 77, 1, i) };
        (format!("server{i}"), address)
    });
    nodes.chain(servers)
}

fn on_loopback() -> Option<[u8; 3]> {
    let set = std::env::var(LOOPBACK).ok()?;
    let bytes: Vec<u8> = set.split('.').filter_map(|byte| byte.parse().ok()).collect();
    bytes.try_into().ok().filter(|bytes: &[u8; 3]| bytes[0] == 127)
}

/// The address of the machine called `name`.
pub fn address(name: &str) -> Option<Ipv4Addr> {
    all().find(|(machine, _)| machine == name).map(|(_, address)| address)
}

/// The world's /etc/hosts.
pub fn hosts_file() -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n");
    for (name, address) in all() {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}
