//! etcd, through gRPC: as much of HTTP/2 as one call at a time on a connection needs.
//!
//! A call is a HEADERS and a DATA frame; the answer is over with the frame that ends the stream. Our headers are literals
//! (RFC 7541, §6.2.2), so nothing has to be remembered; etcd's are not read but for their end: an answer without a message is an
//! error.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Store, Trio};

/// Whether there is an `etcd` to run.
pub fn is_installed() -> bool {
    Command::new("etcd")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn address(i: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 42, 8, i as u8 + 1], port))
}

/// Three etcds with the defaults of etcd: fsync on, heartbeat 100 ms, election 1,000 ms.
pub fn start() -> std::io::Result<Trio> {
    let url = |i, port| format!("http://{}", address(i, port));
    let cluster: Vec<String> = (0..3).map(|i| format!("e{i}={}", url(i, 2380))).collect();
    let command = |i: usize, data: &std::path::Path| {
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("e{i}"), "--initial-cluster", &cluster.join(",")]);
        command.args(["--initial-cluster-state", "new", "--initial-advertise-peer-urls", &url(i, 2380)]);
        command.args(["--listen-peer-urls", &url(i, 2380), "--listen-client-urls", &url(i, 2379)]);
        command.args(["--advertise-client-urls", &url(i, 2379), "--data-dir"]).arg(data.join(format!("e{i}")));
        command
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    super::start(command, [0, 1, 2].map(|i| address(i, 2379)), |address| runtime.block_on(leads(address)))
}

/// `Maintenance.Status`: its fields 1 (header, with member_id as 2) and 4 (leader) agree on the leader.
async fn leads(address: SocketAddr) -> std::io::Result<bool> {
    let mut etcd = Etcd::connect(address).await?;
    let status = etcd.call("/etcdserverpb.Maintenance/Status", &[]).await?;
    let header = fields(&status).find(|(number, _)| *number == 1).map(|(_, value)| value);
    let Some(Value::Bytes(header)) = header else { return Ok(false) };
    let number = |message: &[u8], wanted| {
        fields(message).find_map(|(number, value)| match value {
            Value::Number(value) if number == wanted => Some(value),
            _ => None,
        })
    };
    let member = number(&header, 2);
    Ok(member.is_some() && member == number(&status, 4))
}

/// A field of a protocol buffer.
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message: numbers and bytes, which are all that a status has. Ends at anything else.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, Value)> {
    std::iter::from_fn(move || {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(value.to_vec())
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Frame types (RFC 9113, §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// Flags: of SETTINGS and PING, of HEADERS, of DATA and HEADERS.
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// A connection to an etcd.
pub struct Etcd {
    stream: TcpStream,
    next: u32,
    input: Vec<u8>,
    authority: String,
}

impl Etcd {
    /// One unary call. Gives the answer's message.
    async fn call(&mut self, path: &str, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let id = self.next;
        self.next += 2;
        let mut data = vec![0];
        data.extend_from_slice(&(message.len() as u32).to_be_bytes());
        data.extend_from_slice(message);
        let mut output = frame(HEADERS, END_HEADERS, id, &self.headers(path));
        output.extend(frame(DATA, END_STREAM, id, &data));
        self.stream.write_all(&output).await?;
        let mut answer = Vec::new();
        loop {
            let (kind, flags, stream, payload) = self.read_frame().await?;
            match kind {
                DATA if stream == id => answer.extend(payload),
                SETTINGS if flags & ACK == 0 => self.stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
                PING if flags & ACK == 0 => self.stream.write_all(&frame(PING, ACK, 0, &payload)).await?,
                RESET | GOAWAY => return Err(std::io::Error::other("etcd ended the call")),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && stream == id && flags & END_STREAM != 0 {
                break;
            }
        }
        if answer.len() < 5 {
            return Err(std::io::Error::other("etcd answered with an error"));
        }
        let taken = frame(WINDOW_UPDATE, 0, 0, &(answer.len() as u32).to_be_bytes());
        self.stream.write_all(&taken).await?;
        Ok(answer.split_off(5))
    }

    fn headers(&self, path: &str) -> Vec<u8> {
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", &self.authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let mut block = Vec::with_capacity(160);
        for (name, value) in headers {
            block.extend([0, name.len() as u8]);
            block.extend_from_slice(name.as_bytes());
            block.push(value.len() as u8);
            block.extend_from_slice(value.as_bytes());
        }
        block
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some(head) = self.input.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let (kind, flags) = (head[3], head[4]);
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7FFF_FFFF;
                if self.input.len() >= 9 + length {
                    let payload = self.input[9..9 + length].to_vec();
                    self.input.drain(..9 + length);
                    return Ok((kind, flags, stream, payload));
                }
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field of bytes (protocol buffers, wire type 2), shorter than 128.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, value.len() as u8];
    field.extend_from_slice(value);
    field
}

impl Store for Etcd {
    async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        stream.write_all(&hello).await?;
        Ok(Self { stream, next: 1, input: Vec::new(), authority: address.to_string() })
    }

    async fn put(&mut self, key: &str, value: &[u8]) -> std::io::Result<()> {
        let request = [field(1, key.as_bytes()), field(2, value)].concat();
        self.call("/etcdserverpb.KV/Put", &request).await.map(drop)
    }

    /// `Range` of one key; linearizable, for `serializable` is not set.
    async fn get(&mut self, key: &str) -> std::io::Result<()> {
        self.call("/etcdserverpb.KV/Range", &field(1, key.as_bytes())).await.map(drop)
    }
}
