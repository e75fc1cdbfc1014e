//! `sudo` inside a world: there everybody is root already, so it only runs the command.
//!
//! The options that quick starts use are understood; users other than root exist where the world has more than one id.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::su::{self, User};

const USAGE: &str = "usage: sudo [-u USER] [-i | -s] [NAME=VALUE…] [COMMAND [ARGUMENT…]]
In a world you are root already; sudo runs the command.";

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    user: Option<String>,
    login: bool,
    shell: bool,
    nothing: bool,
    variables: Vec<(OsString, OsString)>,
    command: Vec<OsString>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let asked = match parse(args) {
        Ok(asked) => asked,
        Err(words) => {
            eprintln!("{words}");
            return ExitCode::from(1);
        }
    };
    if asked.nothing {
        return ExitCode::SUCCESS;
    }
    let user = match su::user(asked.user.as_deref().unwrap_or("root")) {
        Ok(user) => user,
        Err(words) => {
            eprintln!("sudo: {words}");
            return ExitCode::from(1);
        }
    };
    run(&asked, &user)
}

fn run(asked: &Asked, user: &User) -> ExitCode {
    let program = asked.command.first();
    let shell = asked.login || asked.shell;
    let mut command = match (program, shell) {
        (Some(program), false) => Command::new(program),
        (None, false) => {
            eprintln!("{USAGE}");
            return ExitCode::from(1);
        }
        (_, true) => Command::new(&user.shell),
    };
    if !shell {
        command.args(&asked.command[1..]);
    } else if program.is_some() {
        command.arg("-c").arg(asked.command.join(OsStr::new(" ")));
    } else if asked.login {
        command.arg("-l");
    }
    if asked.login {
        command.current_dir(&user.home).env("HOME", &user.home);
    }
    command.envs(asked.variables.iter().map(|(name, value)| (name, value))).env("SUDO_USER", "root");
    su::become_user(&mut command, user);
    let error = command.exec();
    let named = program.map_or_else(|| user.shell.clone(), |p| p.to_string_lossy().into_owned());
    if error.kind() == std::io::ErrorKind::NotFound {
        eprintln!("sudo: {named}: command not found");
    } else {
        eprintln!("sudo: {named}: {error}");
    }
    ExitCode::from(1)
}

fn parse(args: &[OsString]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let mut value = || {
            words.next().map(|v| v.to_string_lossy().into_owned()).ok_or(format!("sudo: {text} wants a value\n{USAGE}"))
        };
        match text.as_ref() {
            "-u" | "--user" => asked.user = Some(value()?),
            "-g" | "--group" | "-p" | "--prompt" | "-C" | "-h" | "--host" => drop(value()?),
            "-i" | "--login" => asked.login = true,
            "-s" | "--shell" => asked.shell = true,
            "-v" | "-k" | "-K" | "-l" | "--validate" | "--list" => asked.nothing = true,
            "-n" | "-E" | "-H" | "-S" | "-A" | "-b" | "-P" | "--preserve-env" | "--set-home" | "--stdin" => {}
            "--help" => return Err(USAGE.into()),
            "--" => {
                asked.command = words.cloned().collect();
                break;
            }
            option if option.starts_with('-') => return Err(format!("sudo: invalid option {option}\n{USAGE}")),
            text => match text.split_once('=').filter(|(name, _)| is_variable(name)) {
                Some((name, value)) => asked.variables.push((name.into(), value.into())),
                None => {
                    asked.command = std::iter::once(word).chain(words).cloned().collect();
                    break;
                }
            },
        }
    }
    if asked.command.is_empty() && !(asked.login || asked.shell || asked.nothing) {
        return Err(USAGE.into());
    }
    Ok(asked)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    /// The homework's line, and those of the usual quick starts.
    #[test]
    fn the_usual_lines() {
        let command = |line: &str| parsed(line).unwrap().command.join(OsStr::new(" ")).into_string().unwrap();
        assert_eq!(command("lxc-create -t debian -n aufstest1"), "lxc-create -t debian -n aufstest1");
        assert_eq!(command("-E -u root -- ls -i"), "ls -i");
        let asked = parsed("DEBIAN_FRONTEND=noninteractive apt-get install -y lxc").unwrap();
        assert_eq!((asked.variables.len(), asked.command.len()), (1, 4));
        assert!(parsed("-i").unwrap().login && parsed("-s").unwrap().shell && parsed("-v").unwrap().nothing);
    }

    /// What is not understood is said.
    #[test]
    fn wrong_words() {
        assert!(parsed("--frobnicate ls").unwrap_err().contains("invalid option --frobnicate"));
        assert!(parsed("-u").unwrap_err().contains("-u wants a value"));
        assert!(parsed("").unwrap_err().contains("usage: sudo"));
    }
}
