//! The client port: Redis's protocol (RESP2), so that `redis-cli` and `redis-benchmark` are the clients.
//!
//! A connection is a client session (§8). Requests may be pipelined: what has arrived is cut into runs of writes, of
//! reads, and of what the node answers on its own; a run is asked together, and the next one begins when it is answered. So a
//! client's commands take effect in its order, and pipelining still pays.

use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::driver::{Input, Outcome};
use crate::raft::kv::{Command, Reply};
use crate::raft::message::{ClientId, RequestId};
use crate::raft::replica::Asked;

/// A command may be so long; less than a frame between nodes.
const MAX_COMMAND: usize = 8 << 20;
/// So many requests of a pipeline, of about so many bytes, are asked together at most.
const RUN: (usize, usize) = (512, 2 << 20);

/// Takes clients' connections; their sessions are numbered from `session` on.
pub async fn accept(listener: TcpListener, session: u64, inbox: mpsc::Sender<Input>) {
    for session in session + 1.. {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        let _ = stream.set_nodelay(true);
        let session = Session { client: ClientId(session), serial: 0, inbox: inbox.clone() };
        tokio::spawn(session.serve(stream));
    }
}

/// A client that closed its side may still read what is answered soon.
const GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// Returns a moment after the client closed the connection: nobody waits for its answers then, and what it asked for is
/// not to be sent again to the next leader. If it has sent more meanwhile, that is seen later.
async fn gone(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(GRACE).await;
}

/// One word of what a client sent.
enum Step {
    /// For the state machine.
    Ask(Command),
    /// Answered here.
    Answer(BytesFrame),
    /// INFO, which the driver answers.
    Info,
    /// Goodbye.
    Quit,
}

struct Session {
    client: ClientId,
    serial: u64,
    inbox: mpsc::Sender<Input>,
}

impl Session {
    async fn serve(mut self, mut stream: TcpStream) {
        let (mut input, mut output) = (BytesMut::with_capacity(4096), BytesMut::new());
        while let Ok(1..) = stream.read_buf(&mut input).await {
            let going_on = tokio::select! {
                going_on = self.answer_all(&mut input, &mut output) => going_on,
                () = gone(&stream) => break,
            };
            if stream.write_all(&output).await.is_err() || !going_on {
                break;
            }
            output.clear();
            input.reserve(4096);
        }
        let _ = self.inbox.send(Input::Gone(self.client)).await;
    }

    /// Answers what has arrived whole. Says whether the connection goes on.
    async fn answer_all(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> bool {
        let (mut run, mut bytes) = (Vec::new(), 0);
        loop {
            let step = match next(input) {
                Ok(Some(words)) if words.is_empty() => continue,
                Ok(Some(words)) => understand(&words),
                Ok(None) => return self.ask(&mut run, output).await,
                Err(error) => {
                    self.ask(&mut run, output).await;
                    put(output, &error_frame(&error));
                    return false;
                }
            };
            match step {
                Step::Ask(command) => {
                    if !belongs(&run, bytes, &command) && !self.ask(&mut run, output).await {
                        return false;
                    }
                    bytes = command.size() + if run.is_empty() { 0 } else { bytes };
                    run.push(command);
                }
                other => {
                    if !self.ask(&mut run, output).await || !self.other(other, output).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn other(&self, step: Step, output: &mut BytesMut) -> bool {
        match step {
            Step::Answer(frame) => put(output, &frame),
            Step::Info => {
                let (answer, wait) = oneshot::channel();
                if self.inbox.send(Input::Info(answer)).await.is_err() {
                    return false;
                }
                let Ok(text) = wait.await else { return false };
                put(output, &bulk(text));
            }
            Step::Quit => {
                put(output, &status("OK"));
                return false;
            }
            Step::Ask(_) => unreachable!("asked in runs"),
        }
        true
    }

    /// Asks a run and waits for all of its answers. Says whether the connection goes on.
    async fn ask(&mut self, run: &mut Vec<Command>, output: &mut BytesMut) -> bool {
        if run.is_empty() {
            return true;
        }
        let (client, settled) = (self.client, self.serial + 1);
        let name = |(command, serial)| Asked { id: RequestId { client, serial }, settled, command };
        let asked: Vec<Asked> = run.drain(..).zip(settled..).map(name).collect();
        self.serial += asked.len() as u64;
        let (answer, wait) = oneshot::channel();
        if self.inbox.send(Input::Asked(asked, answer)).await.is_err() {
            return false;
        }
        let Ok(outcomes) = wait.await else { return false };
        outcomes.iter().for_each(|outcome| put(output, &outcome_frame(outcome)));
        true
    }
}

/// Whether a command may be asked together with the run: all write, or all read.
fn belongs(run: &[Command], bytes: usize, command: &Command) -> bool {
    run.last().is_none_or(|last| matches!(last, Command::Write(_)) == matches!(command, Command::Write(_)))
        && run.len() < RUN.0
        && bytes + command.size() <= RUN.1
}

/// The words of the next whole command; of a line, if it is typed by hand (an "inline command").
fn next(input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, String> {
    match input.first() {
        None => return Ok(None),
        Some(b'*') => {}
        Some(_) => return next_line(input),
    }
    match decode_bytes_mut(input) {
        Ok(Some((BytesFrame::Array(frames), _, _))) => frames.into_iter().map(word).collect::<Result<_, _>>().map(Some),
        Ok(Some(_)) => Err("ERR Protocol error: expected an array of bulk strings".into()),
        Ok(None) if input.len() > MAX_COMMAND => {
            Err(format!("ERR Protocol error: a command of more than {MAX_COMMAND} bytes"))
        }
        Ok(None) => Ok(None),
        Err(error) => Err(format!("ERR Protocol error: {}", error.details())),
    }
}

fn word(frame: BytesFrame) -> Result<Bytes, String> {
    match frame {
        BytesFrame::BulkString(bytes) | BytesFrame::SimpleString(bytes) => Ok(bytes),
        BytesFrame::Integer(number) => Ok(number.to_string().into()),
        _ => Err("ERR Protocol error: expected an array of bulk strings".into()),
    }
}

fn next_line(input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, String> {
    let Some(end) = input.iter().position(|&b| b == b'\n') else {
        let too_long = input.len() > 1 << 16;
        return if too_long { Err("ERR Protocol error: too big inline request".into()) } else { Ok(None) };
    };
    let line = input.split_to(end);
    input.advance(1);
    Ok(Some(
        line[..].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(Bytes::copy_from_slice).collect(),
    ))
}

/// What a command is for.
fn understand(words: &[Bytes]) -> Step {
    if words.iter().map(Bytes::len).sum::<usize>() > MAX_COMMAND {
        return Step::Answer(error_frame(&format!("ERR a command may have {MAX_COMMAND} bytes at most")));
    }
    match Command::parse(words) {
        Some(Ok(command)) => Step::Ask(command),
        Some(Err(error)) => Step::Answer(error_frame(&error)),
        None => answer_here(words),
    }
}

/// Commands about the connection and the server, as far as `redis-cli` and `redis-benchmark` use them.
fn answer_here(words: &[Bytes]) -> Step {
    let lower = |word: &Bytes| String::from_utf8_lossy(word).to_lowercase();
    let args: Vec<String> = words[1..].iter().map(lower).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Step::Answer(match (&lower(&words[0])[..], &args[..]) {
        ("quit", _) => return Step::Quit,
        ("info", _) => return Step::Info,
        ("ping", []) => status("PONG"),
        ("ping" | "echo", [_]) => BytesFrame::BulkString(words[1].clone()),
        ("select", ["0"]) => status("OK"),
        ("select", [_]) => error_frame("ERR DB index is out of range: there is one database, 0"),
        ("hello", [] | ["2"]) => hello(),
        ("hello", ["3"]) => error_frame("NOPROTO unsupported protocol version: this is RESP2"),
        ("client", ["setname" | "setinfo" | "no-evict" | "no-touch", ..]) => status("OK"),
        ("client", ["getname"]) => BytesFrame::Null,
        ("client", ["id"]) => BytesFrame::Integer(0),
        ("config", ["get", ..]) | ("command", _) => BytesFrame::Array(Vec::new()),
        ("ping" | "echo" | "select" | "client" | "config", _) => {
            error_frame(&format!("ERR wrong number of arguments, or no such subcommand, for '{}'", lower(&words[0])))
        }
        _ => unknown(words),
    })
}

fn unknown(words: &[Bytes]) -> BytesFrame {
    let name = String::from_utf8_lossy(&words[0]).into_owned();
    let args: String = words[1..].iter().take(4).map(|w| format!(" '{}'", String::from_utf8_lossy(w))).collect();
    let text: String =
        format!("ERR unknown command '{name}', with args beginning with:{args}").chars().take(200).collect();
    error_frame(&text.replace(['\r', '\n'], " "))
}

fn hello() -> BytesFrame {
    let pairs = [
        ("server", bulk("terrarium")),
        ("version", bulk(env!("CARGO_PKG_VERSION"))),
        ("proto", BytesFrame::Integer(2)),
    ];
    BytesFrame::Array(pairs.into_iter().flat_map(|(key, value)| [bulk(key), value]).collect())
}

fn outcome_frame(outcome: &Outcome) -> BytesFrame {
    match outcome {
        Ok(reply) => reply_frame(reply),
        Err(unanswered) => error_frame(&unanswered.to_string()),
    }
}

fn reply_frame(reply: &Reply) -> BytesFrame {
    match reply {
        Reply::Status(text) => BytesFrame::SimpleString(text.clone().into()),
        Reply::Integer(number) => BytesFrame::Integer(*number),
        Reply::Bulk(Some(bytes)) => BytesFrame::BulkString(bytes.clone()),
        Reply::Bulk(None) => BytesFrame::Null,
        Reply::Array(replies) => BytesFrame::Array(replies.iter().map(reply_frame).collect()),
        Reply::Error(text) => error_frame(text),
    }
}

fn status(text: &'static str) -> BytesFrame {
    BytesFrame::SimpleString(Bytes::from_static(text.as_bytes()))
}

fn bulk(text: impl Into<String>) -> BytesFrame {
    BytesFrame::BulkString(text.into().into())
}

fn error_frame(text: &str) -> BytesFrame {
    BytesFrame::Error(text.to_owned().into())
}

fn put(output: &mut BytesMut, frame: &BytesFrame) {
    if extend_encode(output, frame, false).is_err() {
        output.extend_from_slice(b"-ERR the reply cannot be encoded\r\n");
    }
}
