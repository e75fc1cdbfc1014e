//! `mount.aufs SOURCE TARGET [-sfnv] [-o OPTIONS]`: what mount(8) calls for `mount -t aufs`.
//!
//! With `remount` among the options it goes to the running union instead. Exit codes are mount(8)'s: 0 mounted, 1 usage or
//! refused options, 32 the mount failed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::union::mount::{attach, control, session};
use crate::union::options;
use crate::union::reshape::Refused;

const HELP: &str = "\
Examples:
  mount -t aufs -o br=/rw=rw:/ro=ro none /mnt
  mount -t aufs -o dirs=./Branch-0:./Branch-1:./Branch-2 none ./MountPoint
  mount -o remount,append:/more=ro /mnt
  mount -o remount,del:/more /mnt

Usage: mount.aufs SOURCE TARGET [-sfnv] [-o OPTIONS]
  -s ignore unknown options   -f check only   -n write no mtab   -v say more

Options:
  br=DIR[=PERM][:DIR…]  branches, topmost first (also br:, dirs=)
  add:N:DIR  ins:N:DIR  append:DIR  prepend:DIR  del:DIR  mod:DIR=PERM
  PERM: rw ro rr  +wh +nolwh +coo_reg +coo_all +moo +icex…
  create=tdp|tdmfs:LOW[:SEC]|rr|mfs[:SEC]|mfsrr:LOW[:SEC]|pmfs[:SEC]|pmfsrr:LOW[:SEC]
  cpup=tdp|bup|bu   udba=notify|reval|none   diropq=w|a   sum nosum   plink noplink   shwh
  passthrough  content of files on writable branches goes past the daemon: streams at the branch's speed,
               every open is a request; root only, Linux 6.9
  remount ro rw nosuid nodev noexec noatime";

/// The arguments of a mount helper.
#[derive(Default)]
struct Args {
    words: Vec<String>,
    options: String,
    sloppy: bool,
    fake: bool,
    verbose: bool,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args = match read(args) {
        Ok(args) => args,
        Err(why) => return fail(1, &format!("{why}\n\n{HELP}")),
    };
    if args.words.first().is_some_and(|w| w == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let [source, target] = &args.words[..] else {
        return fail(1, &format!("needs a source and a mount point\n\n{HELP}"));
    };
    let parsed = match options::parse(&args.options, args.sloppy) {
        Ok(parsed) => parsed,
        Err(why) => return fail(1, &why.to_string()),
    };
    parsed.warnings.iter().for_each(|w| eprintln!("mount.aufs: warning: {w}"));
    if args.fake {
        return ExitCode::SUCCESS;
    }
    let target = PathBuf::from(target);
    let done = if parsed.has("remount") {
        remount(&args, &parsed, &target)
    } else {
        session::mount(session::Request { source: source.clone(), target: target.clone(), options: parsed })
    };
    match done {
        Ok(()) => {
            if args.verbose {
                println!("mount.aufs: {} answers", target.display());
            }
            ExitCode::SUCCESS
        }
        Err(refused) => fail(32, &format!("{}: {} [{}]", target.display(), refused.why, refused.errno.name())),
    }
}

fn remount(args: &Args, parsed: &options::Options, target: &Path) -> Result<(), Refused> {
    let cwd = std::env::current_dir().map_err(|e| Refused::new((&e).into(), format!("the current directory: {e}")))?;
    let asked = control::Asked::Remount { options: args.options.clone(), cwd: cwd.to_string_lossy().into_owned() };
    attach::remount_kernel(target, parsed)?;
    control::ask(target, &asked).map(drop)
}

/// Reads arguments as mount(8) gives them: words and options in any order, `-o` repeated or joined.
fn read(args: &[OsString]) -> Result<Args, String> {
    let mut read = Args::default();
    let mut args = args.iter().map(|a| a.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => read.words.insert(0, "--help".to_owned()),
            "-o" | "--options" => add_options(&mut read.options, &args.next().ok_or("-o needs a list")?),
            "-t" | "-N" => drop(args.next()),
            flags if flags.starts_with('-') && flags.len() > 1 => {
                let mut rest = flags[1..].chars();
                while let Some(flag) = rest.next() {
                    match flag {
                        's' => read.sloppy = true,
                        'f' => read.fake = true,
                        'v' => read.verbose = true,
                        'n' => {}
                        'r' => add_options(&mut read.options, "ro"),
                        'w' => add_options(&mut read.options, "rw"),
                        'o' => {
                            add_options(&mut read.options, rest.as_str());
                            break;
                        }
                        other => return Err(format!("unknown flag -{other}")),
                    }
                }
            }
            _ => read.words.push(arg),
        }
    }
    Ok(read)
}

fn add_options(all: &mut String, more: &str) {
    if !all.is_empty() {
        all.push(',');
    }
    all.push_str(more);
}

fn fail(code: u8, why: &str) -> ExitCode {
    eprintln!("mount.aufs: {why}");
    ExitCode::from(code)
}
