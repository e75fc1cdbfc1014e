//! A keeper as a node sees it: it listens, is told events, asks questions. And a switch that passes everything on.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use terrarium::world::Event;
use terrarium::world::wire::{Ask, Dial, FromKeeper, ToKeeper, read_frame, write_frame};

use super::cluster::{DEADLINE, wait_for};

type Answer = (u64, Result<Value, String>);

pub struct Keeper {
    listener: UnixListener,
    stream: Option<UnixStream>,
    answers: Option<Receiver<Answer>>,
    events: Arc<Mutex<Vec<Event>>>,
    next: u64,
}

impl Keeper {
    pub fn listen(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        listener.set_nonblocking(true).expect("a listener that can be asked");
        Self { listener, stream: None, answers: None, events: Arc::default(), next: 0 }
    }

    /// Waits for the node to introduce itself.
    pub fn accept(&mut self, name: &str) {
        let (mut stream, _) = wait_for("the node to connect", || self.listener.accept().ok());
        stream.set_nonblocking(false).expect("a blocking stream");
        self.stream = Some(stream.try_clone().expect("a second handle"));
        let Ok(ToKeeper::Hello { name: said, role, listen, .. }) = read_frame(&mut stream) else {
            panic!("a node says hello first")
        };
        assert_eq!((&said[..], &role[..], listen.is_some()), (name, "node", true));
        let (answers, events) = (channel(), self.events.clone());
        self.answers = Some(answers.1);
        std::thread::spawn(move || {
            while let Ok(message) = read_frame(&mut stream) {
                match message {
                    ToKeeper::Event(event) => events.lock().expect("no panic").push(*event),
                    ToKeeper::Answer { id, result } => drop(answers.0.send((id, result))),
                    other => panic!("a node never says {other:?}"),
                }
            }
        });
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, ask: Ask) -> Result<Value, String> {
        self.next += 1;
        let (id, stream) = (self.next, self.stream.as_mut().expect("accepted"));
        write_frame(stream, &FromKeeper::Ask { id, ask }).expect("the node lives");
        let answers = self.answers.as_ref().expect("accepted");
        let (answered, result) = answers.recv_timeout(DEADLINE).expect("an answer");
        assert_eq!(answered, id);
        result
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no panic").clone()
    }
}

/// Takes connections, reads whom they are for, and passes on what comes.
pub struct Switch {
    pub address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Switch {
    pub fn start(nodes: BTreeMap<String, SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, bytes) = (listener.local_addr().expect("bound"), Arc::new(AtomicU64::new(0)));
        let counter = bytes.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (nodes, counter) = (nodes.clone(), counter.clone());
                std::thread::spawn(move || pass(stream, &nodes, &counter));
            }
        });
        Self { address, bytes }
    }

    /// How many bytes have passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

fn pass(mut from: TcpStream, nodes: &BTreeMap<String, SocketAddr>, counter: &AtomicU64) {
    let Ok(dial) = read_frame::<Dial>(&mut from) else { return };
    let Some(Ok(mut to)) = nodes.get(&dial.to).map(TcpStream::connect) else { return };
    let (Ok(()), mut buffer) = (write_frame(&mut to, &dial), [0; 4096]) else { return };
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        counter.fetch_add(n as u64, Relaxed);
        if to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}
