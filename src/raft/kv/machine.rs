//! The map, and the table of sessions beside it.
//!
//! "The solution is for clients to assign unique serial numbers to every command. Then, the state machine tracks the
//! latest serial number processed for each client, along with the associated response. If it receives a command whose
//! serial number has already been executed, it responds immediately without re-executing the request" (§8). A client here
//! may have several requests under way, so a session keeps the replies of all that are not yet settled, i.e. of which the
//! client may not have the answer (thesis, §6.3).
//!
//! Sessions end without a word, so the table keeps the [`SESSIONS`] that were used last. Which are forgotten follows from
//! the log alone, so all replicas forget the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::command::{Condition, Query, Reply, Write, integer};
use crate::raft::event::Index;
use crate::raft::message::{ClientId, Entry, Payload, Request, RequestId};

/// How many sessions are remembered.
pub const SESSIONS: usize = 16_384;

/// The replicated state machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Machine {
    applied: Index,
    map: BTreeMap<Bytes, Bytes>,
    sessions: BTreeMap<ClientId, Session>,
    /// When each session was used last: which to forget first.
    used: BTreeMap<Index, ClientId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Session {
    used: Index,
    settled: u64,
    replies: BTreeMap<u64, Reply>,
}

impl Machine {
    /// lastApplied: the index of the entry that was applied last.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Applies the next entry. Gives the request's reply: of the first time, if it comes again; nothing for a no-op, or
    /// if the answer has long been taken.
    ///
    /// # Panics
    /// If an entry is left out or comes twice: then the node broke its promise.
    pub fn apply(&mut self, entry: &Entry) -> Option<(RequestId, Reply)> {
        assert_eq!(entry.index, self.applied + 1, "entries are applied in order, each once");
        self.applied = entry.index;
        let Payload::Request(request) = &entry.payload else { return None };
        Some((request.id, self.once(request)?))
    }

    /// The reply of a request that was applied, as long as its client may not have it.
    pub fn reply_of(&self, id: RequestId) -> Option<&Reply> {
        self.sessions.get(&id.client)?.replies.get(&id.serial)
    }

    fn once(&mut self, request: &Request) -> Option<Reply> {
        let RequestId { client, serial } = request.id;
        let session = self.sessions.entry(client).or_default();
        self.used.remove(&session.used);
        session.used = self.applied;
        self.used.insert(self.applied, client);
        if request.settled > session.settled {
            session.settled = request.settled;
            session.replies = session.replies.split_off(&request.settled);
        }
        if serial < session.settled || session.replies.contains_key(&serial) {
            return session.replies.get(&serial).cloned();
        }
        let reply = self.write(&request.command);
        if let Some(session) = self.sessions.get_mut(&client) {
            session.replies.insert(serial, reply.clone());
        }
        self.forget_oldest();
        Some(reply)
    }

    fn forget_oldest(&mut self) {
        while self.sessions.len() > SESSIONS
            && let Some((_, client)) = self.used.pop_first()
        {
            self.sessions.remove(&client);
        }
    }

    fn write(&mut self, command: &Write) -> Reply {
        match command {
            Write::Set { key, value, condition, get } => self.set(key, value, *condition, *get),
            Write::SetNx(key, value) => {
                let absent = !self.map.contains_key(key);
                if absent {
                    self.map.insert(key.clone(), value.clone());
                }
                Reply::Integer(absent.into())
            }
            Write::MSet(pairs) => {
                self.map.extend(pairs.iter().cloned());
                Reply::ok()
            }
            Write::Del(keys) => Reply::Integer(count(keys, |key| self.map.remove(key).is_some())),
            Write::GetDel(key) => Reply::Bulk(self.map.remove(key)),
            Write::Add(key, by) => self.add(key, *by),
            Write::Append(key, value) => {
                let joined = [self.map.get(key).map_or(&[][..], |old| old), value].concat();
                let length = joined.len() as i64;
                self.map.insert(key.clone(), joined.into());
                Reply::Integer(length)
            }
            Write::Flush => {
                self.map.clear();
                Reply::ok()
            }
        }
    }

    fn set(&mut self, key: &Bytes, value: &Bytes, condition: Option<Condition>, get: bool) -> Reply {
        let old = self.map.get(key).cloned();
        let set = match condition {
            None => true,
            Some(Condition::IfAbsent) => old.is_none(),
            Some(Condition::IfPresent) => old.is_some(),
        };
        if set {
            self.map.insert(key.clone(), value.clone());
        }
        match (get, set) {
            (true, _) => Reply::Bulk(old),
            (false, true) => Reply::ok(),
            (false, false) => Reply::Bulk(None),
        }
    }

    fn add(&mut self, key: &Bytes, by: i64) -> Reply {
        let old = self.map.get(key).map_or(Some(0), |text| integer(text));
        let Some(old) = old else { return Reply::not_an_integer() };
        let Some(new) = old.checked_add(by) else {
            return Reply::Error("ERR increment or decrement would overflow".into());
        };
        self.map.insert(key.clone(), new.to_string().into());
        Reply::Integer(new)
    }

    /// Looks, and changes nothing.
    pub fn query(&self, query: &Query) -> Reply {
        match query {
            Query::Get(key) => Reply::Bulk(self.map.get(key).cloned()),
            Query::MGet(keys) => Reply::Array(keys.iter().map(|key| Reply::Bulk(self.map.get(key).cloned())).collect()),
            Query::Exists(keys) => Reply::Integer(count(keys, |key| self.map.contains_key(key))),
            Query::StrLen(key) => Reply::Integer(self.map.get(key).map_or(0, |value| value.len() as i64)),
            Query::Keys(pattern) => {
                let matching = self.map.keys().filter(|key| glob(pattern, key));
                Reply::Array(matching.map(|key| Reply::Bulk(Some(key.clone()))).collect())
            }
            Query::Type(key) => Reply::Status(if self.map.contains_key(key) { "string" } else { "none" }.into()),
            Query::DbSize => Reply::Integer(self.map.len() as i64),
        }
    }
}

fn count(keys: &[Bytes], mut holds: impl FnMut(&Bytes) -> bool) -> i64 {
    keys.iter().filter(|key| holds(key)).count() as i64
}

/// Redis's KEYS patterns: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, and `\` before a character that is meant. Behind a star that
/// took too little, matching begins again one character later, so it takes no more than the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (pattern, text);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = p {
            (p, star) = (rest, Some((rest, t)));
        } else if let Some(rest) = t.first().and_then(|&c| one(p, c)) {
            (p, t) = (rest, &t[1..]);
        } else if p.is_empty() && t.is_empty() {
            return true;
        } else {
            let Some((behind, [_, later @ ..])) = star else { return false };
            (p, t, star) = (behind, later, Some((behind, later)));
        }
    }
}

/// Matches one character with what a pattern begins with; gives the rest of the pattern.
fn one(pattern: &[u8], c: u8) -> Option<&[u8]> {
    let (matches, rest) = match pattern {
        [] | [b'*', ..] => (false, pattern),
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => {
            let end = rest.iter().position(|&b| b == b']')?;
            (in_class(&rest[..end], c), &rest[end + 1..])
        }
        [b'\\', meant, rest @ ..] | [meant, rest @ ..] => (*meant == c, rest),
    };
    matches.then_some(rest)
}

fn in_class(class: &[u8], c: u8) -> bool {
    let (negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    while let Some((&low, rest)) = class.split_first() {
        let (high, rest) = match rest {
            [b'-', high, rest @ ..] => (*high, rest),
            _ => (low, rest),
        };
        found |= (low..=high).contains(&c);
        class = rest;
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns match as in Redis, and a hostile one takes neither the stack nor the afternoon.
    #[test]
    fn keys_patterns() {
        let yes: [(&str, &str); 9] = [
            ("*", ""),
            ("h?llo", "hello"),
            ("h*llo", "heeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("a\\*b", "a*b"),
            ("*a*b", "xxaybab"),
            ("**", "x"),
        ];
        let no: [(&str, &str); 6] =
            [("", "x"), ("h?llo", "hllo"), ("h[ae]llo", "hillo"), ("a\\*b", "axb"), ("*a*b", "xxayba"), ("[a", "a")];
        assert!(yes.iter().all(|(pattern, text)| glob(pattern.as_bytes(), text.as_bytes())));
        assert!(no.iter().all(|(pattern, text)| !glob(pattern.as_bytes(), text.as_bytes())));
        assert!(!glob("*a".repeat(500).as_bytes(), "a".repeat(499).as_bytes()));
        assert!(glob(&[b'x'; 1_000_000], &[b'x'; 1_000_000]));
    }

    fn entry(index: Index, client: u64, serial: u64, settled: u64, command: Write) -> Entry {
        let id = RequestId { client: ClientId(client), serial };
        Entry { index, term: 1, payload: Payload::Request(Request { id, settled, command }) }
    }

    /// A request that comes again gets its first reply, until its client has it (§8).
    #[test]
    fn a_request_is_applied_once() {
        let incr = || Write::Add("n".into(), 1);
        let mut machine = Machine::default();
        let mut apply =
            |index, serial, settled| machine.apply(&entry(index, 7, serial, settled, incr())).map(|(_, r)| r);
        assert_eq!(apply(1, 1, 1), Some(Reply::Integer(1)));
        assert_eq!(apply(2, 1, 1), Some(Reply::Integer(1)), "again");
        assert_eq!(apply(3, 2, 1), Some(Reply::Integer(2)));
        assert_eq!(apply(4, 1, 1), Some(Reply::Integer(1)), "late, while the client may still wait");
        assert_eq!(apply(5, 3, 3), Some(Reply::Integer(3)), "1 and 2 are settled");
        assert_eq!(apply(6, 2, 1), None, "nobody waits for it, and it is not done again");
        assert_eq!(machine.query(&Query::Get("n".into())), Reply::Bulk(Some("3".into())));
    }

    /// Only so many sessions are remembered, and the least used go first.
    #[test]
    fn old_sessions_are_forgotten() {
        let mut machine = Machine::default();
        let clients = SESSIONS as u64 + 10;
        for client in 1..=clients {
            machine.apply(&entry(client, client, 1, 1, Write::Append("x".into(), "y".into())));
        }
        assert_eq!(machine.sessions.len(), SESSIONS);
        let known = |client| machine.reply_of(RequestId { client: ClientId(client), serial: 1 }).is_some();
        assert!(!known(10) && known(11) && known(clients));
    }

    /// INCR keeps Redis's rules for what a number is.
    #[test]
    fn numbers() {
        let mut machine = Machine::default();
        let mut index = 0;
        let mut run = |command| {
            index += 1;
            machine.apply(&entry(index, index, 1, 1, command)).map(|(_, reply)| reply)
        };
        let set =
            |value: &'static str| Write::Set { key: "n".into(), value: value.into(), condition: None, get: false };
        for text in ["01", "+1", " 1", "1.0", "x", ""] {
            run(set(text));
            assert_eq!(run(Write::Add("n".into(), 1)), Some(Reply::not_an_integer()), "{text:?}");
        }
        run(set("9223372036854775807"));
        assert!(matches!(run(Write::Add("n".into(), 1)), Some(Reply::Error(text)) if text.contains("overflow")));
    }
}
