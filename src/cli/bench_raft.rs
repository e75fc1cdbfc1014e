//! `terrarium bench raft`: our nodes beside etcd, in one run on one machine, for only ratios travel.
//!
//! Three nodes each, on loopback, with fsync, values of 100 bytes; closed loops of so many clients, each on a connection of its
//! own to the leader, writing keys of their own, and reading linearizably. The two take turns, and the median of the rounds is
//! shown. Both are driven by the same loop; they differ in the protocol alone: RESP here, gRPC ([`etcd`]) there.

mod etcd;
mod resp;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

#[derive(Parser)]
#[command(
    name = "terrarium bench raft",
    about = "Measure our Raft nodes beside etcd",
    after_help = "Needs `etcd` on PATH for the ratios: apt-get install etcd-server"
)]
struct Arguments {
    /// How many clients, one row each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    clients: Vec<usize>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds, of which the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// What is done in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Writes.
    Put,
    /// Linearizable reads.
    Get,
    /// From `kill -9` of the leader to the next acknowledged write; counted as failovers a second.
    Failover,
}

/// A connection that does one operation after the other.
trait Store: Sized {
    async fn connect(address: SocketAddr) -> std::io::Result<Self>;
    async fn put(&mut self, key: &str, value: &[u8]) -> std::io::Result<()>;
    async fn get(&mut self, key: &str) -> std::io::Result<()>;
}

/// Three processes of one kind, their client addresses, and which of them leads. They end with it.
struct Trio {
    processes: Vec<Child>,
    addresses: [SocketAddr; 3],
    leader: usize,
    /// Goes with it.
    data: tempdir::Scratch,
}

impl Drop for Trio {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// One row: operations a second, of each round.
struct Row {
    work: Work,
    clients: usize,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// The verb. See `terrarium bench raft --help`.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("terrarium bench raft");
    let arguments = match Arguments::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(rows) => {
            show(&rows, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("terrarium bench raft: {error}");
            ExitCode::from(3)
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let etcd = etcd::is_installed();
    if !etcd {
        eprintln!("etcd is not installed: no ratios (apt-get install etcd-server)");
    }
    let works = [Work::Put, Work::Get];
    let row = |work, clients| Row { work, clients, ours: Vec::new(), theirs: Vec::new() };
    let mut rows: Vec<Row> =
        works.iter().flat_map(|&work| arguments.clients.iter().map(move |&clients| row(work, clients))).collect();
    rows.push(row(Work::Failover, 1));
    let time = Duration::from_secs_f64(arguments.seconds);
    for round in 0..arguments.rounds {
        for row in &mut rows {
            eprintln!("round {}: {:?}, {} clients", round + 1, row.work, row.clients);
            row.ours.push(runtime.block_on(measure::<resp::Resp>(resp::start()?, row, time))?);
            if etcd {
                row.theirs.push(runtime.block_on(measure::<etcd::Etcd>(etcd::start()?, row, time))?);
            }
        }
    }
    Ok(rows)
}

/// Kills the leader and writes until one of the others has it. Gives the inverse of the seconds it took.
async fn fail_over<S: Store>(mut trio: Trio) -> std::io::Result<f64> {
    let mut leader = S::connect(trio.addresses[trio.leader]).await?;
    leader.put("key", b"before").await?;
    trio.processes[trio.leader].kill()?;
    let begin = Instant::now();
    let put = async |address| S::connect(address).await?.put("key", b"after").await;
    for i in (0..3).cycle().filter(|i| *i != trio.leader) {
        match tokio::time::timeout(Duration::from_millis(500), put(trio.addresses[i])).await {
            Ok(Ok(())) => break,
            _ if begin.elapsed() > Duration::from_secs(30) => return Err(std::io::Error::other("nobody took over")),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    Ok(1.0 / begin.elapsed().as_secs_f64())
}

/// Operations a second on a fresh trio.
async fn measure<S: Store + 'static>(trio: Trio, row: &Row, time: Duration) -> std::io::Result<f64> {
    if row.work == Work::Failover {
        return fail_over::<S>(trio).await;
    }
    let (work, deadline) = (row.work, Instant::now() + WARM_UP + time);
    let tasks = tokio::task::LocalSet::new();
    let clients: Vec<_> = (0..row.clients)
        .map(|client| {
            tasks.spawn_local(client_loop::<S>(trio.addresses[trio.leader], client, work, deadline, deadline - time))
        })
        .collect();
    tasks.await;
    let mut done = 0;
    for client in clients {
        done += client.await.map_err(std::io::Error::other)??;
    }
    Ok(done as f64 / time.as_secs_f64())
}

/// What comes before this is not counted.
const WARM_UP: Duration = Duration::from_millis(500);

async fn client_loop<S: Store>(
    address: SocketAddr,
    client: usize,
    work: Work,
    deadline: Instant,
    begin: Instant,
) -> std::io::Result<u64> {
    let mut store = S::connect(address).await?;
    let (value, mut counted, mut n) = ([b'v'; 100], 0, 0u64);
    store.put(&key(client, 0), &value).await?;
    while Instant::now() < deadline {
        match work {
            Work::Put => store.put(&key(client, n % 1000), &value).await?,
            Work::Get | Work::Failover => store.get(&key(client, 0)).await?,
        }
        n += 1;
        let now = Instant::now();
        counted += u64::from(now >= begin && now < deadline);
    }
    Ok(counted)
}

fn key(client: usize, n: u64) -> String {
    format!("key-{client:04}-{n:04}")
}

/// Starts three processes and waits until one `leads`.
fn start(
    command: impl Fn(usize, &Path) -> Command,
    addresses: [SocketAddr; 3],
    leads: impl Fn(SocketAddr) -> std::io::Result<bool>,
) -> std::io::Result<Trio> {
    let data = tempdir::Scratch::new()?;
    let mut trio = Trio { processes: Vec::new(), addresses, leader: 0, data };
    for i in 0..3 {
        let mut command = command(i, trio.data.path());
        trio.processes.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    }
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if let Some(leader) = (0..3).find(|i| leads(addresses[*i]).unwrap_or(false)) {
            trio.leader = leader;
            return Ok(trio);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(std::io::Error::other("no leader within 20 s; are the ports in use?"))
}

/// A directory that goes when it is dropped.
mod tempdir {
    use std::path::{Path, PathBuf};

    pub struct Scratch(PathBuf);

    impl Scratch {
        pub fn new() -> std::io::Result<Self> {
            let path = std::env::temp_dir().join(format!(
                "terrarium-bench-{}-{:x}",
                std::process::id(),
                rand::random::<u32>()
            ));
            std::fs::create_dir(&path)?;
            Ok(Self(path))
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn show(rows: &[Row], as_json: bool) {
    if as_json {
        let row = |row: &Row| {
            let (ours, theirs) = (median(&row.ours), median(&row.theirs));
            json!({
                "work": format!("{:?}", row.work).to_lowercase(), "clients": row.clients, "terrarium": ours, "etcd": theirs,
                "ratio": ours.zip(theirs).map(|(ours, theirs)| ours / theirs),
            })
        };
        println!("{}", json!({ "rows": rows.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    println!("{:<9} {:>8} {:>14} {:>14} {:>7}", "", "clients", "terrarium", "etcd", "ratio");
    for row in rows {
        let (ours, theirs) = (median(&row.ours), median(&row.theirs));
        let rate = |value: Option<f64>| match (value, row.work) {
            (None, _) => "–".into(),
            (Some(value), Work::Failover) => format!("{:.2} s", 1.0 / value),
            (Some(value), _) => format!("{value:.0}/s"),
        };
        let ratio = ours.zip(theirs).map_or("–".into(), |(ours, theirs)| format!("{:.2}", ours / theirs));
        let work = format!("{:?}", row.work).to_lowercase();
        println!("{work:<9} {:>8} {:>14} {:>14} {ratio:>7}", row.clients, rate(ours), rate(theirs));
    }
}
