//! `lxc-attach`: a command in a running container. Source: lxc-attach(1).

use std::ffi::OsString;
use std::process::ExitCode;

use super::lxc::{Asked, Tool, exit, opt};
use crate::container::runtime::attach::Attach;
use crate::container::runtime::client::Client;

static ATTACH: Tool = Tool {
    name: "lxc-attach",
    usage: "--name=NAME [-- COMMAND]",
    about: "Execute the specified COMMAND - enter the container NAME",
    options: &[
        opt('e', "elevated-privileges", Some("[=PRIVILEGES]"), "Keep all capabilities"),
        opt('a', "arch", Some("ARCH"), "Use ARCH for program instead of container's own"),
        opt('s', "namespaces", Some("FLAGS"), "Attach to these only: MOUNT|PID|UTSNAME|IPC|USER|NETWORK"),
        opt('R', "remount-sys-proc", None, "Remount /sys and /proc with -s"),
        opt(' ', "clear-env", None, "Clear all environment variables before attaching"),
        opt(' ', "keep-env", None, "Keep all current environment variables (default)"),
        opt('L', "pty-log", Some("FILE"), "Log pty output to FILE"),
        opt('v', "set-var", Some("NAME=VALUE"), "Set an additional variable"),
        opt(' ', "keep-var", Some("NAME"), "Keep a variable with --clear-env"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
        opt('u', "uid", Some("UID"), "Execute COMMAND with UID inside the container"),
        opt('g', "gid", Some("GID"), "Execute COMMAND with GID inside the container"),
        opt('c', "context", Some("CONTEXT"), "SELinux context"),
    ],
    wants_name: true,
};

/// `lxc-attach`.
pub fn attach(args: &[OsString]) -> ExitCode {
    let asked = match ATTACH.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let attach = match wanted(&asked) {
        Ok(attach) => attach,
        Err(words) => return asked.fail(words),
    };
    let status = Client::connect(&asked.place())
        .map(|client| client.and_then(|mut client| client.status().ok().map(|status| (client, status))));
    match status {
        Err(e) => asked.fail(format!("cannot ask its monitor: {e}")),
        Ok(None) => {
            asked.say(format!(
                "Connection refused - Failed to get init pid (it is not running: lxc-start -n {} starts it)",
                asked.name()
            ));
            asked.fail("Connection refused - Failed to get attach context")
        }
        Ok(Some((mut client, status))) => attach.run(&mut client, &status).map_or_else(|e| asked.fail(e), exit),
    }
}

fn wanted(asked: &Asked) -> Result<Attach, String> {
    for left_out in ["arch", "context", "remount-sys-proc"] {
        if asked.has(left_out) {
            return Err(format!("--{left_out}: not supported here"));
        }
    }
    let id = |long: &str| match asked.value(long) {
        None => Ok(0),
        Some(word) => word.parse().map_err(|_| format!("--{long}: `{word}` is not a number")),
    };
    let namespaces = asked.value("namespaces").map(namespaces).transpose()?;
    Ok(Attach {
        command: asked.rest.clone(),
        ids: (id("uid")?, id("gid")?),
        clear_env: asked.has("clear-env"),
        keep: asked.all("keep-var"),
        set: asked.all("set-var"),
        elevated: asked.has("elevated-privileges") || namespaces.is_some(),
        namespaces,
        log: asked.value("pty-log").map(String::from),
    })
}

/// `MOUNT|PID` as bits.
fn namespaces(words: &str) -> Result<i32, String> {
    let one = |word: &str| match word.trim() {
        "MOUNT" => Ok(libc::CLONE_NEWNS),
        "PID" => Ok(libc::CLONE_NEWPID),
        "UTSNAME" => Ok(libc::CLONE_NEWUTS),
        "IPC" => Ok(libc::CLONE_NEWIPC),
        "USER" => Ok(libc::CLONE_NEWUSER),
        "NETWORK" => Ok(libc::CLONE_NEWNET),
        "CGROUP" => Ok(libc::CLONE_NEWCGROUP),
        other => Err(format!("-s: no namespace `{other}`; there are: MOUNT PID UTSNAME IPC USER NETWORK CGROUP")),
    };
    words.split('|').map(one).try_fold(0, |bits, next| next.map(|n| bits | n))
}
