//! `umount.aufs TARGET [-flnrv]`: what umount(8) calls for a union. Pseudo-links are made real first, and it is waited for the
//! process that served the mount, so that nothing of it is open in the branches any more.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::union::mount::{attach, control};

/// The verb. Exit codes are umount(8)'s: 0 done, 1 usage, 32 failed.
pub fn main(args: &[OsString]) -> ExitCode {
    let mut flags = 0;
    let mut target = None;
    let mut words = args.iter();
    while let Some(arg) = words.next() {
        let word = arg.to_string_lossy();
        match word.as_ref() {
            "-t" | "-N" => drop(words.next()),
            w if w.starts_with('-') => {
                flags |= if w.contains('l') { libc::MNT_DETACH } else { 0 };
                flags |= if w.contains('f') { libc::MNT_FORCE } else { 0 };
            }
            _ => target = Some(PathBuf::from(arg)),
        }
    }
    let Some(target) = target else {
        eprintln!("umount.aufs: needs a mount point: umount.aufs TARGET [-flnrv]");
        return ExitCode::from(1);
    };
    let _ = control::ask(&target, &control::Asked::Flush);
    let server = control::server(&target);
    match attach::unmount(&target, flags) {
        0 => {
            if let (Some(server), 0) = (server, flags) {
                server.wait_for_end();
            }
            ExitCode::SUCCESS
        }
        errno => {
            let why = std::io::Error::from_raw_os_error(errno);
            let hint = if errno == libc::EBUSY { " (somebody works in it; `umount -l` lets them finish)" } else { "" };
            eprintln!("umount.aufs: {}: {why}{hint}", target.display());
            ExitCode::from(32)
        }
    }
}
