//! `su` inside a world: a shell or a command as another user. Source: su(1).

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: su [-] [-c COMMAND] [-s SHELL] [USER]";

/// A user of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home folder.
    pub home: String,
    /// Shell.
    pub shell: String,
}

/// Finds a user by name, or by `#id`.
///
/// # Errors
/// In words, without the tool's name.
pub fn user(name: &str) -> Result<User, String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&passwd, name).ok_or_else(|| format!("user {name} does not exist"))
}

fn find(passwd: &str, name: &str) -> Option<User> {
    let id = name.strip_prefix('#').and_then(|id| id.parse::<u32>().ok());
    let found = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [login, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let shell = if shell.is_empty() { "/bin/sh" } else { shell };
        let user = User { uid, gid, home: (*home).into(), shell: shell.into() };
        (*login == name || Some(uid) == id).then_some(user)
    });
    let root = || User { uid: 0, gid: 0, home: "/root".into(), shell: "/bin/sh".into() };
    found.or_else(|| (name == "root").then(root))
}

/// Makes a command run as a user; root is what everybody is.
pub fn become_user(command: &mut Command, user: &User) {
    if user.uid != 0 {
        command.uid(user.uid).gid(user.gid);
    }
}

/// What was asked for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    user: Option<String>,
    login: bool,
    command: Option<OsString>,
    shell: Option<String>,
    rest: Vec<OsString>,
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
    let user = match user(asked.user.as_deref().unwrap_or("root")) {
        Ok(user) => user,
        Err(words) => {
            eprintln!("su: {words}");
            return ExitCode::from(1);
        }
    };
    let shell = asked.shell.clone().unwrap_or_else(|| user.shell.clone());
    let error = command(&asked, &user, &shell).exec();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EPERM) => eprintln!(
            "su: user {} has no id of its own in this world: an ordinary user without newuidmap opened it, so there is root alone",
            asked.user.unwrap_or_default()
        ),
        _ => eprintln!("su: failed to execute {shell}: {error}"),
    }
    ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

fn command(asked: &Asked, user: &User, shell: &str) -> Command {
    let mut command = Command::new(shell);
    if asked.login {
        command.arg("-l").current_dir(if std::path::Path::new(&user.home).is_dir() { &user.home } else { "/" });
    }
    if let Some(words) = &asked.command {
        command.arg("-c").arg(words);
    }
    command.args(&asked.rest).env("HOME", &user.home).env("SHELL", shell);
    become_user(&mut command, user);
    command
}

fn parse(args: &[OsString]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let mut value = || words.next().cloned().ok_or(format!("su: {text} wants a value\n{USAGE}"));
        match text.as_ref() {
            "-" | "-l" | "--login" => asked.login = true,
            "-c" | "--command" => asked.command = Some(value()?),
            "-s" | "--shell" => asked.shell = Some(value()?.to_string_lossy().into_owned()),
            "-m" | "-p" | "--preserve-environment" => {}
            "--help" | "-h" => return Err(USAGE.into()),
            option if option.starts_with('-') => return Err(format!("su: invalid option {option}\n{USAGE}")),
            name if asked.user.is_none() => asked.user = Some(name.into()),
            _ => asked.rest.push(word.clone()),
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Asked, String> {
        parse(&line.iter().map(OsString::from).collect::<Vec<_>>())
    }

    /// Every order in which su's words come.
    #[test]
    fn the_usual_lines() {
        let asked = parsed(&["-", "-c", "mount -a"]).unwrap();
        assert_eq!((asked.login, asked.command, asked.user), (true, Some("mount -a".into()), None));
        let asked = parsed(&["web", "-c", "id"]).unwrap();
        assert_eq!((asked.user.as_deref(), asked.command), (Some("web"), Some("id".into())));
        assert_eq!(parsed(&[]).unwrap(), Asked::default());
        assert!(parsed(&["-x"]).unwrap_err().contains("invalid option -x"));
    }

    /// Users come from /etc/passwd; root is there even without it.
    #[test]
    fn users() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:34::/srv:\n";
        let web = User { uid: 33, gid: 34, home: "/srv".into(), shell: "/bin/sh".into() };
        assert_eq!(
            (find(passwd, "web"), find(passwd, "#33"), find(passwd, "no")),
            (Some(web.clone()), Some(web), None)
        );
        assert_eq!(find("", "root").unwrap().uid, 0);
    }
}
