//! Verbs that the program calls on itself: the processes of a world. `ps` shows them by these names.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::fail;
use crate::sandbox::{ids, init, launch, server};

/// `world`: the launcher.
pub fn world(args: &[OsString]) -> ExitCode {
    ExitCode::from(launch::main(args))
}

/// `init`: pid 1 of a world.
pub fn init(args: &[OsString]) -> ExitCode {
    ExitCode::from(init::main(args))
}

/// `keeper`: the world's owner.
pub fn keeper(args: &[OsString]) -> ExitCode {
    ExitCode::from(crate::keeper::main(args))
}

/// `server NAME`: holds the namespaces of a storage server.
pub fn server(args: &[OsString]) -> ExitCode {
    let [name] = args else { return ExitCode::from(2) };
    match server::become_server(&name.to_string_lossy()) {
        Ok(()) => {
            println!("{} is up", name.display());
            loop {
                nix::unistd::pause();
            }
        }
        Err(error) => fail("server", &error, 3),
    }
}

/// `remove-world DIR`: removes a world's folder as the owner of its files.
pub fn remove_world(args: &[OsString]) -> ExitCode {
    let [dir] = args else { return ExitCode::from(2) };
    ids::remove_world(Path::new(dir)).map_or_else(|error| fail("remove-world", &error, 5), |()| ExitCode::SUCCESS)
}
