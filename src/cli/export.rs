//! `terrarium export --real`: the homework's parts (c) and (d) as a commented script for a real machine.
//!
//! What a student did in a world is done again on Debian or Ubuntu with root, with the real glusterfs-server and lxc, and with kernel overlayfs
//! where there is no aufs. The scripts are `assets/export/real.LANGUAGE.sh`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The scripts by language.
const SCRIPTS: &[(&str, &str)] = &[
    ("zh-CN", include_str!("../../assets/export/real.zh-CN.sh")),
    ("en", include_str!("../../assets/export/real.en.sh")),
];

/// Write the homework as a script for a real machine.
#[derive(Debug, Parser)]
#[command(
    name = "terrarium export",
    before_help = "Examples:\n  terrarium export --real            to standard output\n  terrarium export --real homework.sh --lang en"
)]
struct Args {
    /// For a real Debian or Ubuntu machine with root.
    #[arg(long, required = true)]
    real: bool,
    /// The language of its comments; by default the terminal's.
    #[arg(long, value_parser = ["zh-CN", "en"])]
    lang: Option<String>,
    /// Where to write it; standard output if nothing is said.
    file: Option<PathBuf>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args: Args = match super::parse("terrarium export", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let language = args
        .lang
        .unwrap_or_else(|| language(&["LC_ALL", "LC_MESSAGES", "LANG"].map(|v| std::env::var(v).unwrap_or_default())));
    let script = SCRIPTS.iter().find(|(name, _)| *name == language).map_or("", |(_, script)| script);
    let Some(file) = args.file else {
        print!("{script}");
        return ExitCode::SUCCESS;
    };
    let written = fs::write(&file, script).and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("terrarium export: cannot write {}: {e}", file.display());
            ExitCode::from(5)
        }
    }
}

/// The language that the first variable with a value names: Chinese, or else English.
fn language(variables: &[String]) -> String {
    let set = variables.iter().find(|v| !v.is_empty());
    if set.is_some_and(|v| v.starts_with("zh")) { "zh-CN".into() } else { "en".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two scripts are one program: they differ in words alone, so that what was tried with one holds for the other.
    #[test]
    fn both_languages_do_the_same() {
        let bare = |script: &str| -> Vec<String> {
            let code = script
                .lines()
                .map(|l| l.split(" # ").next().unwrap_or_default().split("    #").next().unwrap_or_default());
            let words = regex::Regex::new(r#"(say|fail) "[^"]*""#).unwrap();
            code.filter(|l| !l.starts_with('#') && !l.starts_with("fail()"))
                .map(|l| words.replace_all(l.trim_end(), "$1").into_owned())
                .collect()
        };
        assert_eq!(bare(SCRIPTS[0].1), bare(SCRIPTS[1].1));
    }

    /// The shell takes them as they are.
    #[test]
    fn the_shell_reads_them() {
        for (language, script) in SCRIPTS {
            let mut shell =
                std::process::Command::new("bash").arg("-n").stdin(std::process::Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut shell.stdin.take().unwrap(), script.as_bytes()).unwrap();
            assert!(shell.wait().unwrap().success(), "{language}");
        }
        assert_eq!((language(&["".into(), "zh_CN.UTF-8".into()]), language(&[])), ("zh-CN".into(), "en".into()));
    }
}
