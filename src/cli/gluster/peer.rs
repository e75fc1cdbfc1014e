//! `peer probe`, `peer detach`, `peer status`, `pool list`.

use uuid::Uuid;

use super::session::{Failure, MISUNDERSTOOD, Outcome, Session};
use super::xml::{Node, leaf, node};
use crate::volume::manager::peer::Peer;
use crate::volume::manager::protocol::{Answer, Ask};

/// Pattern of `peer probe`.
pub const PROBE: &str = "peer probe { <HOSTNAME> | <IP-address> }";
/// Pattern of `peer detach`.
pub const DETACH: &str = "peer detach { <HOSTNAME> | <IP-address> } [force]";

const DETACH_QUESTION: &str = "All clients mounted through the peer which is getting detached need to be remounted using one of the other active peers in the trusted storage pool to ensure client gets notification on any changes done on the gluster configuration and if the same has been done do you want to proceed?";

/// `peer probe HOST`.
///
/// # Errors
/// [`Failure`].
pub fn probe(session: &Session, words: &[&str]) -> Outcome {
    let [host] = words else { return Err(Failure::Usage(PROBE)) };
    let said = match session.ask(&Ask::Probe((*host).into())) {
        Ok(Answer::Said(text)) => text,
        Ok(_) => String::new(),
        Err(reason) => return Err(Failure::failed("peer probe", &reason)),
    };
    let text = if said.is_empty() { "success".to_owned() } else { said.clone() };
    session.say(&format!("peer probe: {text}"), || leaf("output", said))
}

/// `peer detach HOST [force]`.
///
/// # Errors
/// [`Failure`]; that the peer has bricks has exit code 255.
pub fn detach(session: &Session, words: &[&str]) -> Outcome {
    let (host, force) = match words {
        [host] => (*host, false),
        [host, "force"] => (*host, true),
        _ => return Err(Failure::Usage(DETACH)),
    };
    if !session.confirm(DETACH_QUESTION) {
        return Ok(0);
    }
    match session.ask(&Ask::Detach { host: host.into(), force }) {
        Ok(_) => session.say("peer detach: success", || leaf("output", "success")),
        Err(reason) => {
            let code = if reason.contains("hosts one or more bricks") { 255 } else { 1 };
            Err(Failure::failed("peer detach", &reason).with_code(code))
        }
    }
}

fn peers(session: &Session) -> Result<(Uuid, Vec<(Peer, bool)>), Failure> {
    match session.ask(&Ask::Peers) {
        Ok(Answer::Peers { own, peers }) => Ok((own, peers)),
        Ok(_) => Err(Failure::text(MISUNDERSTOOD)),
        Err(reason) => Err(Failure::failed("peer status", &reason)),
    }
}

/// `peer status`.
///
/// # Errors
/// [`Failure`].
pub fn status(session: &Session, words: &[&str]) -> Outcome {
    if !words.is_empty() {
        return Err(Failure::Usage("peer status"));
    }
    let (_, peers) = peers(session)?;
    if session.xml {
        return session.say("", || node("peerStatus", peers.iter().map(element).collect()));
    }
    print!("{}", status_text(&peers));
    Ok(0)
}

fn status_text(peers: &[(Peer, bool)]) -> String {
    let one = |(peer, connected): &(Peer, bool)| {
        let link = if *connected { "Connected" } else { "Disconnected" };
        let names = peer.hostnames.iter().skip(1).map(|n| format!("{n}\n")).collect::<String>();
        let others = if names.is_empty() { names } else { format!("Other names:\n{names}") };
        format!(
            "\nHostname: {}\nUuid: {}\nState: {} ({link})\n{others}",
            peer.hostname(),
            peer.uuid,
            peer.state.label()
        )
    };
    format!("Number of Peers: {}\n", peers.len()) + &peers.iter().map(one).collect::<String>()
}

/// `pool list`.
///
/// # Errors
/// [`Failure`].
pub fn list(session: &Session, words: &[&str]) -> Outcome {
    if !words.is_empty() {
        return Err(Failure::Usage("pool list"));
    }
    let (own, peers) = peers(session)?;
    if session.xml {
        let local = vec![leaf("uuid", own), leaf("hostname", "localhost"), leaf("connected", 1)];
        let all = peers.iter().map(element).chain([node("peer", local)]).collect();
        return session.say("", || node("peerStatus", all));
    }
    print!("{}", list_text(own, &peers));
    Ok(0)
}

/// The column of hosts is as wide as the longest one, and at least eight.
fn list_text(own: Uuid, peers: &[(Peer, bool)]) -> String {
    let width = peers.iter().map(|(p, _)| p.hostname().len()).chain(["localhost".len()]).max().unwrap_or(0).max(8);
    let row = |uuid: &str, host: &str, state: &str| format!("{uuid}\t{host:<width$}\t{state} \n");
    let others = peers.iter().map(|(peer, connected)| {
        row(&peer.uuid.to_string(), peer.hostname(), if *connected { "Connected" } else { "Disconnected" })
    });
    let head = format!("UUID\t\t\t\t\t{:<width$}\tState\n", "Hostname");
    head + &others.collect::<String>() + &row(&own.to_string(), "localhost", "Connected")
}

fn element((peer, connected): &(Peer, bool)) -> Node {
    let names = peer.hostnames.iter().map(|n| leaf("hostname", n)).collect();
    node(
        "peer",
        vec![
            leaf("uuid", peer.uuid),
            leaf("hostname", peer.hostname()),
            node("hostnames", names),
            leaf("connected", u8::from(*connected)),
            leaf("state", peer.state as u8),
            leaf("stateStr", peer.state.label()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::manager::peer::PeerState;

    fn pool() -> (Uuid, Vec<(Peer, bool)>) {
        let peer = |uuid: &str, names: &[&str]| Peer {
            uuid: uuid.parse().unwrap(),
            hostnames: names.iter().map(|n| (*n).to_owned()).collect(),
            state: PeerState::InCluster,
        };
        let second = peer("83e2c135-b33c-45cd-8461-c5bfcb99d3a5", &["node2", "10.79.0.2"]);
        let third = peer("01f33569-c135-4520-90fd-a70ee30863f1", &["node3"]);
        ("38347f2c-1d6c-4f51-9b08-fb7a955fc180".parse().unwrap(), vec![(second, true), (third, false)])
    }

    /// The captured text, to the byte.
    #[test]
    fn peer_status_is_the_captured_text() {
        let expected = "Number of Peers: 2\n\nHostname: node2\nUuid: 83e2c135-b33c-45cd-8461-c5bfcb99d3a5\n\
            State: Peer in Cluster (Connected)\nOther names:\n10.79.0.2\n\nHostname: node3\n\
            Uuid: 01f33569-c135-4520-90fd-a70ee30863f1\nState: Peer in Cluster (Disconnected)\n";
        assert_eq!(status_text(&pool().1), expected);
        assert_eq!(status_text(&[]), "Number of Peers: 0\n");
    }

    /// The captured table: five tabs, the padded column, localhost last, a blank at each end.
    #[test]
    fn pool_list_is_the_captured_table() {
        let (own, mut peers) = pool();
        peers.truncate(1);
        let expected = "UUID\t\t\t\t\tHostname \tState\n83e2c135-b33c-45cd-8461-c5bfcb99d3a5\tnode2    \tConnected \n\
            38347f2c-1d6c-4f51-9b08-fb7a955fc180\tlocalhost\tConnected \n";
        assert_eq!(list_text(own, &peers), expected);
    }
}
