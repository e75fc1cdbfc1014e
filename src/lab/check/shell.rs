//! The escape hatch: a shell line.

use serde::Deserialize;

use super::{Eyes, Finding, Look};

/// `shell: {run: test -e /tmp/x, status: 0, contains: text}`: the line ends with this status (0 if not said) and its
/// output contains this text. For what no other check can say; give it a text of the step with `as`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// The line, for `sh -c`.
    pub run: String,
    /// The exit status that is hoped for.
    #[serde(default)]
    pub status: i32,
    /// What its output must contain.
    #[serde(default)]
    pub contains: Option<String>,
}

impl Look for Shell {
    fn look(&self, eyes: &Eyes) -> Finding {
        let finding = match eyes.shell(&self.run) {
            Ok(shelled) => {
                let contains = self.contains.as_ref().is_none_or(|text| shelled.output.contains(&eyes.fill(text)));
                let finding = Finding::new("shell", shelled.status == self.status && contains, "ended");
                let shown: String = shelled.output.trim_end().chars().take(300).collect();
                finding.with("status", shelled.status).with("output", shown)
            }
            Err(why) => Finding::new("shell", false, "unrun").with("why", why),
        };
        let wanted = self.contains.as_ref().map_or(String::new(), |text| eyes.fill(text));
        finding.with("line", eyes.fill(&self.run)).with("wanted_status", self.status).with("wanted", wanted)
    }
}
