//! The volume's command line, end to end: real managers and bricks as processes, four servers side by side.
//!
//! Each file `tests/gluster/*.txt` is a transcript: a line `$ SERVER COMMAND [<<< INPUT]`, then what it prints. Standard error
//! is marked with `! `, an exit code other than 0 is the line `[CODE]`, and a blank at the end of a line is shown as `␠`. What
//! differs from run to run is shown by a word of its own: `<uuid>`, `<pid>`; the folder of the bricks is always `/tmp/golden`.
//! `BLESS=1 cargo test --test gluster_cli` writes what was seen; read it before you keep it.

#[path = "gluster/pool.rs"]
mod pool;

use std::fmt::Write as _;
use std::path::Path;

use pool::Pool;

/// Runs every command of a transcript, and compares what it says with what is written.
fn replay(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gluster").join(name);
    let written = std::fs::read_to_string(&path).unwrap();
    let pool = Pool::new();
    let mut seen = String::new();
    for line in written.lines().filter(|l| l.starts_with("$ ") || l.starts_with('#') || l.is_empty()) {
        let _ = writeln!(seen, "{line}");
        if let Some(command) = line.strip_prefix("$ ") {
            seen += &pool.say(command);
        }
    }
    let (seen, written) = (tidy(&seen), tidy(&written));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, seen).unwrap();
    } else {
        assert!(seen == written, "{name}: saw\n{seen}\nbut hoped for\n{written}\n{}", pool.logs());
    }
}

/// Blank lines between commands, none within what they say, are for the reader alone.
fn tidy(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|l| !l.is_empty()) {
        let gap = if line.starts_with("$ ") || line.starts_with('#') { "\n" } else { "" };
        let after_comment = out.lines().last().is_some_and(|l| l.starts_with('#'));
        let _ = writeln!(out, "{}{line}", if after_comment { "" } else { gap });
    }
    out.trim_start().to_owned()
}

/// The pool: probing, states, leaving.
#[test]
fn a_pool_is_made_and_left() {
    replay("peers.txt");
}

/// A volume from its creation to its deletion, with every refusal on the way.
#[test]
fn a_volume_lives_and_dies() {
    replay("volume.txt");
}

/// Options: set, get, reset, and what is refused.
#[test]
fn options_are_set_and_refused() {
    replay("options.txt");
}

/// Bricks come and go: growth, shrinking, replacement, arbiters.
#[test]
fn bricks_come_and_go() {
    replay("bricks.txt");
}

/// Mounted, a brick killed, written to, healed; and a split-brain made and resolved. Needs root and FUSE.
#[test]
fn a_volume_heals() {
    if !can_mount() {
        eprintln!("not run: mounting needs root and /dev/fuse");
        return;
    }
    replay("heal.txt");
    replay("split_brain.txt");
}

/// A byte flips on one disk: a scrub finds it, a heal mends it. Needs root and FUSE.
#[test]
fn a_scrub_finds_what_a_disk_corrupts() {
    if !can_mount() {
        eprintln!("not run: mounting needs root and /dev/fuse");
        return;
    }
    replay("scrub.txt");
}

/// Files move when bricks come and go.
#[test]
fn files_move_with_the_bricks() {
    if !can_mount() {
        eprintln!("not run: mounting needs root and /dev/fuse");
        return;
    }
    replay("rebalance.txt");
}

fn can_mount() -> bool {
    nix::unistd::geteuid().is_root() && std::fs::OpenOptions::new().write(true).open("/dev/fuse").is_ok()
}

/// What bricks tell of themselves, dumps of their state, their logs, and locks that were left behind.
#[test]
fn processes_tell_of_themselves() {
    replay("inside.txt");
}

/// Words that are no command, prompts without an answer, XML.
#[test]
fn the_command_line_behaves_as_the_real_one() {
    replay("words.txt");
}
