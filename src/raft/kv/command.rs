//! Commands and replies, with Redis's names, arguments and error texts (redis.io/commands).

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Whether SET looks before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// NX: only if the key does not exist.
    IfAbsent,
    /// XX: only if it does.
    IfPresent,
}

/// A command that changes the state machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Write {
    /// SET key value \[NX | XX\] \[GET\]; GETSET.
    Set {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// NX or XX.
        condition: Option<Condition>,
        /// GET: the reply is the old value.
        get: bool,
    },
    /// SETNX key value: 1 if it was set, 0 if not.
    SetNx(Bytes, Bytes),
    /// MSET key value …
    MSet(Vec<(Bytes, Bytes)>),
    /// DEL key …: how many there were.
    Del(Vec<Bytes>),
    /// GETDEL key.
    GetDel(Bytes),
    /// INCR, DECR, INCRBY, DECRBY: the new number.
    Add(Bytes, i64),
    /// APPEND key value: the new length.
    Append(Bytes, Bytes),
    /// FLUSHALL, FLUSHDB.
    Flush,
}

/// A command that only looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Query {
    /// GET key.
    Get(Bytes),
    /// MGET key …
    MGet(Vec<Bytes>),
    /// EXISTS key …: how many of them exist.
    Exists(Vec<Bytes>),
    /// STRLEN key.
    StrLen(Bytes),
    /// KEYS pattern.
    Keys(Bytes),
    /// TYPE key.
    Type(Bytes),
    /// DBSIZE.
    DbSize,
}

/// What the state machine can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Goes through the log.
    Write(Write),
    /// Does not.
    Query(Query),
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// A status: `OK`.
    Status(String),
    /// A number.
    Integer(i64),
    /// A string, or nothing.
    Bulk(Option<Bytes>),
    /// Several.
    Array(Vec<Reply>),
    /// An error, with its code in capitals first: `ERR …`.
    Error(String),
}

impl Reply {
    /// `OK`.
    pub fn ok() -> Self {
        Reply::Status("OK".into())
    }

    /// Its approximate size in bytes, for bounding a message.
    pub fn size(&self) -> usize {
        match self {
            Reply::Status(text) | Reply::Error(text) => 8 + text.len(),
            Reply::Integer(_) | Reply::Bulk(None) => 8,
            Reply::Bulk(Some(bytes)) => 8 + bytes.len(),
            Reply::Array(replies) => 8 + replies.iter().map(Reply::size).sum::<usize>(),
        }
    }

    pub(super) fn not_an_integer() -> Self {
        Reply::Error("ERR value is not an integer or out of range".into())
    }
}

impl Command {
    /// Parses a command from its words; the first is the name, in any case. `None` if the state machine has no such
    /// command.
    ///
    /// # Errors
    /// The error line that Redis gives for wrong arguments.
    pub fn parse(words: &[Bytes]) -> Option<Result<Self, String>> {
        let (name, args) = words.split_first()?;
        let name = String::from_utf8_lossy(name).to_lowercase();
        let command = match (&name[..], args) {
            ("set", [key, value, options @ ..]) => set(key, value, options),
            ("getset", [key, value]) => {
                write(Write::Set { key: own(key), value: own(value), condition: None, get: true })
            }
            ("setnx", [key, value]) => write(Write::SetNx(own(key), own(value))),
            ("mset", pairs) if !pairs.is_empty() && pairs.len() % 2 == 0 => {
                write(Write::MSet(pairs.chunks(2).map(|pair| (own(&pair[0]), own(&pair[1]))).collect()))
            }
            ("del" | "unlink", keys @ [_, ..]) => write(Write::Del(keys.iter().map(own).collect())),
            ("getdel", [key]) => write(Write::GetDel(own(key))),
            ("incr", [key]) => write(Write::Add(own(key), 1)),
            ("decr", [key]) => write(Write::Add(own(key), -1)),
            ("incrby", [key, by]) => add(key, integer(by)),
            ("decrby", [key, by]) => add(key, integer(by).and_then(i64::checked_neg)),
            ("append", [key, value]) => write(Write::Append(own(key), own(value))),
            ("flushall" | "flushdb", [] | [_]) => write(Write::Flush),
            ("get", [key]) => query(Query::Get(own(key))),
            ("mget", keys @ [_, ..]) => query(Query::MGet(keys.iter().map(own).collect())),
            ("exists", keys @ [_, ..]) => query(Query::Exists(keys.iter().map(own).collect())),
            ("strlen", [key]) => query(Query::StrLen(own(key))),
            ("keys", [pattern]) => query(Query::Keys(own(pattern))),
            ("type", [key]) => query(Query::Type(own(key))),
            ("dbsize", []) => query(Query::DbSize),
            (known, _) if NAMES.contains(&known) => Err(format!("ERR wrong number of arguments for '{known}' command")),
            _ => return None,
        };
        Some(command)
    }
}

/// Every command of the state machine, in lower case.
pub const NAMES: &[&str] = &[
    "append", "dbsize", "decr", "decrby", "del", "exists", "flushall", "flushdb", "get", "getdel", "getset", "incr",
    "incrby", "keys", "mget", "mset", "set", "setnx", "strlen", "type", "unlink",
];

/// A copy of its own: what is parsed shares the memory of a whole network buffer, which a log must not keep.
fn own(word: &Bytes) -> Bytes {
    Bytes::copy_from_slice(word)
}

fn write(write: Write) -> Result<Command, String> {
    Ok(Command::Write(write))
}

fn query(query: Query) -> Result<Command, String> {
    Ok(Command::Query(query))
}

fn add(key: &Bytes, by: Option<i64>) -> Result<Command, String> {
    by.map(|by| Command::Write(Write::Add(own(key), by)))
        .ok_or_else(|| "ERR value is not an integer or out of range".into())
}

fn set(key: &Bytes, value: &Bytes, options: &[Bytes]) -> Result<Command, String> {
    let (mut condition, mut get) = (None, false);
    for option in options {
        match &String::from_utf8_lossy(option).to_uppercase()[..] {
            "NX" if condition.is_none() => condition = Some(Condition::IfAbsent),
            "XX" if condition.is_none() => condition = Some(Condition::IfPresent),
            "GET" => get = true,
            "EX" | "PX" | "EXAT" | "PXAT" | "KEEPTTL" => {
                return Err("ERR keys do not expire here: replicas must compute the same without a clock".into());
            }
            _ => return Err("ERR syntax error".into()),
        }
    }
    write(Write::Set { key: own(key), value: own(value), condition, get })
}

/// A decimal number as Redis reads it: no spaces, no plus, no leading zeros.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Write {
    /// The bytes of its keys and values.
    pub fn size(&self) -> usize {
        match self {
            Write::Set { key, value, .. } | Write::SetNx(key, value) | Write::Append(key, value) => {
                key.len() + value.len()
            }
            Write::MSet(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len() + 16).sum(),
            Write::Del(keys) => keys.iter().map(|key| key.len() + 8).sum(),
            Write::GetDel(key) | Write::Add(key, _) => key.len() + 8,
            Write::Flush => 0,
        }
    }
}

impl Query {
    /// The bytes of its keys.
    pub fn size(&self) -> usize {
        match self {
            Query::Get(key) | Query::StrLen(key) | Query::Keys(key) | Query::Type(key) => key.len(),
            Query::MGet(keys) | Query::Exists(keys) => keys.iter().map(|key| key.len() + 8).sum(),
            Query::DbSize => 0,
        }
    }
}

impl Command {
    /// The bytes of its keys and values.
    pub fn size(&self) -> usize {
        match self {
            Command::Write(write) => write.size(),
            Command::Query(query) => query.size(),
        }
    }
}

/// As a person would type it; long or unprintable words are shortened.
impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Write::Set { key, value, condition, get } => {
                write!(f, "SET {} {}", word(key), word(value))?;
                match condition {
                    Some(Condition::IfAbsent) => f.write_str(" NX")?,
                    Some(Condition::IfPresent) => f.write_str(" XX")?,
                    None => {}
                }
                f.write_str(if *get { " GET" } else { "" })
            }
            Write::SetNx(key, value) => write!(f, "SETNX {} {}", word(key), word(value)),
            Write::MSet(pairs) => {
                f.write_str("MSET")?;
                pairs.iter().take(SHOWN).try_for_each(|(key, value)| write!(f, " {} {}", word(key), word(value)))?;
                f.write_str(if pairs.len() > SHOWN { " …" } else { "" })
            }
            Write::Del(keys) => words(f, "DEL", keys),
            Write::GetDel(key) => write!(f, "GETDEL {}", word(key)),
            Write::Add(key, 1) => write!(f, "INCR {}", word(key)),
            Write::Add(key, -1) => write!(f, "DECR {}", word(key)),
            Write::Add(key, by) => write!(f, "INCRBY {} {by}", word(key)),
            Write::Append(key, value) => write!(f, "APPEND {} {}", word(key), word(value)),
            Write::Flush => f.write_str("FLUSHALL"),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Get(key) => write!(f, "GET {}", word(key)),
            Query::MGet(keys) => words(f, "MGET", keys),
            Query::Exists(keys) => words(f, "EXISTS", keys),
            Query::StrLen(key) => write!(f, "STRLEN {}", word(key)),
            Query::Keys(pattern) => write!(f, "KEYS {}", word(pattern)),
            Query::Type(key) => write!(f, "TYPE {}", word(key)),
            Query::DbSize => f.write_str("DBSIZE"),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Write(write) => write.fmt(f),
            Command::Query(query) => query.fmt(f),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Status(text) | Reply::Error(text) => f.write_str(text),
            Reply::Integer(number) => number.fmt(f),
            Reply::Bulk(None) => f.write_str("(nil)"),
            Reply::Bulk(Some(bytes)) => f.write_str(&word(bytes)),
            Reply::Array(replies) => {
                f.write_str("[")?;
                for (i, reply) in replies.iter().take(SHOWN).enumerate() {
                    write!(f, "{}{reply}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(if replies.len() > SHOWN { ", …]" } else { "]" })
            }
        }
    }
}

/// So many words of a list are shown, and so many characters of a word.
const SHOWN: usize = 4;
const LETTERS: usize = 24;

fn words(f: &mut fmt::Formatter<'_>, name: &str, keys: &[Bytes]) -> fmt::Result {
    f.write_str(name)?;
    keys.iter().take(SHOWN).try_for_each(|key| write!(f, " {}", word(key)))?;
    f.write_str(if keys.len() > SHOWN { " …" } else { "" })
}

fn word(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LETTERS)]);
    let mut shown: String = text.chars().take(LETTERS).flat_map(escape).collect();
    if text.chars().nth(LETTERS).is_some() {
        shown.push('…');
    }
    if shown.is_empty() || shown.contains(' ') { format!("\"{shown}\"") } else { shown }
}

fn escape(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}
