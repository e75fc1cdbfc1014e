//! `terrarium`, `terrarium screen`: the screen.
//!
//! `screen --demo [JOURNAL]` shows a world that does not exist (or one that did: a folder with its journal), to try the
//! screen itself.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use super::host::OuterHost;
use crate::tui::tutor::course::School;
use crate::tui::{Gone, demo, host::Host, run};

/// Opens the screen.
#[derive(Parser)]
#[command(name = "terrarium screen", about = "Open the screen: the labs, and the world under glass.")]
struct Args {
    /// Show a world that does not exist; with a folder, the world of the journal in it.
    #[arg(long, value_name = "JOURNAL", num_args = 0..=1, hide = true)]
    demo: Option<Option<PathBuf>>,
    /// The descriptor of the outermost process's socket.
    #[arg(long, value_name = "FD", hide = true)]
    host: Option<i32>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args: Args = match super::parse("screen", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match (args.demo, args.host) {
        (None, Some(fd)) => show(Arc::new(OuterHost::inherited(fd))),
        (None, None) => super::outer::main(&[]),
        (Some(journal), _) => show(Arc::new(demo::DemoHost::new(journal))),
    }
}

/// Shows the screen over a host until the person leaves.
pub fn show(host: Arc<dyn Host>) -> ExitCode {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return super::fail("screen", &"this is not a terminal; try `terrarium run` or `terrarium --help`", 2);
    }
    let school = Arc::clone(&host);
    match run(host, move || Ok(Arc::new(School::open(school)?))) {
        Ok(Gone::Left) => ExitCode::SUCCESS,
        Ok(Gone::Signal(number)) => ExitCode::from(128 + u8::try_from(number).unwrap_or(0)),
        Err(error) => super::fail("screen", &error, 5),
    }
}
