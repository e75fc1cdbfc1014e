//! Which files are open here, for bricks to be told once in a while: opening a file needs no word with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::Files;
use super::set::Set;
use super::wire::Call;
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Fop;

/// How many files are told of in one message.
const AT_ONCE: usize = 256;

/// How often each file was opened since the last word of it, how many descriptors are open, and whether that is news.
#[derive(Debug, Default)]
pub struct Opens(Mutex<HashMap<Gfid, Open>>);

#[derive(Debug, Clone, Copy, Default)]
struct Open {
    times: u64,
    now: u64,
    news: bool,
}

impl Opens {
    fn all(&self) -> MutexGuard<'_, HashMap<Gfid, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file is opened.
    pub fn opened(&self, gfid: Gfid) {
        let mut all = self.all();
        let open = all.entry(gfid).or_default();
        (open.times, open.now, open.news) = (open.times + 1, open.now + 1, true);
    }

    /// A descriptor is closed.
    pub fn closed(&self, gfid: Gfid) {
        if let Some(open) = self.all().get_mut(&gfid) {
            (open.now, open.news) = (open.now.saturating_sub(1), true);
        }
    }

    /// The news: file, times opened, descriptors open now. Files that are closed are forgotten.
    fn news(&self) -> Vec<(Gfid, u64, u64)> {
        let mut all = self.all();
        let news = all.iter().filter(|(_, open)| open.news).map(|(gfid, open)| (*gfid, open.times, open.now)).collect();
        all.retain(|_, open| {
            *open = Open { times: 0, now: open.now, news: false };
            open.now > 0
        });
        news
    }

    /// Tells the bricks the news, many at once.
    pub fn tell(&self, files: &Files) {
        let mut by_set: Vec<(Arc<Set>, Vec<Fop>)> = Vec::new();
        for (gfid, times, now) in self.news() {
            let Ok(set) = files.set_of(gfid) else { continue };
            let fop = Fop::Opened { gfid, times, now };
            match by_set.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &set)) {
                Some((_, fops)) => fops.push(fop),
                None => by_set.push((set, vec![fop])),
            }
        }
        for (set, fops) in by_set {
            for fops in fops.chunks(AT_ONCE) {
                set.wire.post(set.wire.up().iter().map(|kid| Call { kid, epoch: 0, fops: fops.to_vec() }).collect());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each change is told once; what is closed is forgotten after that.
    #[test]
    fn news_are_told_once() {
        let (opens, a, b) = (Opens::default(), Gfid([1; 16]), Gfid([2; 16]));
        opens.opened(a);
        opens.opened(a);
        opens.opened(b);
        opens.closed(b);
        let mut news = opens.news();
        news.sort();
        assert_eq!(news, [(a, 2, 2), (b, 1, 0)]);
        assert!(opens.news().is_empty());
        opens.closed(a);
        assert_eq!(opens.news(), [(a, 0, 1)]);
        opens.closed(b);
        assert!(opens.news().is_empty(), "it was forgotten");
    }
}
