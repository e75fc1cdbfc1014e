//! Our own nodes, through their client port.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Store, Trio};

/// Loopback addresses of the three nodes: `127.42.7.1` to `.3`.
fn address(i: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 42, 7, i as u8 + 1], port))
}

/// Three nodes of this very program.
pub fn start() -> std::io::Result<Trio> {
    let program = std::env::current_exe()?;
    let command = |i: usize, data: &std::path::Path| {
        let mut command = Command::new(&program);
        let name = |i: usize| format!("n{}", i + 1);
        command.args(["node", "--name", &name(i), "--bind", &address(i, 0).ip().to_string()]);
        for peer in (0..3).filter(|peer| *peer != i) {
            command.args(["--peer", &format!("{}={}", name(peer), address(peer, 7400))]);
        }
        command.arg("--data").arg(data.join(name(i))).env("TERRARIUM_KEEPER", "/nonexistent");
        command
    };
    super::start(command, [0, 1, 2].map(|i| address(i, 6379)), leads)
}

fn leads(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"INFO\r\n")?;
    let mut buffer = [0; 1024];
    let n = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).contains("role:leader"))
}

/// A connection to a node.
pub struct Resp {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Resp {
    /// Sends a command; takes a reply that ends with these bytes, or is an error.
    async fn call(&mut self, words: &[&[u8]], is_whole: impl Fn(&[u8]) -> bool) -> std::io::Result<()> {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&command).await?;
        self.buffer.clear();
        while !is_whole(&self.buffer) {
            if self.buffer.starts_with(b"-") || self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::Error::other(String::from_utf8_lossy(&self.buffer).into_owned()));
            }
        }
        Ok(())
    }
}

impl Store for Resp {
    async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    async fn put(&mut self, key: &str, value: &[u8]) -> std::io::Result<()> {
        self.call(&[b"SET", key.as_bytes(), value], |reply| reply == b"+OK\r\n").await
    }

    async fn get(&mut self, key: &str) -> std::io::Result<()> {
        self.call(&[b"GET", key.as_bytes()], |reply| reply.len() == b"$100\r\n".len() + 100 + 2).await
    }
}
