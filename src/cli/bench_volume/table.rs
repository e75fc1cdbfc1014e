//! Figures of several peers, side by side.

/// What each peer took, round by round.
type Figures = Vec<(String, Vec<f64>)>;

/// Rows in the order in which they were first noted; each peer's figures.
#[derive(Debug, Default)]
pub struct Measured {
    peers: Vec<String>,
    rows: Vec<(String, Figures)>,
}

impl Measured {
    /// A figure of one round.
    pub fn note(&mut self, peer: &str, row: &str, figure: f64) {
        eprintln!("  {peer}: {row}: {figure:.4}");
        if !self.peers.iter().any(|p| p == peer) {
            self.peers.push(peer.into());
        }
        let at = self.rows.iter().position(|(name, _)| name == row).unwrap_or_else(|| {
            self.rows.push((row.into(), vec![]));
            self.rows.len() - 1
        });
        let figures = &mut self.rows[at].1;
        match figures.iter_mut().find(|(p, _)| p == peer) {
            Some((_, all)) => all.push(figure),
            None => figures.push((peer.into(), vec![figure])),
        }
    }

    /// A peer's median of a row.
    fn median(&self, row: usize, peer: &str) -> Option<f64> {
        let mut all = self.rows[row].1.iter().find(|(p, _)| p == peer)?.1.clone();
        all.sort_by(f64::total_cmp);
        Some(all[all.len() / 2])
    }

    /// How many times as fast as GlusterFS ours is; rates count the other way round.
    fn gain(&self, row: usize) -> Option<f64> {
        let (theirs, ours) = (self.median(row, "glusterfs")?, self.median(row, "ours")?);
        Some(if self.rows[row].0.contains("/s") { ours / theirs } else { theirs / ours })
    }

    /// A table; its last column is how many times as fast as GlusterFS ours is.
    pub fn print(&self) {
        print!("{:<34}", "seconds, or a second where it says so");
        self.peers.iter().for_each(|p| print!("{p:>12}"));
        println!("{:>14}", "ours/gluster");
        for (row, (name, _)) in self.rows.iter().enumerate() {
            print!("{name:<37}");
            for peer in &self.peers {
                let cell = self.median(row, peer).map_or("–".into(), figure);
                print!("{cell:>12}");
            }
            println!("{:>14}", self.gain(row).map_or("–".into(), |g| format!("{g:.1}×")));
        }
    }

    /// `{"row": {"native": 0.1, "glusterfs": 4.6, "ours": 0.8, "gain": 5.7}, …}`.
    pub fn print_json(&self) {
        let mut all = serde_json::Map::new();
        for (row, (name, _)) in self.rows.iter().enumerate() {
            let mut figures = serde_json::Map::new();
            for peer in &self.peers {
                figures.insert(peer.clone(), self.median(row, peer).into());
            }
            figures.insert("gain".into(), self.gain(row).into());
            all.insert(name.clone(), figures.into());
        }
        println!("{}", serde_json::Value::Object(all));
    }
}

fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Medians of the rounds; seconds and rates are compared so that more is better.
    #[test]
    fn gains_count_the_right_way_round() {
        let mut measured = Measured::default();
        for (peer, figures) in [("glusterfs", [4.0, 5.0, 90.0]), ("ours", [1.0, 0.5, 9.0])] {
            figures.iter().for_each(|f| measured.note(peer, "create", *f));
        }
        measured.note("glusterfs", "created/s", 200.0);
        measured.note("ours", "created/s", 1000.0);
        assert_eq!(measured.gain(0), Some(5.0));
        assert_eq!(measured.gain(1), Some(5.0));
        assert_eq!(measured.median(0, "native"), None);
    }
}
