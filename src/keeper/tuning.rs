//! When roles report in detail, and when their messages pass the switch.
//!
//! A link that nobody touches and nobody watches is a direct connection and costs nothing. As soon as somebody watches,
//! a link has a rule, or time runs slower than the paper's or stands still, every machine is asked to send by way of the
//! switch and to report each step. Clients of a volume move far more bytes: they, and managers, pass the switch only while a link has a rule.

use std::rc::Rc;

use super::Keeper;
use crate::world::wire::Ask;

/// What the roles were last told.
#[derive(Default)]
pub struct Tuning {
    observed: bool,
    ruled: bool,
}

/// The kinds of role that talk to bricks, and to each other's managers.
const OF_VOLUMES: [&str; 3] = ["client", "glustershd", "glusterd"];

impl Keeper {
    fn is_observed(&self) -> bool {
        let record = self.record.borrow();
        let world = &record.world;
        record.is_watched() || world.speed < 1.0 || world.frozen || !world.links.rules.is_empty()
    }

    /// Tells every node how to send and report now, if that changed, and returns when they all do.
    pub(super) async fn retune(&self) {
        let observed = self.is_observed();
        if std::mem::replace(&mut self.tuning.borrow_mut().observed, observed) != observed {
            let clients = self.roles_of("client").into_iter().map(|name| self.watch_client(name, observed));
            let nodes = self.roles_of("node").into_iter().map(|name| self.tune(name, observed));
            futures::future::join(futures::future::join_all(nodes), futures::future::join_all(clients)).await;
        }
        let ruled = self.is_ruled();
        if std::mem::replace(&mut self.tuning.borrow_mut().ruled, ruled) != ruled {
            let clients = OF_VOLUMES.into_iter().flat_map(|kind| self.roles_of(kind));
            let routed = clients.map(|name| async move { self.route_client(&name, ruled).await });
            futures::future::join_all(routed).await;
        }
    }

    /// Whether the roles are told to report in detail, and whether clients pass the switch.
    fn tuned(&self) -> (bool, bool) {
        let tuning = self.tuning.borrow();
        (tuning.observed, tuning.ruled)
    }

    fn is_ruled(&self) -> bool {
        self.see(|world| !world.links.rules.is_empty())
    }

    async fn route_client(&self, name: &str, ruled: bool) {
        let via = ruled.then(|| self.switch.address());
        let _ = self.ask(name, Ask::Route { to: "*".into(), via }).await;
    }

    /// As [`Keeper::retune`], without waiting.
    pub(super) fn retune_soon(self: &Rc<Self>) {
        let keeper = Rc::clone(self);
        tokio::task::spawn_local(async move { keeper.retune().await });
    }

    /// Tells a role that just connected how things are.
    pub(super) fn tune_newcomer(self: &Rc<Self>, name: &str) {
        let (keeper, name) = (Rc::clone(self), name.to_string());
        tokio::task::spawn_local(async move {
            let clock = || keeper.see(|world| (world.speed, world.frozen));
            // The clock may be set anew while the newcomer is being told; then it must not keep what is past.
            let mut told = None;
            while told != Some(clock()) && keeper.role_pid(&name).is_ok() {
                let (speed, frozen) = clock();
                let _ = keeper.ask(&name, Ask::Speed(speed)).await;
                let _ = keeper.ask(&name, Ask::Freeze(frozen)).await;
                told = Some((speed, frozen));
            }
            if OF_VOLUMES.into_iter().any(|kind| keeper.roles_of(kind).contains(&name)) {
                let (observed, ruled) = keeper.tuned();
                keeper.route_client(&name, ruled).await;
                return keeper.watch_client(name, observed).await;
            }
            keeper.tune(name, keeper.tuned().0).await;
        });
    }

    async fn tune(&self, name: String, observed: bool) {
        let via = observed.then(|| self.switch.address());
        let _ = self.ask(&name, Ask::Detail(observed)).await;
        let _ = self.ask(&name, Ask::Route { to: "*".into(), via }).await;
    }

    /// A volume's client tells the steps of its requests while somebody watches; the way of its messages is its own matter.
    async fn watch_client(&self, name: String, observed: bool) {
        let _ = self.ask(&name, Ask::Detail(observed)).await;
    }

    /// Tells every role something about time.
    pub(super) async fn tell_all(&self, ask: Ask) {
        let all = ["node", "client"].into_iter().flat_map(|kind| self.roles_of(kind));
        let told = all.map(|name| {
            let ask = ask.clone();
            async move { drop(self.ask(&name, ask).await) }
        });
        futures::future::join_all(told).await;
    }
}
