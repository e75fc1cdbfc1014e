//! What a client is answered, through a node's client port.

use serde::Deserialize;
use serde_json::Value;

use super::{Eyes, Finding, Look};
use crate::world::Command;

/// `client: {node: leader, words: GET x, is: 5}`: a client that asks this is answered that. Or `fails: true`: it gets an
/// error, or no answer in time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The node that the client talks to.
    pub node: String,
    /// The request.
    pub words: String,
    /// The answer that is hoped for.
    #[serde(default)]
    pub is: Option<String>,
    /// An error is hoped for.
    #[serde(default)]
    pub fails: bool,
}

impl Look for Client {
    fn look(&self, eyes: &Eyes) -> Finding {
        let (node, request) = (eyes.name(&self.node), eyes.fill(&self.words));
        let words: Vec<_> = request.split_whitespace().map(str::to_owned).collect();
        let answer = eyes.ask(Command::Client(node.clone(), words));
        let wanted = self.is.as_ref().map(|is| eyes.fill(is));
        let (passed, saw, text) = match answer {
            Ok(value) => {
                let text = plain(&value);
                (!self.fails && wanted.as_ref().is_none_or(|w| *w == text), "answered", text)
            }
            Err(why) => (self.fails, "failed", why),
        };
        let mut finding = Finding::new("client", passed, saw).with("node", node).with("request", request);
        if self.fails {
            finding.hoped.key = "client.hoped_error".into();
        }
        finding = finding.with("answer", text);
        finding.with("wanted", wanted.unwrap_or_default())
    }
}

/// A reply in words: a text without quotes, `nil` for null.
pub(in crate::lab) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nil".into(),
        other => other.to_string(),
    }
}
