//! `terrarium brick`: one brick of a volume, as a process of its own. Managers start it; it also runs by hand.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::volume::brick::role::{self, Options};

#[derive(Parser)]
#[command(name = "terrarium brick", about = "Serve one directory as a brick of a volume")]
struct Arguments {
    /// The brick's name in its volume
    #[arg(long, value_name = "SERVER:/PATH")]
    name: String,
    /// The directory
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// The address to listen at
    #[arg(long)]
    bind: IpAddr,
    /// The port to listen at
    #[arg(long)]
    port: u16,
    /// The volume's definition
    #[arg(long, value_name = "FILE.json")]
    volume: PathBuf,
}

/// The verb. See `terrarium brick --help`.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("terrarium brick");
    let arguments = match Arguments::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    super::statedump::on_signal();
    let Arguments { name, path, bind, port, volume } = arguments;
    match role::run(&Options { name, path, listen: SocketAddr::new(bind, port), volume }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glusterfsd: {error}");
            ExitCode::from(3)
        }
    }
}
