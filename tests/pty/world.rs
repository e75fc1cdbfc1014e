//! The real thing on a terminal: `run` as a job of a shell, and the screen over a real world.

use nix::sys::signal::Signal;

use crate::session::{CTRL_Z, LEADER, PROGRAM, Session};

/// Goes to a folder of its own, for `run` refuses the home folder.
fn shell_in_a_folder() -> Session {
    let mut session = Session::shell();
    session.sees("$").types("cd $XDG_STATE_HOME && mkdir w && cd w && clear\r").sees("$");
    session
}

/// Ctrl-C reaches the command inside; its end is 128 and the signal, and the shell has its terminal back.
#[test]
fn ctrl_c_reaches_the_command() {
    let mut session = shell_in_a_folder();
    session.types(&format!("{PROGRAM} run -- sh -c 'echo in\"\"side; exec sleep 1000'\r")).sees("inside");
    session.types("\u{3}").sees("$").types("echo code $?\r").sees("code 130");
}

/// Ctrl-Z stops the whole job, so that the shell prompts; `fg` goes on with it.
#[test]
fn ctrl_z_and_fg() {
    let mut session = shell_in_a_folder();
    session
        .types(&format!("{PROGRAM} run -- sh -c 'echo in\"\"side; exec cat'\r"))
        .sees("inside")
        .types("first\r")
        .sees("first\nfirst");
    session.types(CTRL_Z).sees("topped").types("clear; echo at the prom\"\"pt\r").sees("at the prompt");
    session
        .types("fg; echo code $?\r")
        .sees("exec cat\"")
        .types("second\r")
        .sees("second\nsecond")
        .types("\u{4}")
        .sees("code 0");
}

/// A shell inside is interactive: it has job control and its own prompt, and leaves the terminal to the outer one.
#[test]
fn a_shell_inside_has_job_control() {
    let mut session = shell_in_a_folder();
    session.types(&format!("{PROGRAM} run -- sh -c 'echo in\"\"side; exec sh -i'\r")).sees("inside");
    session
        .types("hostname\r")
        .sees("server1")
        .types("sh -c 'echo sleep\"\"ing; exec sleep 1000'\r")
        .sees("sleeping")
        .types(CTRL_Z)
        .sees("topped")
        .types("exit 9\r")
        .sees("stopped jobs")
        .types("exit 9\r");
    session.sees("$").types("echo code $?\r").sees("code 9");
}

/// The screen opens a lab: real nodes come up, a leader is elected, the shell pane is inside the world; what is left
/// behind when the terminal is closed is nothing.
#[test]
fn the_screen_opens_a_real_world() {
    let mut session = Session::start(&[]);
    session.sees("0/10").types("\r").sees("leader n");
    session.types("4").sees("$").types("hostname; lab status | head -1\r").sees("server1").sees("lab-raft");
    session.kill(Signal::SIGHUP).ends(128 + Signal::SIGHUP as u32);
}

/// A lab goes on where it was left: the world's disks, its nodes and the step.
#[test]
fn a_lab_goes_on_where_it_was() {
    let mut session = Session::start(&[]);
    session.sees("0/10").types("\r").sees("leader n").types("4").sees("$");
    session
        .types("redis-cli -v >/dev/null; lab client n1 SET kept yes\r")
        .sees("OK")
        .types("touch ~/here; echo made\"\"it\r")
        .sees("madeit");
    session.types(LEADER).types("q").sees("0/10");
    session.types("\r").sees("leader n").types("4").sees("$");
    session.types("lab client n2 GET kept; ls ~\r").sees("yes").sees("here");
    session.kill(Signal::SIGTERM).ends(128 + Signal::SIGTERM as u32);
}
