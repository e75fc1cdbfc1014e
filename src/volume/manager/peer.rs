//! The trusted pool as one manager knows it: the other managers, by id, with the names that they were given.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Another manager of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its identity; survives a change of names.
    pub uuid: Uuid,
    /// Every name that it was given, the first one first.
    pub hostnames: Vec<String>,
    /// How far the acquaintance has come.
    pub state: PeerState,
}

/// How far two managers have come with each other. Numbers as in the store and in XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerState {
    /// Known, but not yet talked to.
    Establishing = 0,
    /// One of us.
    InCluster = 3,
    /// Its volumes contradict ours: same version, different content.
    Rejected = 6,
}

impl PeerState {
    /// The words of `peer status`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Establishing => "Establishing Connection",
            Self::InCluster => "Peer in Cluster",
            Self::Rejected => "Peer Rejected",
        }
    }

    fn from_number(text: &str) -> Option<Self> {
        [Self::Establishing, Self::InCluster, Self::Rejected].into_iter().find(|s| (*s as u8).to_string() == text)
    }
}

impl Peer {
    /// The name under which it is shown and called.
    pub fn hostname(&self) -> &str {
        self.hostnames.first().map_or("", String::as_str)
    }

    /// Whether it was given this name.
    pub fn is_named(&self, name: &str) -> bool {
        self.hostnames.iter().any(|h| h == name)
    }

    /// The file `peers/UUID`.
    pub fn to_store(&self) -> String {
        let head = format!("uuid={}\nstate={}\n", self.uuid, self.state as u8);
        let names = self.hostnames.iter().enumerate().map(|(i, name)| format!("hostname{}={name}\n", i + 1));
        head + &names.collect::<String>()
    }

    /// Reads the file `peers/UUID`; `None` if it has no id or no name.
    pub fn from_store(text: &str) -> Option<Self> {
        let fields = || text.lines().filter_map(|line| line.split_once('='));
        let uuid = fields().find(|(k, _)| *k == "uuid")?.1.parse().ok()?;
        let state = fields().find(|(k, _)| *k == "state").and_then(|(_, v)| PeerState::from_number(v))?;
        let hostnames: Vec<String> =
            fields().filter(|(k, _)| k.starts_with("hostname")).map(|(_, v)| v.to_owned()).collect();
        (!hostnames.is_empty()).then_some(Self { uuid, hostnames, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The store's form is GlusterFS's, and is read back.
    #[test]
    fn a_peer_is_stored_as_glusterd_stores_it() {
        let uuid = "83e2c135-b33c-45cd-8461-c5bfcb99d3a5".parse().unwrap();
        let hostnames = vec!["server2".into(), "10.77.1.2".into()];
        let peer = Peer { uuid, hostnames, state: PeerState::InCluster };
        let text = "uuid=83e2c135-b33c-45cd-8461-c5bfcb99d3a5\nstate=3\nhostname1=server2\nhostname2=10.77.1.2\n";
        assert_eq!(peer.to_store(), text);
        assert_eq!(Peer::from_store(text), Some(peer));
        assert_eq!(Peer::from_store("uuid=x\n"), None);
    }
}
