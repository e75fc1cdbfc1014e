//! Closing files that were written, when they rest: a thread that sleeps while nothing is open for writing.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::shared::Shared;

/// How often it is looked whether a file is still being written: it is closed one to two such spans after the last write.
const SPAN: Duration = Duration::from_millis(50);

/// A bell that is rung when a file below is opened for writing.
#[derive(Default)]
pub struct Bell {
    rung: AtomicBool,
    lock: Mutex<()>,
    sound: Condvar,
}

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        if !self.rung.swap(true, SeqCst) {
            let _lock = self.lock.lock();
            self.sound.notify_one();
        }
    }

    fn wait(&self) {
        let mut lock = self.lock.lock().unwrap();
        while !self.rung.swap(false, SeqCst) {
            lock = self.sound.wait(lock).unwrap();
        }
    }
}

/// Serves on a thread of its own until the process ends.
pub fn run(bell: &Arc<Bell>, shared: &Arc<Shared>) {
    let (bell, shared) = (bell.clone(), shared.clone());
    let serve = move || {
        loop {
            bell.wait();
            std::thread::sleep(SPAN);
            while shared.union.rest() {
                std::thread::sleep(SPAN);
            }
        }
    };
    let _ = std::thread::Builder::new().name("rest".into()).spawn(serve);
}
