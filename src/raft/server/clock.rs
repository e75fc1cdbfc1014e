//! The node's clock: ticks of 10 ms of the paper's time, at the speed of the world.
//!
//! The driver sleeps until the next tick *that matters* and then lets all ticks pass that are due, so an idle node
//! wakes a few times a second instead of a hundred. Time in which the process could not run (SIGSTOP, a laptop's lid, a slow
//! fsync) is not counted: what waits in its sockets is to be heard before its timers ring.

use std::time::Duration;

use tokio::time::Instant;

use crate::raft::node::{HEARTBEAT, TICK_US};

/// So many ticks beyond what was planned, and the process is taken to have been stopped.
const SLACK: u64 = 5;

/// See the module's head.
pub struct Clock {
    speed: f64,
    frozen: bool,
    /// Up to when ticks have been counted.
    counted: Instant,
    /// How many ticks the driver meant to sleep.
    planned: u64,
}

impl Clock {
    /// A clock that begins to run now, or stands.
    pub fn new(speed: f64, frozen: bool) -> Self {
        Self { speed, frozen, counted: Instant::now(), planned: 0 }
    }

    /// How long a tick takes.
    pub fn tick(&self) -> Duration {
        Duration::from_secs_f64(TICK_US as f64 / 1e6 / self.speed)
    }

    /// Paper's microseconds in microseconds of wall time.
    pub fn wall_us(&self, paper_us: u64) -> u64 {
        (paper_us as f64 / self.speed) as u64
    }

    /// Whether it stands.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Stops, or goes on.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.counted = Instant::now();
    }

    /// Runs at another speed from now on.
    pub fn set_speed(&mut self, speed: f64) {
        self.speed = speed;
        self.counted = Instant::now();
    }

    /// When `ticks` more ticks will have passed; never, while frozen.
    pub fn after(&mut self, ticks: u64) -> Option<Instant> {
        self.planned = ticks.max(1);
        (!self.frozen).then(|| self.counted + self.tick().mul_f64(self.planned as f64))
    }

    /// The loop was at work for so long and heard nothing meanwhile. A short while counts like any other time; a stall (of
    /// half the time between two heartbeats or more) does not.
    pub fn pardon(&mut self, busy: Duration) {
        if busy >= self.tick().mul_f64(HEARTBEAT as f64 / 2.0) {
            self.counted += busy;
        }
    }

    /// How many ticks are due now.
    pub fn due(&mut self) -> u64 {
        let now = Instant::now();
        let tick = self.tick();
        let due = (now.saturating_duration_since(self.counted).as_secs_f64() / tick.as_secs_f64()) as u64;
        if self.frozen || due == 0 {
            return 0;
        }
        if due > self.planned + SLACK {
            self.counted = now;
            return 1;
        }
        self.counted += tick.mul_f64(due as f64);
        due
    }
}
