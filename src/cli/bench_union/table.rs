//! The table: medians, and their ratio to the peer that is the measure.

use serde_json::{Value, json};

use super::peer::Peer;
use super::row::Group;

/// What was measured: for each row its word, and for each peer the seconds of each round.
pub struct Table {
    peers: Vec<Peer>,
    rows: Vec<Row>,
}

struct Row {
    group: &'static str,
    name: &'static str,
    seconds: Vec<Vec<f64>>,
}

impl Table {
    /// An empty table.
    pub fn new(groups: &[&Group], peers: &[Peer]) -> Self {
        let seconds = vec![Vec::new(); peers.len()];
        let rows = groups.iter().flat_map(|g| g.rows.iter().map(|name| (g.key, *name)));
        let rows = rows.map(|(group, name)| Row { group, name, seconds: seconds.clone() }).collect();
        Self { peers: peers.to_vec(), rows }
    }

    /// Adds one round of a group.
    pub fn add(&mut self, peer: Peer, group: &Group, seconds: &[f64]) {
        let Some(column) = self.peers.iter().position(|p| *p == peer) else { return };
        let rows = self.rows.iter_mut().filter(|r| r.group == group.key);
        rows.zip(seconds).for_each(|(row, s)| row.seconds[column].push(*s));
    }

    /// The peer that ratios are to.
    fn measure(&self) -> usize {
        let has = |peer| self.peers.iter().position(|p| *p == peer);
        let measured = |column: &usize| self.rows.iter().any(|r| !r.seconds[*column].is_empty());
        has(Peer::Overlayfs).filter(measured).or(has(Peer::Native)).unwrap_or(0)
    }

    /// For people.
    pub fn print(&self, udba: &str, root: bool) {
        let measure = self.measure();
        let who = if root { "root" } else { "an ordinary user" };
        println!("union bench as {who}; ours with udba={udba}; seconds, [ratio to {}]", self.peers[measure].name());
        print!("{:<36}", "");
        self.peers.iter().for_each(|peer| print!("{:>17}", peer.name()));
        println!();
        for row in &self.rows {
            print!("{:<36}", row.name);
            let reference = median(&row.seconds[measure]);
            for seconds in &row.seconds {
                let cell = match (median(seconds), reference) {
                    (Some(s), Some(r)) if r > 0.0 => format!("{s:.4} [{:.2}]", s / r),
                    (Some(s), _) => format!("{s:.4}"),
                    (None, _) => "–".to_owned(),
                };
                print!("{cell:>17}");
            }
            println!();
        }
    }

    /// For programs: `rows[].seconds` and `rows[].ours_to` by peer.
    pub fn json(&self, udba: &str, root: bool) -> Value {
        let ours = self.peers.iter().position(|p| *p == Peer::Ours);
        let rows = self.rows.iter().map(|row| {
            let named = |value: &dyn Fn(usize) -> Option<f64>| -> Value {
                let pairs = self.peers.iter().enumerate().map(|(i, p)| (p.name().to_owned(), json!(value(i))));
                Value::Object(pairs.collect())
            };
            let ratio = |i: usize| Some(median(&row.seconds[ours?])? / median(&row.seconds[i])?);
            json!({
                "group": row.group,
                "row": row.name.trim(),
                "seconds": named(&|i| median(&row.seconds[i])),
                "ours_to": named(&ratio),
            })
        });
        json!({ "schema": 1, "udba": udba, "root": root, "rows": rows.collect::<Vec<_>>() })
    }
}

fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
