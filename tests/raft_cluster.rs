//! Real node processes, real sockets, real disks, and `kill -9`.

#[path = "raft_cluster/cluster.rs"]
mod cluster;
#[path = "raft_cluster/keeper.rs"]
mod keeper;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};

use cluster::{Client, Cluster, ok, text, wait_for};
use keeper::{Keeper, Switch};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use redis_protocol::resp2::types::BytesFrame;
use terrarium::raft::{Happening, Role};
use terrarium::world::wire::Ask;
use terrarium::world::{Event, What};

const WRITES: usize = 10_000;
const CLIENTS: usize = 16;

/// What the clients know at the end.
#[derive(Default)]
struct Tally {
    /// SETs that were acknowledged.
    set: AtomicUsize,
    /// INCRs that were acknowledged, and those of which nobody knows.
    counted: AtomicI64,
    unknown: AtomicI64,
}

/// 10,000 SETs by 16 clients through a follower, while the leader is killed twice and started again. No acknowledged
/// write is lost, each INCR counts once, and all logs are equal afterwards.
#[test]
fn no_acknowledged_write_is_lost_when_leaders_are_killed() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let addresses: Vec<_> = (1..=3).map(|i| cluster.client_address((leader + i) % 3)).collect();
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for c in 0..CLIENTS {
            let (addresses, tally) = (&addresses, &tally);
            scope.spawn(move || write(c, addresses, tally));
        }
        for part in [1, 3] {
            wait_for("writes", || (tally.set.load(SeqCst) > WRITES * part / 6).then_some(()));
            let leader = cluster.leader();
            cluster.kill(leader);
            wait_for("writes", || (tally.set.load(SeqCst) > WRITES * (part + 1) / 6).then_some(()));
            cluster.start_node(leader);
        }
    });
    assert_eq!(tally.set.load(SeqCst), WRITES);
    cluster.settle();
    check_values(&cluster, &tally);
    (0..3).for_each(|i| cluster.kill(i));
    let entries = |i| cluster.saved_log(i)["entries"].clone();
    assert!(entries(0).as_array().is_some_and(|all| all.len() >= WRITES), "the log holds all writes");
    assert_eq!(entries(0), entries(1), "n1's and n2's logs");
    assert_eq!(entries(1), entries(2), "n2's and n3's logs");
}

/// One client: its share of the SETs, and an INCR after every tenth. When its node is gone it goes to the next.
fn write(client: usize, addresses: &[std::net::SocketAddr], tally: &Tally) {
    let mut places = addresses.iter().cycle();
    let mut connect = move || wait_for("a node", || Client::connect(*places.next()?).ok());
    let mut line = connect();
    for i in (client..WRITES).step_by(CLIENTS) {
        while line.call(&["SET", &format!("k{i}"), &format!("v{i}")]).ok() != Some(ok()) {
            line = connect();
        }
        tally.set.fetch_add(1, SeqCst);
        if i % 10 == 0 {
            match line.call(&["INCR", "counter"]) {
                Ok(BytesFrame::Integer(_)) => drop(tally.counted.fetch_add(1, SeqCst)),
                other => {
                    tally.unknown.fetch_add(1, SeqCst);
                    if other.is_err() {
                        line = connect();
                    }
                }
            }
        }
    }
}

fn check_values(cluster: &Cluster, tally: &Tally) {
    let mut line = Client::connect(cluster.client_address(0)).expect("n1 is up");
    for i in 0..WRITES {
        let value = line.call(&["GET", &format!("k{i}")]).expect("a reply");
        assert_eq!(value, text(&format!("v{i}")), "SET k{i} was acknowledged");
    }
    let Ok(BytesFrame::BulkString(counter)) = line.call(&["GET", "counter"]) else { panic!("there is a counter") };
    let counter: i64 = String::from_utf8_lossy(&counter).parse().expect("a number");
    let (counted, unknown) = (tally.counted.load(SeqCst), tally.unknown.load(SeqCst));
    assert!(
        (counted..=counted + unknown).contains(&counter),
        "{counted} INCRs were acknowledged, of {unknown} nobody knows, but the counter is {counter}"
    );
}

/// Whoever is asked, the answer is the same; errors are Redis's; a pipeline is answered in its order.
#[test]
fn any_node_answers_for_all() {
    let cluster = Cluster::start(3);
    let mut lines: Vec<Client> =
        (0..3).map(|i| Client::connect(cluster.client_address(i)).expect("it is up")).collect();
    for (i, line) in lines.iter_mut().enumerate() {
        assert_eq!(line.call(&["INCR", "n"]).ok(), Some(BytesFrame::Integer(i as i64 + 1)));
    }
    for line in &mut lines {
        assert_eq!(line.call(&["GET", "n"]).ok(), Some(text("3")), "a read sees every write before it");
        assert_eq!(line.call(&["GET", "missing"]).ok(), Some(BytesFrame::Null));
        for words in [&["APPEND", "log", "a"][..], &["APPEND", "log", "b"], &["GET", "log"], &["PING"], &["DEL", "log"]]
        {
            line.send(words).expect("it is up");
        }
        let replies: Vec<_> = (0..5).map(|_| line.receive().expect("a reply")).collect();
        let pong = BytesFrame::SimpleString("PONG".into());
        let one = BytesFrame::Integer(1);
        assert_eq!(replies, [one.clone(), BytesFrame::Integer(2), text("ab"), pong, one]);
        let unknown = line.call(&["ZADD", "z", "1", "a"]).expect("a reply");
        assert!(
            matches!(&unknown, BytesFrame::Error(text) if text.starts_with("ERR unknown command 'ZADD'")),
            "{unknown:?}"
        );
    }
}

/// Without a majority a client is told so, instead of waiting for ever.
#[test]
fn without_a_majority_a_client_gets_an_error() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    cluster.kill((leader + 1) % 3);
    cluster.kill(leader);
    let mut line = Client::connect(cluster.client_address((leader + 2) % 3)).expect("it is up");
    for words in [&["SET", "x", "5"][..], &["GET", "x"]] {
        let reply = line.call(words).expect("a reply");
        assert!(matches!(&reply, BytesFrame::Error(text) if text.starts_with("CLUSTERDOWN")), "{reply:?}");
    }
}

/// A node that hangs costs the others nothing. A leader that hangs is replaced, and follows when it goes on.
#[test]
fn a_node_that_hangs_holds_nobody_up() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.signal(follower, SIGSTOP);
    let mut line = Client::connect(cluster.client_address(leader)).expect("it is up");
    let value = "v".repeat(10_000);
    for i in 0..1000 {
        assert_eq!(line.call(&["SET", &format!("k{i}"), &value]).ok(), Some(ok()));
    }
    cluster.signal(follower, SIGCONT);
    cluster.settle();
    let leader = cluster.leader();
    cluster.signal(leader, SIGSTOP);
    let entry = if leader == other { follower } else { other };
    let mut line = Client::connect(cluster.client_address(entry)).expect("it is up");
    wait_for("another leader", || (line.call(&["SET", "x", "5"]).ok() == Some(ok())).then_some(()));
    cluster.signal(leader, SIGCONT);
    cluster.settle();
    assert_ne!(cluster.leader(), leader, "it follows the one that was elected meanwhile");
}

/// When the log grows long, a snapshot takes its place; a node that was away meanwhile gets it, and all logs are equal.
#[test]
fn a_node_that_was_away_for_long_gets_a_snapshot() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let away = (leader + 1) % 3;
    cluster.kill(away);
    let mut line = Client::connect(cluster.client_address(leader)).expect("it is up");
    let (batch, batches) = (500, 60);
    for round in 0..batches {
        for i in 0..batch {
            line.send(&["SET", &format!("k{i}"), &format!("v{round}")]).expect("it is up");
        }
        for _ in 0..batch {
            assert_eq!(line.receive().ok(), Some(ok()));
        }
    }
    cluster.start_node(away);
    cluster.settle();
    assert_ne!(cluster.info(away, "snapshot_index").as_deref(), Some("0"), "it has a snapshot");
    for i in 0..3 {
        cluster.kill(i);
    }
    let logs: Vec<_> = (0..3).map(|i| cluster.saved_log(i)).collect();
    for log in &logs[1..] {
        assert_eq!((&log["snapshot"], &log["entries"]), (&logs[0]["snapshot"], &logs[0]["entries"]));
    }
    (0..3).for_each(|i| cluster.start_node(i));
    let leader = cluster.leader();
    let mut line = Client::connect(cluster.client_address(leader)).expect("it is up");
    assert_eq!(line.call(&["DBSIZE"]).ok(), Some(BytesFrame::Integer(batch)));
    assert_eq!(line.call(&["GET", "k7"]).ok(), Some(text(&format!("v{}", batches - 1))));
}

/// Large values pass between nodes; what is too large is refused with words, and the connection goes on.
#[test]
fn large_values() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let mut line = Client::connect(cluster.client_address((leader + 1) % 3)).expect("it is up");
    let value = "v".repeat(5 << 20);
    assert_eq!(line.call(&["SET", "a", &value]).ok(), Some(ok()));
    assert_eq!(line.call(&["SET", "b", &value]).ok(), Some(ok()));
    assert_eq!(line.call(&["STRLEN", "a"]).ok(), Some(BytesFrame::Integer(5 << 20)));
    assert_eq!(line.call(&["GET", "b"]).ok(), Some(text(&value)));
    let both = line.call(&["MGET", "a", "b"]).expect("a reply");
    match &both {
        BytesFrame::Error(text) => assert!(text.contains("too large"), "what is forwarded has its bound: {text}"),
        BytesFrame::Array(values) => assert_eq!(values.len(), 2, "this node leads meanwhile: nothing is forwarded"),
        other => panic!("MGET never replies {other:?}"),
    }
    let refused = line.call(&["SET", "c", &"v".repeat((8 << 20) - 3)]).expect("a reply");
    assert!(matches!(&refused, BytesFrame::Error(text) if text.contains("8388608")), "{refused:?}");
    assert_eq!(line.call(&["EXISTS", "a", "b", "c"]).ok(), Some(BytesFrame::Integer(2)));
}

/// A frozen node's clock stands; each asked tick is exactly one; then it goes on.
#[test]
fn a_frozen_clock_goes_tick_by_tick() {
    let mut cluster = Cluster::new(3);
    cluster.arguments = vec!["--frozen".into()];
    let mut keeper = Keeper::listen(&cluster.keeper_socket(0));
    cluster.start_node(0);
    keeper.accept("n1");
    let role = |keeper: &mut Keeper| keeper.ask(words("status")).expect("a status")["role"].clone();
    let mut ticks = 0;
    while role(&mut keeper) == "follower" {
        assert_eq!(keeper.ask(Ask::Tick), Ok(serde_json::Value::Null));
        ticks += 1;
    }
    assert!((15..=30).contains(&ticks), "the paper's election timeout is 150 to 300 ms, not {ticks} ticks");
    let stands = |keeper: &mut Keeper| keeper.ask(words("status")).expect("a status")["term"].clone();
    assert_eq!(stands(&mut keeper), 1);
    assert_eq!(keeper.ask(Ask::Freeze(false)), Ok(serde_json::Value::Null));
    wait_for("a second candidacy", || (stands(&mut keeper) != 1).then_some(()));
    assert!(keeper.ask(Ask::Tick).is_err(), "a running clock takes no single tick");
}

/// In detail each step of a write is an event, caused by the one before it, across nodes.
#[test]
fn a_write_is_told_from_cause_to_effect() {
    let mut cluster = Cluster::new(3);
    let mut keepers: Vec<Keeper> = (0..3).map(|i| Keeper::listen(&cluster.keeper_socket(i))).collect();
    for (i, keeper) in keepers.iter_mut().enumerate() {
        cluster.start_node(i);
        keeper.accept(&cluster.names[i]);
        assert_eq!(keeper.ask(Ask::Detail(true)), Ok(serde_json::Value::Null));
    }
    let leader = cluster.leader();
    let mut line = Client::connect(cluster.client_address(leader)).expect("it is up");
    assert_eq!(line.call(&["SET", "x", "5"]).ok(), Some(ok()));
    let events = wait_for("the answer's event", || {
        let events = keepers[leader].events();
        let told = events.iter().any(|e| matches!(raft(e), Some(Happening::Answered { text, .. }) if text == "OK"));
        told.then_some(events)
    });
    let position = |what: &str, is: &dyn Fn(&Happening) -> bool| {
        events.iter().position(|e| raft(e).is_some_and(is)).unwrap_or_else(|| panic!("no event of {what}"))
    };
    let won = position("the election", &|h| matches!(h, Happening::State { role: Role::Leader, .. }));
    let asked = position("the request", &|h| matches!(h, Happening::Asked { text, .. } if text == "SET x 5"));
    let has_it = |h: &Happening| matches!(h, Happening::Appended { entries } if entries[0].text == "SET x 5");
    let appended = position("the entry", &has_it);
    let answered = position("the answer", &|h| matches!(h, Happening::Answered { .. }));
    assert!(won < asked && asked < appended && appended < answered);
    assert_eq!(events[appended].cause.as_ref(), Some(&events[asked].id), "the request caused the entry");
    let follower = wait_for("the entry at a follower", || {
        keepers[(leader + 1) % 3].events().into_iter().find(|e| raft(e).is_some_and(has_it))
    });
    let message = follower.cause.expect("a message caused it");
    assert!(message.starts_with(&format!("{}#", cluster.names[leader])), "{message} is the leader's");
    let log = keepers[leader].ask(words("log")).expect("a log");
    assert!(log["entries"].as_array().is_some_and(|entries| entries.iter().any(|e| e["text"] == "SET x 5")));
}

/// Nodes are led onto the switch and back while clients write: no message of consequence is lost, everybody is answered.
#[test]
fn a_new_way_to_a_peer_loses_nothing() {
    let mut cluster = Cluster::new(3);
    let mut keepers: Vec<Keeper> = (0..3).map(|i| Keeper::listen(&cluster.keeper_socket(i))).collect();
    (0..3).for_each(|i| cluster.start_node(i));
    keepers.iter_mut().zip(&cluster.names).for_each(|(keeper, name)| keeper.accept(name));
    let leader = cluster.leader();
    let addresses = (0..3).map(|i| (cluster.names[i].clone(), cluster.peer_address(i))).collect();
    let switch = Switch::start(addresses);
    let mut line = Client::connect(cluster.client_address((leader + 1) % 3)).expect("it is up");
    for round in 0..6 {
        let via = (round % 2 == 0).then_some(switch.address);
        for keeper in &mut keepers {
            assert_eq!(keeper.ask(Ask::Route { to: "*".into(), via }), Ok(serde_json::Value::Null));
        }
        let before = switch.bytes();
        for i in 1..=20 {
            assert_eq!(line.call(&["INCR", "n"]).ok(), Some(BytesFrame::Integer(round * 20 + i)));
        }
        assert_eq!(switch.bytes() > before, via.is_some(), "round {round}: the way is the one that was asked for");
    }
    let state = keepers[leader].ask(words("status")).expect("a status");
    assert_eq!(state["role"], "leader", "nobody had reason to stand for election");
}

fn words(words: &str) -> Ask {
    Ask::Words(words.split(' ').map(str::to_owned).collect())
}

fn raft(event: &Event) -> Option<&Happening> {
    match &event.what {
        What::Raft(happening) => Some(happening),
        _ => None,
    }
}
