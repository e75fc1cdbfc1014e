//! A client of a Raft node's client port (RESP2): one request, one reply, as JSON.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use redis_protocol::codec::Resp2;
use redis_protocol::resp2::types::BytesFrame;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

/// How long a node may take. Longer than it waits for a leader itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends one request to a node's client port and gives its reply.
///
/// # Errors
/// The node's own error, or why there was no reply.
pub async fn request(address: SocketAddr, words: &[String]) -> Result<Value, String> {
    match tokio::time::timeout(PATIENCE, exchange(address, words)).await {
        Ok(reply) => reply,
        Err(_) => Err(format!("{address} gave no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn exchange(address: SocketAddr, words: &[String]) -> Result<Value, String> {
    let stream = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
    let mut frames = Framed::new(stream, Resp2::default());
    let words = words.iter().map(|word| BytesFrame::BulkString(word.clone().into_bytes().into())).collect();
    frames.send(BytesFrame::Array(words)).await.map_err(|e| format!("{address}: {e}"))?;
    match frames.next().await {
        Some(Ok(reply)) => in_json(reply),
        Some(Err(e)) => Err(format!("{address}: {e}")),
        None => Err(format!("{address} closed the connection without an answer")),
    }
}

fn in_json(frame: BytesFrame) -> Result<Value, String> {
    Ok(match frame {
        BytesFrame::SimpleString(text) | BytesFrame::BulkString(text) => json!(String::from_utf8_lossy(&text)),
        BytesFrame::Integer(number) => json!(number),
        BytesFrame::Null => Value::Null,
        BytesFrame::Array(items) => Value::Array(items.into_iter().map(in_json).collect::<Result<_, _>>()?),
        BytesFrame::Error(reason) => return Err(reason.to_string()),
    })
}
