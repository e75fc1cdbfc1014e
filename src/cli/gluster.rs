//! `gluster`: the command line of the volume manager, with GlusterFS's own words, prompts and exit codes.
//!
//! Results and prompts go to standard output, failures and usage to standard error. `--mode=script` answers every prompt
//! with yes; `--xml` says the result as XML, and then a failed command exits with 0, as the real tool does. Without
//! arguments it reads commands line by line (`gluster> `).

mod bitrot;
mod bricks;
mod heal;
mod info;
mod options;
mod other;
mod peer;
mod profile;
mod session;
mod status;
mod table;
mod task;
mod volume;
mod xml;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use session::{Failure, Flag, Session};

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    // SAFETY: no handler is replaced by one of ours. A reader that went away (`| head`) ends the command in silence.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let (mut session, words) = match Session::from_flags(words) {
        Ok(parsed) => parsed,
        Err(Flag::Says(line)) => {
            println!("{line}");
            return ExitCode::SUCCESS;
        }
        Err(Flag::Absent(flag)) => {
            eprintln!("gluster has {flag}, terrarium does not: act on a server with `lab on SERVER gluster …`");
            return ExitCode::FAILURE;
        }
        Err(Flag::Unknown(flag)) => {
            println!("unrecognized option {flag}\n{}", table::SHORT_USAGE.trim_end());
            return ExitCode::from(255);
        }
    };
    if session.version {
        println!("glusterfs 10.3");
        println!("(the behaviour of that release, as far as terrarium {} has it)", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if words.is_empty() { interactive(&mut session) } else { ExitCode::from(run(&mut session, &words)) }
}

/// Runs one command; gives its exit code.
fn run(session: &mut Session, words: &[String]) -> u8 {
    let words = table::spelled_out(words.to_vec());
    session.words = words.join(" ");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match table::dispatch(session, &words) {
        Ok(code) => code,
        Err(failure) => explain(session, &failure),
    }
}

/// Says why a command failed; gives its exit code.
fn explain(session: &Session, failure: &Failure) -> u8 {
    match failure {
        Failure::Said(code) => *code,
        Failure::Usage(pattern) => {
            eprintln!("\nUsage:\n{pattern}\n");
            1
        }
        Failure::Text { reason, .. } if session.xml => {
            print!("{}", xml::failure(reason));
            0
        }
        Failure::Text { said, code, .. } => {
            eprintln!("{said}");
            *code
        }
    }
}

/// Reads commands until `quit` or the end of input.
fn interactive(session: &mut Session) -> ExitCode {
    let by_hand = std::io::stdin().is_terminal();
    let prompt = if by_hand { "gluster> " } else { "" };
    // What is piped in is a script: the next line is a command, and no answer.
    session.script |= !by_hand;
    println!("Welcome to gluster prompt, type 'help' to see the available commands.");
    let mut last = 0;
    loop {
        print!("{prompt}");
        let _ = std::io::stdout().flush();
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
            return ExitCode::from(last);
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match words.first().map(String::as_str) {
            None => {}
            Some("quit" | "exit") => return ExitCode::from(last),
            Some(_) => last = run(session, &words),
        }
    }
}
