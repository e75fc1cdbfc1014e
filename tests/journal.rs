//! The world is a fold over its journal: replaying it gives the same picture.

mod common;

use std::process::Stdio;
use std::sync::mpsc::channel;

use common::{Home, everybody, wait_until};
use terrarium::world::client::{Client, Update};
use terrarium::world::{World, journal};

/// What the journal on disk adds up to, event by event up to `seq`.
fn folded(events: &[terrarium::world::Event], seq: u64) -> World {
    let mut world = World::default();
    events.iter().filter(|event| event.seq <= seq).for_each(|event| world.apply(event));
    world
}

/// Nodes are elected, killed and cut off, a client writes: then a watcher's snapshot, and the fold over the journal up
/// to the same event, are equal; and so is the fold of a watcher that saw every event since.
#[test]
fn replay_gives_the_same_picture() {
    for who in everybody() {
        let home = Home::of(who);
        let script = "lab speed 0.5; lab client n1 SET x 5; lab kill n2; lab cut n1 n3; lab heal; lab start n2; \
                      lab client n3 SET y 6; touch up; exec sleep 1000";
        let mut child = home.terrarium(["run", "--world", "seen", "--nodes", "3", "--", "sh", "-c", script]);
        let mut child = child.stdout(Stdio::null()).spawn().unwrap();
        wait_until("the script is through", || home.work().join("up").exists());
        let place = home.state().join("terrarium/worlds/seen");
        let client = Client::connect(&place.join("keeper.sock")).unwrap();
        let (told, seen) = channel();
        client.watch(move |update| drop(told.send(update))).unwrap();
        let Ok(Update::Snapshot(mut picture)) = seen.recv() else { panic!("a watch begins with a snapshot") };
        let mut events = journal::read(&place.join("journal")).unwrap().1;
        wait_until("the journal has what the snapshot has", || {
            events = journal::read(&place.join("journal")).unwrap().1;
            events.last().is_some_and(|event| event.seq >= picture.seq + 20)
        });
        assert_eq!(*picture, folded(&events, picture.seq), "{who:?}");
        assert!(events.iter().zip(1..).all(|(event, n)| event.seq == n), "{who:?}: no event is missing");
        let last = events.last().unwrap().seq;
        while picture.seq < last {
            let Ok(Update::Event(event)) = seen.recv() else { panic!("then come events") };
            picture.apply(&event);
        }
        assert_eq!(*picture, folded(&events, last), "{who:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
