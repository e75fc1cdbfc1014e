//! `terrarium brick`, or `glusterfsd`: one brick of a volume, as a process of its own. Managers start it; it also runs by hand.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::volume::brick::role::{self, Options};
use crate::volume::hosts::resolve;

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
    serve::<Arguments>("terrarium brick", args, |arguments| {
        let Arguments { name, path, bind, port, volume } = arguments;
        Ok(Options { name, path, listen: SocketAddr::new(bind, port), volume, log: None })
    })
}

/// The same with the arguments of GlusterFS's brick server, as managers give them.
#[derive(Parser)]
#[command(name = "glusterfsd", about = "Serve one directory as a brick of a volume")]
struct Daemon {
    /// The server that the brick is on
    #[arg(short = 's', long = "volfile-server", value_name = "SERVER")]
    server: String,
    /// Which volume and brick: VOLUME.SERVER.PATH-WITH-DASHES
    #[arg(long, value_name = "ID")]
    volfile_id: String,
    /// Where its process id is written; the volume's definition is beside it
    #[arg(short = 'p', long, value_name = "FILE")]
    pid_file: PathBuf,
    /// The directory
    #[arg(long, value_name = "DIR")]
    brick_name: PathBuf,
    /// Its log
    #[arg(short = 'l', long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// `brick`
    #[arg(long, default_value = "brick")]
    process_name: String,
    /// The address to listen at [default: the server's]
    #[arg(long)]
    bind: Option<IpAddr>,
    /// The port to listen at
    #[arg(long)]
    brick_port: u16,
}

/// The tool `glusterfsd`; what is no brick is a client, as with the real one.
pub fn daemon(args: &[OsString]) -> ExitCode {
    match args.first().and_then(|word| word.to_str()) {
        Some("--print-libexecdir") => println!("/usr/lib/x86_64-linux-gnu/glusterfs"),
        Some("--print-logdir") => println!("/var/log/glusterfs"),
        Some("--print-statedumpdir") => println!("/var/run/gluster"),
        Some("--version" | "-V") => println!("glusterfs 10.3"),
        _ if args.iter().any(|word| word == "--brick-name") => return serve::<Daemon>("glusterfsd", args, options),
        _ => return super::glusterfs::main(args),
    }
    ExitCode::SUCCESS
}

fn options(daemon: Daemon) -> std::io::Result<Options> {
    let volume = daemon.volfile_id.split('.').next().unwrap_or_default();
    let definition = daemon.pid_file.with_file_name(format!("{volume}.json"));
    let address = daemon.bind.map_or_else(|| resolve(&daemon.server), Ok)?;
    Ok(Options {
        name: format!("{}:{}", daemon.server, daemon.brick_name.display()),
        path: daemon.brick_name,
        listen: SocketAddr::new(address, daemon.brick_port),
        volume: definition,
        log: daemon.log_file,
    })
}

fn serve<T: Parser>(name: &str, args: &[OsString], options: impl Fn(T) -> std::io::Result<Options>) -> ExitCode {
    let arguments = match T::try_parse_from(std::iter::once(&OsString::from(name)).chain(args)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    super::statedump::on_signal();
    match options(arguments).and_then(|options| role::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glusterfsd: {error}");
            ExitCode::from(3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A brick as its manager starts it: the volume's name and the definition's place follow from what GlusterFS's bricks are told.
    #[test]
    fn a_brick_is_told_as_gluster_tells_it() {
        let line = "glusterfsd -s 127.0.0.1 --volfile-id gv0.server1.data-b -p /run/vols/gv0/server1-data-b.pid \
                    --brick-name /data/b -l /log/data-b.log --process-name brick --brick-port 49152";
        let read =
            options(Daemon::try_parse_from(line.split_whitespace()).expect("it is understood")).expect("an address");
        assert_eq!((read.name.as_str(), read.listen.port()), ("127.0.0.1:/data/b", 49152));
        assert_eq!(read.volume, PathBuf::from("/run/vols/gv0/gv0.json"));
    }
}
