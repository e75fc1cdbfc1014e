//! Locks of processes: on every copy, the first one first.

use super::Set;
use crate::volume::gfid::Gfid;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Fop, Held, Hold, Reply};

impl Set {
    /// Takes a lock of a process, or gives it back. The first brick that is up is asked before the others, so that of two who
    /// want the same one has it.
    ///
    /// # Errors
    /// EAGAIN if somebody is in the way; ENOTCONN if too few bricks granted it.
    pub fn hold(&self, gfid: Gfid, held: &Held) -> Result<(), i32> {
        let up = self.ready()?;
        let first: Kids = up.iter().take(1).collect();
        let fop = Fop::Hold { gfid, held: *held };
        let mut on = Kids::NONE;
        for kids in [first, up - first] {
            let answers = self.wire.ask(kids, std::slice::from_ref(&fop));
            on |= answers.iter().filter(|(_, a)| a.outcome().is_ok()).map(|(kid, _)| *kid).collect();
            if answers.iter().any(|(_, a)| a.outcome() == Err(libc::EAGAIN)) {
                self.give_back(gfid, held, on);
                return Err(libc::EAGAIN);
            }
        }
        if self.shape.suffices(on) || held.hold == Hold::None {
            return Ok(());
        }
        self.give_back(gfid, held, on);
        Err(libc::ENOTCONN)
    }

    fn give_back(&self, gfid: Gfid, held: &Held, on: Kids) {
        let none = Held { hold: Hold::None, ..*held };
        self.wire.ask(on, &[Fop::Hold { gfid, held: none }]);
    }

    /// Who is in the way of such a lock, as the first brick that answers says.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn holder(&self, gfid: Gfid, held: &Held) -> Result<Option<Held>, i32> {
        for kid in self.ready()?.iter() {
            match self.wire.ask(Kids::one(kid), &[Fop::Holder { gfid, held: *held }])[0].1.last() {
                Ok(Reply::Holder(holder)) => return Ok(*holder),
                Ok(_) => return Err(libc::EIO),
                // It was lost meanwhile, or does not have the file yet.
                Err(libc::ENOTCONN | libc::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(libc::ENOTCONN)
    }
}
