//! The machines of the world: their names and addresses, all on the private loopback.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The world's own hostname. A shell of the world is a shell on this machine.
pub const HOME_MACHINE: &str = "server1";

/// The Raft nodes, `n1`…`n9`.
pub const NODES: usize = 9;
/// The storage servers, `server1`…`server4`.
pub const SERVERS: usize = 4;

/// The link switch.
pub const SWITCH: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);

/// Every machine with its address: n1 is 10.77.0.1, server1 is 10.77.1.1.
pub fn all() -> impl Iterator<Item = (String, Ipv4Addr)> {
    let nodes = (1..=NODES as u8).map(|i| (format!("n{i}"), Ipv4Addr::new(10, 77, 0, i)));
    let servers = (1..=SERVERS as u8).map(|i| (format!("server{i}"), Ipv4Addr::new(10, 77, 1, i)));
    nodes.chain(servers)
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
