//! What a brick has done: `volume profile` and `volume top` are made of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::volume::gfid::Gfid;
use crate::volume::rpc::Reply;

/// Calls of one fop and the time they took.
#[derive(Debug, Clone, Default)]
struct Fop {
    calls: u64,
    total: Duration,
    least: Duration,
    most: Duration,
}

/// Figures since some moment.
#[derive(Debug, Clone)]
struct Span {
    since: Instant,
    fops: BTreeMap<&'static str, Fop>,
    read: u64,
    written: u64,
    /// Largest power of two not above the size → reads, writes.
    blocks: BTreeMap<u64, (u64, u64)>,
}

impl Default for Span {
    fn default() -> Self {
        Self { since: Instant::now(), fops: BTreeMap::new(), read: 0, written: 0, blocks: BTreeMap::new() }
    }
}

/// How many files are counted at most; when there are more, the least used of them are forgotten.
const FILES: usize = 10_000;

/// Megabytes a second, and when that was.
type Rate = (u64, SystemTime);

/// Figures since the brick started, and since they were last asked for.
#[derive(Debug, Default)]
pub struct Counters {
    spans: Mutex<(Span, Span)>,
    /// How many intervals were asked for.
    intervals: AtomicU64,
    /// `READ`, `WRITE` → inode → its fastest one in megabytes a second, and when that was.
    rates: Mutex<BTreeMap<&'static str, HashMap<Gfid, Rate>>>,
    /// `open`, `read`, `write`, `opendir`, `readdir` → inode → how often.
    uses: Mutex<BTreeMap<&'static str, HashMap<Gfid, u64>>>,
}

impl Counters {
    /// A fop was carried out in this time; `sent` bytes came with its request.
    pub fn note(&self, fop: &'static str, took: Duration, reply: Option<&Reply>, sent: usize) {
        // What keeps a connection is no work on files.
        if matches!(fop, "PING" | "SETVOLUME") {
            return;
        }
        let read = if let Some(Reply::Data(n)) = reply { u64::from(*n) } else { 0 };
        let written = if fop == "WRITE" && reply.is_some() { sent as u64 } else { 0 };
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, interval) = &mut *spans;
        for span in [all, interval] {
            span.note(fop, took, read, written);
        }
    }

    /// `{cumulative, interval, intervals}`; the interval begins anew unless `peek`. `intervals` counts those before this one.
    pub fn profile(&self, peek: bool) -> Value {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let intervals = self.intervals.fetch_add(u64::from(!peek), Relaxed);
        let answer = json!({ "cumulative": spans.0.to_json(), "interval": spans.1.to_json(), "intervals": intervals });
        if !peek {
            spans.1 = Span::default();
        }
        answer
    }

    /// All figures begin anew (`profile info clear`).
    pub fn clear(&self) {
        *self.spans.lock().unwrap_or_else(PoisonError::into_inner) = <_>::default();
        self.intervals.store(0, Relaxed);
    }

    /// Somebody opened, read, wrote or listed an inode so many times.
    pub fn used(&self, what: &'static str, gfid: Gfid, times: u64) {
        if times == 0 {
            return;
        }
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let of = uses.entry(what).or_default();
        if of.len() >= FILES && !of.contains_key(&gfid) {
            let mut counts: Vec<u64> = of.values().copied().collect();
            counts.sort_unstable();
            let median = counts[counts.len() / 2];
            of.retain(|_, n| *n > median);
        }
        *of.entry(gfid).or_default() += times;
    }

    /// What was used most, highest first.
    pub fn top(&self, what: &str, count: usize) -> Vec<(Gfid, u64)> {
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Gfid, u64)> = uses.get(what).into_iter().flatten().map(|(g, n)| (*g, *n)).collect();
        all.sort_by_key(|(gfid, n)| (std::cmp::Reverse(*n), *gfid));
        all.truncate(count);
        all
    }

    /// A file was read or written at so many megabytes a second.
    pub fn went(&self, what: &'static str, gfid: Gfid, rate: u64) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let of = rates.entry(what).or_default();
        let is_best = of.get(&gfid).is_none_or(|(best, _)| rate > *best);
        if is_best && (of.len() < FILES || of.contains_key(&gfid)) {
            of.insert(gfid, (rate, SystemTime::now()));
        }
    }

    /// The fastest first.
    pub fn fastest(&self, what: &str, count: usize) -> Vec<(Gfid, u64, SystemTime)> {
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = rates.get(what).into_iter().flatten().map(|(g, (rate, at))| (*g, *rate, *at)).collect();
        all.sort_by_key(|(gfid, rate, _)| (std::cmp::Reverse(*rate), *gfid));
        all.truncate(count);
        all
    }

    /// Forgets what was used.
    pub fn forget_uses(&self) {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Bytes read and written since the start, and calls.
    pub fn totals(&self) -> (u64, u64, u64) {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        (spans.0.read, spans.0.written, spans.0.fops.values().map(|f| f.calls).sum())
    }
}

impl Span {
    fn note(&mut self, name: &'static str, took: Duration, read: u64, written: u64) {
        let fop = self.fops.entry(name).or_default();
        fop.least = if fop.calls == 0 { took } else { fop.least.min(took) };
        fop.most = fop.most.max(took);
        fop.calls += 1;
        fop.total += took;
        self.read += read;
        self.written += written;
        if read + written > 0 {
            let size = 1 << (63 - (read + written).leading_zeros());
            let block = self.blocks.entry(size).or_default();
            block.0 += u64::from(read > 0);
            block.1 += u64::from(written > 0);
        }
    }

    fn to_json(&self) -> Value {
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let row = |(name, f): (&&str, &Fop)| {
            json!([name, f.calls, nanos(f.least), nanos(f.total) / f.calls.max(1), nanos(f.most)])
        };
        json!({
            "duration": self.since.elapsed().as_secs(),
            "read": self.read,
            "written": self.written,
            "blocks": self.blocks.iter().map(|(size, (r, w))| json!([size, r, w])).collect::<Vec<_>>(),
            "fops": self.fops.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls, times and sizes add up, and the interval begins anew when it was read.
    #[test]
    fn figures_add_up() {
        let counters = Counters::default();
        counters.note("WRITE", Duration::from_nanos(100), Some(&Reply::Done), 5000);
        counters.note("WRITE", Duration::from_nanos(300), Some(&Reply::Done), 4096);
        counters.note("READ", Duration::from_nanos(50), Some(&Reply::Data(10)), 0);
        let interval = &counters.profile(false)["interval"];
        assert_eq!(interval["written"], 9096);
        assert_eq!(interval["blocks"], json!([[8, 1, 0], [4096, 0, 2]]));
        assert_eq!(interval["fops"], json!([["READ", 1, 50, 50, 50], ["WRITE", 2, 100, 200, 300]]));
        assert_eq!(counters.profile(true)["interval"]["fops"], json!([]));
        assert_eq!(counters.totals(), (10, 9096, 3));
        assert_eq!(counters.profile(true)["intervals"], 1);
        counters.clear();
        assert_eq!(counters.totals(), (0, 0, 0));
    }

    /// The most used come first; with too many files the least used are forgotten, never the most used.
    #[test]
    fn the_most_used_come_first() {
        let counters = Counters::default();
        let gfid = |n: usize| Gfid(u128::try_from(n).unwrap_or_default().to_be_bytes());
        (0..3).for_each(|_| counters.used("read", gfid(7), 1));
        (0..2 * FILES).for_each(|n| counters.used("read", gfid(n + 100), 1));
        counters.used("write", gfid(1), 1);
        assert_eq!(counters.top("read", 1), [(gfid(7), 3)]);
        assert!(counters.top("read", usize::MAX).len() <= FILES);
        assert_eq!(counters.top("write", 5), [(gfid(1), 1)]);
        [(1, 5), (2, 9), (1, 3)].iter().for_each(|(n, rate)| counters.went("READ", gfid(*n), *rate));
        let fastest: Vec<(Gfid, u64)> = counters.fastest("READ", 5).iter().map(|(g, rate, _)| (*g, *rate)).collect();
        assert_eq!(fastest, [(gfid(2), 9), (gfid(1), 5)]);
        counters.forget_uses();
        assert!(counters.top("write", 5).is_empty());
    }
}
