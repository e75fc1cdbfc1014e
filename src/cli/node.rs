//! `terrarium node`: one Raft node, as a process of its own. Also runs by hand, without a world around it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::raft::server::{self, Options, disk::Disk, show};

#[derive(Parser)]
#[command(
    name = "terrarium node",
    about = "Run one Raft node",
    after_help = "Three nodes by hand, each in a terminal of its own:\n  \
        terrarium node --name n1 --bind 127.0.0.1 --peer n2=127.0.0.2:7400 --peer n3=127.0.0.3:7400 --data /tmp/n1\n  \
        terrarium node --name n2 --bind 127.0.0.2 --peer n1=127.0.0.1:7400 --peer n3=127.0.0.3:7400 --data /tmp/n2\n  \
        terrarium node --name n3 --bind 127.0.0.3 --peer n1=127.0.0.1:7400 --peer n2=127.0.0.2:7400 --data /tmp/n3\n\
        and then: redis-cli -h 127.0.0.1 SET x 5"
)]
struct Arguments {
    /// The node's name
    #[arg(long, required_unless_present = "show_log")]
    name: Option<String>,
    /// The address of its two ports
    #[arg(long, required_unless_present = "show_log")]
    bind: Option<IpAddr>,
    /// Another node of the cluster; once for each
    #[arg(long = "peer", value_name = "NAME=ADDRESS:PORT", value_parser = peer)]
    peers: Vec<(String, SocketAddr)>,
    /// The directory of its stable storage
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where clients connect (Redis protocol)
    #[arg(long, value_name = "PORT", default_value_t = 6379)]
    client_port: u16,
    /// Where the other nodes connect
    #[arg(long, value_name = "PORT", default_value_t = 7400)]
    peer_port: u16,
    /// Seed of its election timeouts [default: from chance]
    #[arg(long)]
    seed: Option<u64>,
    /// Speed of its clock: 1 is the paper's time, 0.1 ten times slower
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Begin with a clock that stands
    #[arg(long)]
    frozen: bool,
    /// Print the stable storage of a node that does not run, as JSON, and end
    #[arg(long)]
    show_log: bool,
}

fn peer(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS:PORT, such as n2=127.0.0.2:7400")?;
    let address = address.parse().map_err(|_| format!("`{address}` is not ADDRESS:PORT, such as 127.0.0.2:7400"))?;
    Ok((name.into(), address))
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && speed <= 1.0 => Ok(speed),
        _ => Err("expected a number above 0 and up to 1".into()),
    }
}

/// The verb. See `terrarium node --help`.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("terrarium node");
    let arguments = match Arguments::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let outcome = if arguments.show_log { show_log(&arguments) } else { run(arguments) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("terrarium node: {error}");
            ExitCode::from(match error {
                server::Error::Listen { .. } => 3,
                _ => 5,
            })
        }
    }
}

fn show_log(arguments: &Arguments) -> Result<(), server::Error> {
    let saved = Disk::read(&arguments.data)?;
    println!("{}", show::saved_log(&saved));
    Ok(())
}

fn run(arguments: Arguments) -> Result<(), server::Error> {
    let Arguments { name, bind, peers, data, client_port, peer_port, seed, speed, frozen, .. } = arguments;
    let (Some(name), Some(bind)) = (name, bind) else { unreachable!("clap asks for both") };
    let peers: BTreeMap<String, SocketAddr> = peers.into_iter().filter(|(peer, _)| *peer != name).collect();
    let seed = seed.unwrap_or_else(rand::random);
    server::run(Options { name, bind, client_port, peer_port, peers, data, seed, speed, frozen })
}
