//! Names of servers → addresses.
//!
//! In the world `/etc/hosts` knows `server1`…`server4`. Outside it (tests; servers side by side on one machine)
//! `$TERRARIUM_HOSTS` names a file of the same form, which is asked first.

use std::net::{IpAddr, ToSocketAddrs};

/// The address of a server, given by name or in digits.
///
/// # Errors
/// `NotFound` with the name in it, if nobody knows it.
pub fn resolve(host: &str) -> std::io::Result<IpAddr> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    if let Some(ip) = private(host) {
        return Ok(ip);
    }
    let found = (host, 0).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.map(|a| a.ip()).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::NotFound, format!("no address is known for `{host}` (see /etc/hosts)"))
    })
}

fn private(host: &str) -> Option<IpAddr> {
    let text = std::fs::read_to_string(std::env::var_os("TERRARIUM_HOSTS")?).ok()?;
    lookup(&text, host)
}

/// Finds a name in the text of a hosts file.
fn lookup(text: &str, host: &str) -> Option<IpAddr> {
    let lines = text.lines().map(|l| l.split('#').next().unwrap_or_default());
    let mut entries = lines.filter_map(|l| l.split_once(char::is_whitespace));
    entries.find_map(|(ip, names)| names.split_whitespace().any(|n| n == host).then(|| ip.trim().parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::lookup;

    /// Comments, several names a line and unknown names, as in hosts(5).
    #[test]
    fn a_hosts_file_is_read_as_hosts_5_says() {
        let text = "# lab\n127.0.7.1 server1 node1 # first\n127.0.7.2\tserver2\n";
        assert_eq!(lookup(text, "node1"), Some([127, 0, 7, 1].into()));
        assert_eq!(lookup(text, "server2"), Some([127, 0, 7, 2].into()));
        assert_eq!(lookup(text, "first"), None);
    }
}
