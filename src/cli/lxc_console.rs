//! `lxc-console`: a container's terminals. Source: lxc-console(1).

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;

use super::lxc::{Asked, Tool, opt};
use crate::container::runtime::client::Client;
use crate::container::runtime::terminal::{self, Escape};
use crate::container::runtime::{Doing, Error};

static CONSOLE: Tool = Tool {
    name: "lxc-console",
    usage: "--name=NAME [--tty NUMBER]",
    about: "lxc-console logs on the container with the identifier NAME",
    options: &[
        opt('t', "tty", Some("NUMBER"), "console tty number"),
        opt('e', "escape", Some("PREFIX"), "prefix for escape command: ^PREFIX q"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
    ],
    wants_name: true,
};

/// `lxc-console`.
pub fn console(args: &[OsString]) -> ExitCode {
    let asked = match CONSOLE.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    match Client::connect(&asked.place()) {
        Ok(Some(client)) => sit(&asked, client).map_or_else(|e| asked.fail(e), |()| ExitCode::SUCCESS),
        _ => asked.fail(format!("{} is not running", asked.name())),
    }
}

fn sit(asked: &Asked, mut client: Client) -> Result<(), Error> {
    let number =
        asked.value("tty").map(|word| word.parse().map_err(|_| Error::said(format!("-t: `{word}` is not a number"))));
    let prefix = prefix(asked.value("escape").unwrap_or("a"))?;
    let (number, master) = client.terminal(number.transpose()?)?;
    let key = char::from(prefix + b'a' - 1);
    eprintln!(
        "\nConnected to tty {number}\nType <Ctrl+{key} q> to exit the console, <Ctrl+{key} Ctrl+{key}> to enter Ctrl+{key} itself"
    );
    let passed = terminal::pass_through(&master, client.end().as_fd(), Escape::new(Some(prefix)), None);
    eprintln!();
    passed.doing(|| "pass the terminal through")
}

/// `a`, `^a` or `^A` as a control character.
fn prefix(word: &str) -> Result<u8, Error> {
    match word.trim_start_matches('^').as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Ok(letter.to_ascii_lowercase() - b'a' + 1),
        _ => Err(Error::said(format!("-e: `{word}` is not a letter or ^LETTER"))),
    }
}
