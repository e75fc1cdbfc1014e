//! How messages between clients and bricks become bytes, with as few copies of the payload as can be.
//!
//! A frame is an envelope of the machine wire whose last field is the body. The sender writes the envelope's beginning, the header
//! and the payload in one writev(2); the receiver reads the frame once and slices it.

use std::io::{self, BufRead, IoSlice, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::world::wire::MAX_FRAME;

/// Everything in a frame but who sends it to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The envelope's id; may be empty.
    pub id: String,
    /// The envelope's kind.
    pub kind: String,
    /// The whole body: header length, header, payload.
    pub body: Bytes,
}

impl Frame {
    /// Takes the body apart into header and payload.
    ///
    /// # Errors
    /// `InvalidData` if the header is not a `T`.
    pub fn open<T: DeserializeOwned>(&self) -> io::Result<(T, Bytes)> {
        let wrong = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
        let length = self.body.get(..4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize);
        let length = length.filter(|l| l + 4 <= self.body.len()).ok_or_else(|| wrong("a short frame".into()))?;
        let header = rmp_serde::from_slice(&self.body[4..4 + length]).map_err(|e| wrong(e.to_string()))?;
        Ok((header, self.body.slice(4 + length..)))
    }
}

#[derive(Deserialize)]
struct EnvelopeRef<'a> {
    #[serde(borrow)]
    id: &'a str,
    #[serde(borrow)]
    kind: &'a str,
    #[serde(borrow)]
    body: &'a [u8],
}

/// An envelope on its way out.
#[derive(Serialize)]
struct EnvelopeOut<'a> {
    id: &'a str,
    from: &'a str,
    to: &'a str,
    logical: u64,
    kind: &'a str,
    note: &'a str,
    body: Bytes,
}

/// How long a message without its payload is, about.
const HEAD: usize = 512;

/// Reads the next frame.
///
/// # Errors
/// As of the stream; `UnexpectedEof` at its end; `InvalidData` if it is too large or no envelope.
pub fn read_frame(stream: &mut impl BufRead) -> io::Result<Frame> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = frame_length(&length)?;
    let mut raw = Vec::with_capacity(length);
    stream.take(length as u64).read_to_end(&mut raw)?;
    if raw.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    frame(raw.into())
}

/// How long a frame is, by its first four bytes.
///
/// # Errors
/// `InvalidData` if it is too large.
pub fn frame_length(head: &[u8]) -> io::Result<usize> {
    let length = head.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    Ok(length)
}

/// A frame by what follows its length.
///
/// # Errors
/// `InvalidData` if it is no envelope.
pub fn frame(raw: Bytes) -> io::Result<Frame> {
    let envelope: EnvelopeRef<'_> =
        rmp_serde::from_slice(&raw).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(Frame { id: envelope.id.to_string(), kind: envelope.kind.to_string(), body: raw.slice_ref(envelope.body) })
}

/// Makes frames from one machine to another.
#[derive(Debug, Clone)]
pub struct Sender {
    from: String,
    to: String,
}

impl Sender {
    /// Between these two machines.
    pub fn new(from: &str, to: &str) -> Self {
        Self { from: from.into(), to: to.into() }
    }

    /// Writes one message. `id` and `note` are for those who watch the link; they may be empty.
    ///
    /// # Errors
    /// As of the stream.
    pub fn send<T: Serialize>(
        &self,
        stream: &mut impl Write,
        kind: &str,
        note: (String, String),
        header: &T,
        payload: &[u8],
    ) -> io::Result<()> {
        let head = self.head(kind, note, header, payload.len())?;
        write_both(stream, &head, payload)
    }

    /// Everything of a message but its payload of so many bytes.
    fn head<T: Serialize>(
        &self,
        kind: &str,
        (id, note): (String, String),
        header: &T,
        payload: usize,
    ) -> io::Result<Vec<u8>> {
        let (from, to) = (&self.from, &self.to);
        let envelope = EnvelopeOut { id: &id, from, to, logical: 0, kind, note: &note, body: Bytes::new() };
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(&[0; 4]);
        rmp_serde::encode::write_named(&mut head, &envelope).map_err(io::Error::other)?;
        // An empty body is the envelope's last two bytes (bin 8, length 0); the real one takes their place (bin 32).
        head.truncate(head.len() - 2);
        head.push(0xc6);
        let body = head.len();
        head.extend_from_slice(&[0; 8]);
        rmp_serde::encode::write(&mut head, header).map_err(io::Error::other)?;
        let length = |n: usize| {
            let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a message too long for a frame");
            u32::try_from(n).map(u32::to_be_bytes).map_err(too_long)
        };
        let end = head.len();
        head[body..body + 4].copy_from_slice(&length(end - body - 4 + payload)?);
        head[body + 4..body + 8].copy_from_slice(&length(end - body - 8)?);
        head[..4].copy_from_slice(&length(end - 4 + payload)?);
        Ok(head)
    }
}

fn write_both(stream: &mut impl Write, head: &[u8], payload: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(head), IoSlice::new(payload)];
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match stream.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut rest, n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::gfid::Gfid;
    use crate::volume::rpc::{Fop, Request};
    use crate::world::wire::Envelope;

    /// What is sent arrives, payload and all, and it is an envelope to everybody who reads the machine wire.
    #[test]
    fn a_message_survives_the_wire() {
        let request = Request { id: 7, fops: vec![Fop::Write { gfid: Gfid::ROOT, offset: 5, time: None }] };
        for payload in [&b""[..], b"hello", &[7; 100_000]] {
            let mut wire = Vec::new();
            let sender = Sender::new("laptop", "server1");
            sender.send(&mut wire, "WRITE", ("laptop#1".into(), "5 bytes".into()), &request, payload).unwrap();
            let envelope: Envelope = crate::world::wire::read_frame(&mut wire.as_slice()).unwrap();
            assert_eq!((envelope.from.as_str(), envelope.note.as_str()), ("laptop", "5 bytes"));
            let frame = read_frame(&mut wire.as_slice()).unwrap();
            assert_eq!((frame.kind.as_str(), &frame.body), ("WRITE", &envelope.body));
            let (header, rest): (Request, Bytes) = frame.open().unwrap();
            assert_eq!((header, &rest[..]), (request.clone(), payload));
        }
    }

    /// Rubbish is an error, never a panic.
    #[test]
    fn rubbish_is_refused() {
        for wire in [&b"\0\0\0\x02\xff\xff"[..], b"\xff\xff\xff\xff", b"\0\0", b"\0\0\0\x10abc"] {
            assert!(read_frame(&mut &wire[..]).is_err());
        }
        let frame = Frame { id: String::new(), kind: String::new(), body: Bytes::from_static(b"\0\0\0\x09abc") };
        assert!(frame.open::<Request>().is_err());
    }
}
