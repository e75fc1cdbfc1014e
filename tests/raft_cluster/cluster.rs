//! A cluster of real processes on loopback addresses of its own, and a client that speaks RESP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use redis_protocol::bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;
use serde_json::Value;

/// Nothing here takes longer on a machine that works.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub names: Vec<String>,
    /// Further arguments of each node.
    pub arguments: Vec<String>,
    directory: tempfile::TempDir,
    network: String,
    children: Vec<Option<Child>>,
}

impl Cluster {
    /// Starts `size` nodes and waits for a leader.
    pub fn start(size: usize) -> Self {
        let mut cluster = Self::new(size);
        (0..size).for_each(|i| cluster.start_node(i));
        cluster.leader();
        cluster
    }

    /// A cluster of which no node runs yet.
    pub fn new(size: usize) -> Self {
        Self {
            names: (1..=size).map(|i| format!("n{i}")).collect(),
            arguments: Vec::new(),
            directory: tempfile::tempdir().expect("a directory"),
            network: free_network(),
            children: (0..size).map(|_| None).collect(),
        }
    }

    pub fn peer_address(&self, i: usize) -> SocketAddr {
        format!("{}.{}:7400", self.network, i + 1).parse().expect("an address")
    }

    /// Where a keeper may listen for node `i`. Without one there is none.
    pub fn keeper_socket(&self, i: usize) -> PathBuf {
        self.directory.path().join(format!("{}.sock", self.names[i]))
    }

    pub fn client_address(&self, i: usize) -> SocketAddr {
        format!("{}.{}:6379", self.network, i + 1).parse().expect("an address")
    }

    fn data(&self, i: usize) -> PathBuf {
        self.directory.path().join(&self.names[i])
    }

    pub fn start_node(&mut self, i: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_terrarium"));
        command.args(["node", "--name", &self.names[i], "--bind", &format!("{}.{}", self.network, i + 1)]);
        for peer in (0..self.names.len()).filter(|peer| *peer != i) {
            command.args(["--peer", &format!("{}={}.{}:7400", self.names[peer], self.network, peer + 1)]);
        }
        command.arg("--data").arg(self.data(i)).args(["--seed", &i.to_string()]);
        command.args(&self.arguments).env("TERRARIUM_KEEPER", self.keeper_socket(i));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        self.children[i] = Some(command.spawn().expect("a node starts"));
    }

    /// SIGKILL.
    pub fn kill(&mut self, i: usize) {
        if let Some(mut child) = self.children[i].take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// SIGSTOP, SIGCONT.
    pub fn signal(&self, i: usize, signal: nix::sys::signal::Signal) {
        let pid = self.children[i].as_ref().expect("it runs").id();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).expect("a child can be signalled");
    }

    /// A field of a node's INFO; nothing if it does not answer.
    pub fn info(&self, i: usize, field: &str) -> Option<String> {
        let BytesFrame::BulkString(text) = Client::connect(self.client_address(i)).ok()?.call(&["INFO"]).ok()? else {
            return None;
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let prefix = format!("{field}:");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
    }

    /// Waits for a leader of whom a majority knows. Gives its place.
    pub fn leader(&self) -> usize {
        wait_for("a leader", || {
            let known: Vec<String> = (0..self.names.len()).filter_map(|i| self.info(i, "leader")).collect();
            let leads = |i: &usize| known.iter().filter(|name| **name == self.names[*i]).count() * 2 > self.names.len();
            (0..self.names.len()).find(|i| leads(i) && self.info(*i, "role").as_deref() == Some("leader"))
        })
    }

    /// Waits until all nodes have applied all they have, and that is the same.
    pub fn settle(&self) {
        wait_for("equal logs", || {
            let all = 0..self.names.len();
            let indexes: Option<Vec<(String, String)>> =
                all.map(|i| Some((self.info(i, "last_applied")?, self.info(i, "last_index")?))).collect();
            indexes?
                .iter()
                .map(|(applied, last)| (applied == last).then_some(last))
                .collect::<Option<Vec<_>>>()
                .and_then(|lasts| lasts.windows(2).all(|pair| pair[0] == pair[1]).then_some(()))
        });
    }

    /// The log of a node that was killed, from its disk.
    pub fn saved_log(&self, i: usize) -> Value {
        let binary = env!("CARGO_BIN_EXE_terrarium");
        let output =
            Command::new(binary).args(["node", "--show-log", "--data"]).arg(self.data(i)).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.names.len()).for_each(|i| self.kill(i));
    }
}

/// A network of loopback addresses that nobody listens on, and no other test of this process has: `127.x.y`.
fn free_network() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(31);
    let networks = std::iter::repeat_with(|| start.wrapping_add(NEXT.fetch_add(1, Relaxed) * 97)).take(1000);
    let names = networks.map(|n| format!("127.{}.{}", 16 + n % 200, n / 200 % 250));
    let free = |network: &String| (1..=5).all(|i| TcpListener::bind(format!("{network}.{i}:6379")).is_ok());
    let mut free = names.filter(free);
    free.next().expect("a free loopback network")
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited for {what} for {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A client connection.
pub struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream, input: BytesMut::new() })
    }

    /// One command and its reply.
    pub fn call(&mut self, words: &[&str]) -> std::io::Result<BytesFrame> {
        self.send(words)?;
        self.receive()
    }

    pub fn send(&mut self, words: &[&str]) -> std::io::Result<()> {
        let word = |word: &&str| BytesFrame::BulkString(Bytes::copy_from_slice(word.as_bytes()));
        let mut output = BytesMut::new();
        let command = BytesFrame::Array(words.iter().map(word).collect());
        extend_encode(&mut output, &command, false).map_err(std::io::Error::other)?;
        self.stream.write_all(&output)
    }

    pub fn receive(&mut self) -> std::io::Result<BytesFrame> {
        loop {
            if let Some((frame, _, _)) = decode_bytes_mut(&mut self.input).map_err(std::io::Error::other)? {
                return Ok(frame);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => self.input.extend_from_slice(&buffer[..n]),
            }
        }
    }
}

pub fn ok() -> BytesFrame {
    BytesFrame::SimpleString("OK".into())
}

pub fn text(text: &str) -> BytesFrame {
    BytesFrame::BulkString(text.to_owned().into())
}
