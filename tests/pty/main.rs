//! The built program on a real terminal: it starts, takes keys, survives any size, and gives the terminal back whatever
//! ends it.

mod session;
mod world;

use nix::sys::signal::Signal;
use session::{CTRL_Z, LEADER, Session};

/// The list comes up, the language turns, and `q` ends it with the terminal as it was.
#[test]
fn it_starts_and_leaves() {
    let mut session = Session::start(&["screen", "--demo"]);
    session.sees("a distributed system under glass");
    session.types("L").sees("玻璃缸里的分布式系统");
    session.types("q").ends(0);
}

/// From a wall to one cell and back: the screen is still there, and whole.
#[test]
fn it_survives_any_size() {
    let mut session = Session::start(&["screen", "--demo"]);
    session.sees("0/10").types("\r").sees("leader n1");
    for (columns, rows) in [(200, 50), (1, 1), (59, 24), (2, 60), (300, 2), (1, 1)] {
        session.resize(columns, rows);
    }
    session.resize(120, 40).sees("3 Log").sees("4 Shell");
    session.types("q").sees("0/10").types("q").ends(0);
}

/// The shell pane is a real shell on a terminal of the pane's own size; it ends with the screen.
#[test]
fn the_shell_is_a_shell() {
    let mut session = Session::start(&["screen", "--demo"]);
    session.sees("0/10").types("\r").sees("leader n1");
    session.types("4").sees("$");
    session.types("echo $((6 * 7)) columns; stty size\r").sees("42 columns").sees("13 78");
    session.types(LEADER).types("z").types("stty size\r").sees("21 78\n $");
    session.types(LEADER).types("q").sees("1 Guide");
    session.types(LEADER).types("q").sees("0/10").types("q").ends(0);
}

/// A signal that ends the program gives the terminal back too; the exit code names it.
#[test]
fn signals_give_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut session = Session::start(&["screen", "--demo"]);
        session.sees("0/10").kill(signal).ends(128 + signal as u32);
    }
}

/// Ctrl-Z gives the terminal back to the shell that started it, and `fg` draws the screen anew.
#[test]
fn it_can_be_stopped() {
    let mut session = Session::shell();
    session.sees("$").types(&format!("{} screen --demo\r", session::PROGRAM)).sees("under glass");
    session.types(CTRL_Z).sees("topped");
    session.types("echo left; stty -a | grep -o ' icanon'\r").sees("left\n icanon");
    session.types("fg; echo code $?\r").sees("under glass").types("q").sees("code 0");
}
