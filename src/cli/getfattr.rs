//! `getfattr` and `setfattr`: extended attributes of files, as the package *attr* shows and sets them.
//!
//! They stand in for the real tools inside a world for two reasons: a laptop may not have them, and an ordinary user may not
//! have attributes `trusted.*`, so that the bricks keep the volume's own under `user.*` there. What a manual says about
//! `trusted.afr.…` is typed as it stands all the same: these tools look under the other name too, and say so.
//!
//! Left out: recursion (`-R`), restoring a dump.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::volume::xattr::is_internal;

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Text,
    Hex,
    Base64,
}

#[derive(Parser, Debug)]
#[command(name = "getfattr", about = "Get extended attributes of files", disable_help_flag = true)]
struct Get {
    /// Get the named attribute
    #[arg(short = 'n', long, value_name = "NAME")]
    name: Option<OsString>,
    /// Get the values of all attributes that match
    #[arg(short, long)]
    dump: bool,
    /// Attributes with names that match this expression; `-` is all of them
    #[arg(short = 'm', long = "match", value_name = "PATTERN", default_value = "^user\\.", allow_hyphen_values = true)]
    pattern: String,
    /// How values are written
    #[arg(short, long, value_enum, ignore_case = true)]
    encoding: Option<Encoding>,
    /// Do not follow symbolic links (values are never read through them)
    #[arg(short = 'h', long)]
    no_dereference: bool,
    /// Do not strip leading slashes
    #[arg(long)]
    absolute_names: bool,
    /// The values alone
    #[arg(long)]
    only_values: bool,
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[arg(required = true)]
    files: Vec<OsString>,
}

#[derive(Parser, Debug)]
#[command(name = "setfattr", about = "Set extended attributes of files", disable_help_flag = true)]
struct Set {
    /// Set this attribute
    #[arg(short = 'n', long, value_name = "NAME", required_unless_present = "remove")]
    name: Option<OsString>,
    /// Its new value: text, 0x… or 0s…
    #[arg(short = 'v', long, value_name = "VALUE", default_value = "")]
    value: OsString,
    /// Remove this attribute
    #[arg(short = 'x', long, value_name = "NAME", conflicts_with = "name")]
    remove: Option<OsString>,
    /// Do not follow symbolic links
    #[arg(short = 'h', long)]
    no_dereference: bool,
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[arg(required = true)]
    files: Vec<OsString>,
}

/// `getfattr`.
pub fn get(args: &[OsString]) -> ExitCode {
    let options: Get = match super::parse("getfattr", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let pattern = if options.pattern == "-" { "" } else { &options.pattern };
    let Ok(pattern) = regex::bytes::Regex::new(pattern) else {
        eprintln!("getfattr: invalid regular expression \"{}\"", options.pattern);
        return ExitCode::FAILURE;
    };
    let mut said = Said::default();
    for file in &options.files {
        if let Err(why) = show(&options, &pattern, file, &mut said) {
            eprintln!("{why}");
            said.failed = true;
        }
    }
    if said.moved {
        eprintln!(
            "getfattr: an ordinary user may not have trusted.*: terrarium keeps these under user.* and shows the real names"
        );
    }
    if said.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is said once, however many files there are.
#[derive(Default)]
struct Said {
    slash: bool,
    moved: bool,
    failed: bool,
}

fn show(options: &Get, pattern: &regex::bytes::Regex, file: &OsString, said: &mut Said) -> Result<(), String> {
    let shown = file.to_string_lossy();
    let failed = |e: io::Error| format!("getfattr: {shown}: {}", words(&e));
    let pairs = match &options.name {
        Some(name) => vec![
            named(options, file, name.as_bytes(), said)
                .map_err(|e| format!("{shown}: {}: {}", name.to_string_lossy(), words(&e)))?,
        ],
        None => matching(options, pattern, file, said).map_err(failed)?,
    };
    if pairs.is_empty() {
        return Ok(());
    }
    let title = if options.absolute_names { &*shown } else { shown.trim_start_matches('/') };
    let mut out = Vec::new();
    if !options.only_values {
        if title.len() < shown.len() && !std::mem::replace(&mut said.slash, true) {
            eprintln!("getfattr: Removing leading '/' from absolute path names");
        }
        out.extend_from_slice(format!("# file: {title}\n").as_bytes());
    }
    for (key, value) in pairs {
        out.extend(line(options, &key, value.as_deref()));
    }
    if !options.only_values {
        out.push(b'\n');
    }
    // A reader that went away is no failure.
    let _ = io::Write::write_all(&mut io::stdout(), &out);
    Ok(())
}

/// A key, and its value if that is wanted.
type Pair = (Vec<u8>, Option<Vec<u8>>);

/// One attribute; a `trusted.` one of a volume is looked for under `user.` too.
fn named(options: &Get, file: &OsString, key: &[u8], said: &mut Said) -> io::Result<Pair> {
    let other = key.strip_prefix(b"trusted.").map(|rest| [b"user.", rest].concat()).filter(|k| is_internal(k));
    let value = match (value(file, key, !options.no_dereference), other) {
        (Err(_), Some(other)) => {
            let value = value(file, &other, !options.no_dereference)?;
            said.moved = true;
            value
        }
        (outcome, _) => outcome?,
    };
    Ok((key.to_vec(), Some(value)))
}

/// All attributes whose names match, in order, a volume's own by their real names.
fn matching(options: &Get, pattern: &regex::bytes::Regex, file: &OsString, said: &mut Said) -> io::Result<Vec<Pair>> {
    let mut pairs = vec![];
    for key in keys(file, !options.no_dereference)? {
        let internal = key.strip_prefix(b"user.").filter(|_| is_internal(&key));
        let name = internal.map_or(key.clone(), |rest| [b"trusted.", rest].concat());
        if !pattern.is_match(&name) {
            continue;
        }
        said.moved |= internal.is_some();
        let value = options.dump.then(|| value(file, &key, !options.no_dereference)).transpose()?;
        pairs.push((name, value));
    }
    pairs.sort();
    Ok(pairs)
}

fn line(options: &Get, key: &[u8], value: Option<&[u8]>) -> Vec<u8> {
    match value {
        Some(value) if options.only_values => value.to_vec(),
        Some(value) => [key, b"=", &encoded(value, options.encoding), b"\n"].concat(),
        None => [key, b"\n"].concat(),
    }
}

/// A value as text if it is some, else as asked for or as base64.
fn encoded(value: &[u8], encoding: Option<Encoding>) -> Vec<u8> {
    let is_text = value.iter().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | 0x80..));
    match encoding.unwrap_or(if is_text { Encoding::Text } else { Encoding::Base64 }) {
        Encoding::Hex => value.iter().fold(b"0x".to_vec(), |mut hex, b| {
            hex.extend_from_slice(format!("{b:02x}").as_bytes());
            hex
        }),
        Encoding::Base64 => [b"0s", base64(value).as_bytes()].concat(),
        Encoding::Text => {
            let quoted = value.iter().flat_map(|b| match b {
                b'"' | b'\\' => vec![b'\\', *b],
                0..b' ' | 0x7f => format!("\\{b:03o}").into_bytes(),
                _ => vec![*b],
            });
            std::iter::once(b'"').chain(quoted).chain([b'"']).collect()
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// The bytes of a text in base64; `None` if it is none.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let letters = text.trim_end_matches('=').as_bytes();
    let four = |four: &[u8]| -> Option<Vec<u8>> {
        let word = four.iter().try_fold(0_u32, |word, letter| Some(word << 6 | u32::from(digit(*letter)?)))?;
        let word = (word << (6 * (4 - four.len()))).to_be_bytes();
        (four.len() > 1).then(|| word[1..four.len()].to_vec())
    };
    let parts: Option<Vec<Vec<u8>>> = letters.chunks(4).map(four).collect();
    text.len().is_multiple_of(4).then_some(parts?.concat())
}

/// `setfattr`.
pub fn set(args: &[OsString]) -> ExitCode {
    let options: Set = match super::parse("setfattr", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let value = match decoded(options.value.as_bytes()) {
        Ok(value) => value,
        Err(why) => {
            eprintln!("setfattr: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for file in &options.files {
        let follow = !options.no_dereference;
        let outcome = match (&options.name, &options.remove) {
            (Some(name), _) => store(file, name.as_bytes(), &value, follow),
            (None, Some(name)) => remove(file, name.as_bytes(), follow),
            (None, None) => Ok(()),
        };
        if let Err(error) = outcome {
            eprintln!("setfattr: {}: {}", file.to_string_lossy(), words(&error));
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// A value as it is typed: `0x…`, `0s…`, `"…"`, or plain.
fn decoded(typed: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(typed);
    if let Some(text) = text.strip_prefix("0s").or_else(|| text.strip_prefix("0S")) {
        return from_base64(text).ok_or_else(|| format!("bad input encoding: 0s{text}"));
    }
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
        let bytes = hex.as_bytes().chunks(2).map(|pair| byte(pair).filter(|_| pair.len() == 2));
        return bytes.collect::<Option<_>>().ok_or_else(|| format!("bad input encoding: {text}"));
    }
    let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    Ok(bare.map_or(typed.to_vec(), |bare| bare.as_bytes().to_vec()))
}

/// The kernel's words for an error, without its number; a missing attribute as the tools say it.
fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENODATA) => "No such attribute".into(),
        _ => error.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
    }
}

fn c(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The value of an attribute.
///
/// # Errors
/// As of getxattr(2).
pub fn value(file: &OsString, key: &[u8], follow: bool) -> io::Result<Vec<u8>> {
    let (path, key) = (c(file.as_bytes())?, c(key)?);
    let call = if follow { libc::getxattr } else { libc::lgetxattr };
    // SAFETY: C strings, and a buffer as long as said.
    sized(|buffer| unsafe { call(path.as_ptr(), key.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

fn keys(file: &OsString, follow: bool) -> io::Result<Vec<Vec<u8>>> {
    let path = c(file.as_bytes())?;
    let call = if follow { libc::listxattr } else { libc::llistxattr };
    // SAFETY: as above.
    let all = sized(|buffer| unsafe { call(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })?;
    Ok(all.split(|b| *b == 0).filter(|k| !k.is_empty()).map(<[u8]>::to_vec).collect())
}

/// What a call puts into a buffer that is large enough for any attribute.
fn sized(call: impl Fn(&mut [u8]) -> isize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; 65_536];
    let length = usize::try_from(call(&mut buffer)).map_err(|_| io::Error::last_os_error())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn store(file: &OsString, key: &[u8], value: &[u8], follow: bool) -> io::Result<()> {
    let (path, key) = (c(file.as_bytes())?, c(key)?);
    let call = if follow { libc::setxattr } else { libc::lsetxattr };
    // SAFETY: C strings, and a value as long as said.
    done(unsafe { call(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
}

fn remove(file: &OsString, key: &[u8], follow: bool) -> io::Result<()> {
    let (path, key) = (c(file.as_bytes())?, c(key)?);
    let call = if follow { libc::removexattr } else { libc::lremovexattr };
    // SAFETY: C strings.
    done(unsafe { call(path.as_ptr(), key.as_ptr()) })
}

fn done(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values look as the real tool writes them: quoted text with octal escapes, hex, base64 with its padding.
    #[test]
    fn values_are_written_as_the_real_tool_does() {
        assert_eq!(encoded(b"a\"b", None), b"\"a\\\"b\"");
        assert_eq!(encoded(b"x\0", Some(Encoding::Text)), b"\"x\\000\"");
        assert_eq!(encoded(&[0, 0x12, 0xff], Some(Encoding::Hex)), b"0x0012ff");
        assert_eq!(encoded(b"\x01", None), b"0sAQ==");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64(b"fooba"), "Zm9vYmE=");
    }

    /// What is typed for setfattr: hex, quoted, plain; nonsense is refused with words.
    #[test]
    fn values_are_read_as_they_are_typed() {
        assert_eq!(decoded(b"0x00ff"), Ok(vec![0, 255]));
        assert_eq!(decoded(b"\"a b\""), Ok(b"a b".to_vec()));
        assert_eq!(decoded(b"gv0-client-1"), Ok(b"gv0-client-1".to_vec()));
        assert_eq!(decoded(b"0sZm9vYmE="), Ok(b"fooba".to_vec()));
        assert_eq!(decoded(b"0sAQ=="), Ok(vec![1]));
        assert!(decoded(b"0sAQ=").is_err() && decoded(b"0sA!==").is_err());
        assert!(decoded(b"0xabc").is_err() && decoded(b"0xzz").is_err());
    }
}
