//! Keeping the processors awake while requests come thick and fast.
//!
//! A request is answered by another thread than the one that asks, mostly on another processor. A processor that has nothing
//! to do sleeps, and in a virtual machine waking it is the host's business: tens of microseconds, twice for each request,
//! several times what all the rest costs. So while requests stream in, the kernel is asked by its own interface for this
//! (`/dev/cpu_dma_latency`, Documentation/power/pm_qos_interface.rst) to wait for work rather than to sleep, and told
//! otherwise some milliseconds after the stream has run dry. It forgets the wish when we end, however that happens.
//!
//! Only where that is what the machine's idle driver is made for, in a guest that has `haltpoll`: a real processor wakes quickly, and its
//! sleep saves power. And only as the machine's root, who alone may ask.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A span of time in which requests are counted.
const SPAN: Duration = Duration::from_millis(4);
/// So many requests within a span begin a stream.
const STREAM: u32 = 32;
/// With fewer requests in a span it has run dry.
const TRICKLE: u32 = 8;

/// The wish for wakeful processors; clones share it.
#[derive(Clone, Default)]
pub struct Awake(Option<(Arc<Inner>, Thread)>);

struct Inner {
    start: Instant,
    requests: AtomicU32,
    /// When [`STREAM`] requests were last full: nanoseconds after `start`.
    full: AtomicU64,
    /// Whether the wish is held, or is about to be.
    held: AtomicBool,
}

impl Awake {
    /// Serves the wish on a thread of its own, if it can be had; else nothing is ever done.
    pub fn start() -> Self {
        let Some(device) = device() else { return Self::default() };
        let inner = Arc::new(Inner {
            start: Instant::now(),
            requests: AtomicU32::new(0),
            full: AtomicU64::new(0),
            held: AtomicBool::new(false),
        });
        let served = inner.clone();
        let thread = thread::Builder::new().name("awake".into()).spawn(move || serve(&served, device));
        Self(thread.ok().map(|thread| (inner, thread.thread().clone())))
    }

    /// Whether it is served.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request came.
    pub fn note(&self) {
        let Some((inner, _)) = &self.0 else { return };
        let count = inner.requests.fetch_add(1, Relaxed);
        if !count.is_multiple_of(STREAM) || inner.held.load(Relaxed) {
            return;
        }
        let now = u64::try_from(inner.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let before = inner.full.swap(now, Relaxed);
        if now.saturating_sub(before) < SPAN.as_nanos() as u64 {
            self.stream();
        }
    }

    /// A stream of requests is about to come.
    pub fn stream(&self) {
        let Some((inner, thread)) = &self.0 else { return };
        if !inner.held.swap(true, Relaxed) {
            thread.unpark();
        }
    }
}

/// The kernel's interface, where it is of use and may be used. The device is open as long as we live, and wishes for nothing.
fn device() -> Option<File> {
    let driver = fs::read_to_string("/sys/devices/system/cpu/cpuidle/current_driver").ok()?;
    let mut device = OpenOptions::new().write(true).open("/dev/cpu_dma_latency").ok()?;
    (driver.trim() == "haltpoll" && wish(&mut device, ANY)).then_some(device)
}

/// Microseconds that waking may take: none.
const NONE: i32 = 0;
/// Any time (`PM_QOS_DEFAULT_VALUE`).
const ANY: i32 = -1;

fn wish(device: &mut File, micros: i32) -> bool {
    device.write_all(&micros.to_ne_bytes()).is_ok()
}

fn serve(inner: &Inner, mut device: File) {
    loop {
        while !inner.held.load(Relaxed) {
            thread::park();
        }
        wish(&mut device, NONE);
        let mut seen = inner.requests.load(Relaxed);
        loop {
            thread::sleep(SPAN);
            let now = inner.requests.load(Relaxed);
            if now.wrapping_sub(seen) < TRICKLE {
                break;
            }
            seen = now;
        }
        wish(&mut device, ANY);
        inner.held.store(false, Relaxed);
    }
}
