//! What a person reads of a node on its stderr: one line for each thing that matters, in the words of the paper.

use crate::raft::event::{Happening, Index, NodeName, Role};

/// A happening as a line, without the node's name; nothing for what would only be noise.
pub fn line(happening: &Happening, before: Option<&Happening>) -> Option<String> {
    Some(match happening {
        Happening::Booted { term, log, nodes, .. } => {
            format!(
                "up in term {term}, last log index {}, one of {}",
                log.last().map_or(0, |e| e.index),
                nodes.join(", ")
            )
        }
        Happening::State { why, .. } if why == "boot" => return None,
        Happening::State { term, role, leader, why, .. } => state(*term, *role, leader.as_ref(), why, before),
        Happening::Vote { term, candidate, granted: true, .. } => format!("votes for {candidate} in term {term}"),
        Happening::Vote { term, candidate, why, .. } => {
            format!("refuses its vote to {candidate} in term {term}: {}", refusal(why))
        }
        Happening::Appended { entries } => match &entries[..] {
            [] => return None,
            [entry] => format!("appends entry {} of term {}: {}", entry.index, entry.term, entry.text),
            [first, .., last] => format!("appends entries {} to {}", first.index, last.index),
        },
        Happening::Truncated { from } => format!("removes entries from {from} on: they conflict with the leader's"),
        Happening::Refused { leader, prev_index, hint } => {
            format!("refuses entries of {leader}: its log has no match at {prev_index}; {leader} may try {hint}")
        }
        Happening::Committed { index } => format!("entries up to {index} are committed"),
        Happening::Snapshot { index, term } => format!("a snapshot replaces the log up to {index} (term {term})"),
        Happening::Asked { request, text, forwarded_to: Some(leader) } => {
            format!("client {request} asks {text}; forwarded to {leader}")
        }
        Happening::Asked { request, text, .. } => format!("client {request} asks {text}"),
        Happening::Answered { request, text } => format!("answers client {request}: {text}"),
        Happening::Timer { .. } | Happening::Applied { .. } | Happening::Progress { .. } => return None,
    })
}

fn state(term: Index, role: Role, leader: Option<&NodeName>, why: &str, before: Option<&Happening>) -> String {
    let earlier = match before {
        Some(Happening::State { term, .. }) => *term,
        _ => term.saturating_sub(1),
    };
    match (role, why) {
        (Role::Candidate, "split") => {
            format!("no majority in term {earlier}, election timeout: now candidate of term {term}")
        }
        (Role::Candidate, _) => format!("election timeout in term {earlier}, now candidate of term {term}"),
        (Role::Leader, _) => format!("won the election: leader of term {term}"),
        (Role::Follower, "found_leader") => {
            format!("follows {} in term {term}", leader.map_or("nobody", String::as_str))
        }
        (Role::Follower, "higher_term") => match before {
            Some(Happening::State { role: Role::Leader, .. }) => {
                format!("heard of term {term}: no longer leader of term {earlier}, follower now")
            }
            _ => format!("heard of term {term}, follower"),
        },
        (Role::Follower, "voted") => format!("has voted in term {term} and waits for a leader"),
        (Role::Follower, why) => format!("follower in term {term} ({why})"),
    }
}

fn refusal(why: &str) -> &str {
    match why {
        "stale_term" => "that term is over",
        "already_voted" => "already voted for another in this term",
        "log_not_up_to_date" => "its log is not as up-to-date as this node's",
        other => other,
    }
}
