//! The world in one JSON object, for `lab status --json` and scripts. Its shape is stable; fields may be added.

use serde_json::{Value, json};

use super::World;
use super::container::Container;

/// Version of the object's shape.
const VERSION: u32 = 1;

impl World {
    /// `{version, world, seed, speed, frozen, nodes: [{name, role, term, alive, pid, voted_for, leader, commit, applied,
    /// last_index, last_term}], processes: [{name, role, machine, pid, state}], links: [{from, to, …rule}],
    /// in_flight, containers: [{name, state, pid, template, rootfs, fstype, layers, own: {branch, bytes, names}, mounts: [{target,
    /// source, fstype}], addresses, namespaces, processes: [[pid inside, command]], attached, starts}]}`. `pid` is null for
    /// what does not run.
    pub fn status(&self) -> Value {
        let nodes: Vec<Value> = self.raft.nodes.keys().map(|name| self.node_status(name)).collect();
        let processes = self.processes.iter().map(|(name, p)| {
            json!({ "name": name, "role": p.role, "machine": p.machine, "pid": p.is_alive().then_some(p.pid), "state": p.state })
        });
        let links = self.links.rules.iter().map(|(from, to, rule)| {
            json!({ "from": from, "to": to, "cut": rule.cut, "held": rule.held, "delay_ms": rule.delay_ms, "loss": rule.loss, "dup": rule.dup })
        });
        json!({
            "version": VERSION, "world": self.name, "seed": self.seed, "speed": self.speed, "frozen": self.frozen,
            "nodes": nodes, "processes": processes.collect::<Vec<_>>(), "containers": self.containers(), "links": links.collect::<Vec<_>>(),
            "in_flight": self.links.flying.len(),
        })
    }

    fn containers(&self) -> Vec<Value> {
        let one = |(name, c): (&String, &Container)| {
            let room = c.room.clone().unwrap_or_default();
            let own = c
                .wrote
                .as_ref()
                .map(|(branch, bytes, names)| json!({ "branch": branch, "bytes": bytes, "names": names }));
            json!({
                "name": name, "state": c.state, "pid": (c.pid > 0).then_some(c.pid), "template": c.template,
                "rootfs": room.rootfs, "fstype": room.fstype, "layers": room.layers, "own": own, "mounts": room.mounts,
                "addresses": room.addresses, "namespaces": room.namespaces, "processes": c.processes,
                "attached": c.attached, "starts": c.starts,
            })
        };
        self.container.containers.iter().map(one).collect()
    }

    fn node_status(&self, name: &str) -> Value {
        let node = &self.raft.nodes[name];
        let process = self.processes.get(name);
        let pid = process.filter(|p| p.is_alive()).map(|p| p.pid);
        json!({
            "name": name, "role": node.role, "term": node.term, "alive": pid.is_some(), "pid": pid,
            "state": process.map(|p| &p.state), "voted_for": node.voted_for, "leader": node.leader, "commit": node.commit,
            "applied": node.applied, "last_index": node.last(), "last_term": node.last_term(),
        })
    }
}
