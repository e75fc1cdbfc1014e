//! Leader election (§5.2) and its restriction (§5.4.1).

use std::collections::BTreeSet;

use super::{Node, State};
use crate::raft::event::{Happening, Index, NodeName, Term};
use crate::raft::message::Rpc;

/// A candidate counts its votes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    votes: BTreeSet<NodeName>,
}

impl Node {
    /// "On conversion to candidate, start election: increment currentTerm, vote for self, reset election timer, send
    /// RequestVote RPCs to all other servers" (Figure 2).
    pub(super) fn start_election(&mut self, why: &str) {
        self.current_term += 1;
        self.voted_for = Some(self.config.name.clone());
        self.persist_hard_state();
        self.state = State::Candidate(Candidate::default());
        self.tell_state(why);
        self.restart_timer();
        let (last_log_index, last_log_term) = (self.log.last_index(), self.log.last_term());
        self.send_to_peers(&Rpc::RequestVote { term: self.current_term, last_log_index, last_log_term });
        self.count_vote(self.config.name.clone());
    }

    /// "If votes received from majority of servers: become leader" (Figure 2).
    fn count_vote(&mut self, voter: NodeName) {
        let majority = self.majority();
        let State::Candidate(candidate) = &mut self.state else { return };
        candidate.votes.insert(voter);
        if candidate.votes.len() >= majority {
            self.become_leader();
        }
    }

    /// RequestVote, receiver's implementation (Figure 2).
    pub(super) fn request_vote(&mut self, candidate: &str, term: Term, last_index: Index, last_term: Term) {
        let refusal = self.why_not(candidate, term, last_index, last_term);
        let (vote_granted, why) = (refusal.is_none(), refusal.unwrap_or_default().to_owned());
        let changed = vote_granted && self.voted_for.is_none();
        if vote_granted {
            self.voted_for = Some(candidate.into());
            self.persist_hard_state();
            self.restart_timer();
        }
        let vote = Happening::Vote { term, candidate: candidate.into(), granted: vote_granted, why };
        self.out.0.happened.push(vote);
        if changed {
            self.tell_state("voted");
        }
        self.send(candidate, Rpc::RequestVoteReply { term: self.current_term, vote_granted });
    }

    /// Why a vote is refused: 1. the term is stale (§5.1); 2. another has the vote (§5.2), or the candidate's log is not at
    /// least as up-to-date as ours (§5.4.1).
    fn why_not(&self, candidate: &str, term: Term, last_index: Index, last_term: Term) -> Option<&'static str> {
        if term < self.current_term {
            Some("stale_term")
        } else if self.voted_for.as_deref().is_some_and(|voted| voted != candidate) {
            Some("already_voted")
        } else if !self.log.is_up_to_date(last_index, last_term) {
            Some("log_not_up_to_date")
        } else {
            None
        }
    }

    pub(super) fn request_vote_reply(&mut self, voter: &str, term: Term, vote_granted: bool) {
        if term == self.current_term && vote_granted {
            self.count_vote(voter.into());
        }
    }
}
