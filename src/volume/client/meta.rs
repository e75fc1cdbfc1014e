//! `.meta`: what a mount knows of itself, as a directory that listings do not show.
//!
//! It has the stack of translators (`graphs/active/gv0-replicate-0/…`: type, options, what is below, and in `private` what it tells
//! of its state), and the process (`cmdline`, `version`, `logging`). The tree is a function of what is known, made anew whenever
//! somebody looks.
//!
//! Left out: what GlusterFS measures there (`profile`, `latency`, `meminfo`), and writing.

use crate::volume::dump::Section;
use crate::volume::volfile::{self, Translator};

/// A file or directory of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir(Vec<(String, Node)>),
    /// A file's content.
    File(String),
    /// Where a symbolic link leads.
    Link(String),
}

/// What the tree tells.
pub struct About<'a> {
    /// The translators, leaves first.
    pub stack: &'a [Translator],
    /// The graph's name: host, process, time.
    pub graph: &'a str,
    /// What a translator tells of its state.
    pub private: &'a dyn Fn(&str) -> Option<Section>,
    /// What the mount itself tells.
    pub fuse: Section,
    /// Where it is mounted.
    pub point: &'a str,
    /// The command line of the process.
    pub command: &'a str,
    /// The client's identity.
    pub uuid: &'a str,
    /// Its log.
    pub log: &'a str,
    /// How much is logged.
    pub level: &'a str,
}

const LEVELS: [&str; 10] =
    ["NONE", "EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG", "TRACE"];

/// The whole tree.
pub fn tree(about: &About<'_>) -> Node {
    let level = LEVELS.iter().position(|level| *level == about.level).unwrap_or(7);
    dir([
        ("graphs", dir([("active", link(about.graph)), (about.graph, graph(about))])),
        ("frames", file("{ \n\t\"Stack\": [\n\t],\n\t\"Call_Count\": 0\n}")),
        ("logging", dir([("logfile", link(about.log)), ("loglevel", line(level))])),
        ("process_uuid", line(about.uuid)),
        ("version", file("{ \n  \"Package Version\": \"10.3\"\n}")),
        ("cmdline", file(format!("{{ \n  \"Cmdlinestr\": {}\n}}", serde_json::json!(about.command)))),
        ("root", root(about)),
    ])
}

/// The node at a path (`graphs/active/gv0/type`) whose links were followed already; the empty path is the tree itself.
pub fn at<'a>(tree: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('/').filter(|part| !part.is_empty()).try_fold(tree, |node, part| match node {
        Node::Dir(entries) => entries.iter().find(|(name, _)| name == part).map(|(_, node)| node),
        _ => None,
    })
}

fn graph(about: &About<'_>) -> Node {
    let top = about.stack.last().map_or("", |t| t.name.as_str());
    let head = [("top", link(top)), ("volfile", file(volfile::text(about.stack)))];
    // A brick's path is no name for a file; no brick is in a mount's stack.
    let named = about.stack.iter().map(|t| (t.name.as_str(), translator(t, (about.private)(&t.name))));
    dir(head.into_iter().chain(named))
}

fn translator(of: &Translator, private: Option<Section>) -> Node {
    let options = of.options.iter().map(|(key, value)| (key.as_str(), line(value)));
    let below = of.below.iter().enumerate().map(|(n, name)| (n.to_string(), link(format!("../../{name}"))));
    dir([
        ("type", line(of.kind)),
        ("name", line(&of.name)),
        ("subvolumes", Node::Dir(below.collect())),
        ("options", dir(options)),
        ("private", file(private.map_or(String::new(), |section| section.text(" = ")))),
    ])
}

fn root(about: &About<'_>) -> Node {
    let below = dir([("0", link(format!("../../graphs/{}/top", about.graph)))]);
    dir([
        ("type", line("mount/fuse")),
        ("name", line("fuse")),
        ("subvolumes", below),
        ("options", dir([("mountpoint", line(about.point))])),
        ("private", file(about.fuse.text(" = "))),
    ])
}

fn dir<S: Into<String>>(entries: impl IntoIterator<Item = (S, Node)>) -> Node {
    Node::Dir(entries.into_iter().map(|(name, node)| (name.into(), node)).collect())
}

fn file(text: impl Into<String>) -> Node {
    Node::File(text.into())
}

fn line(value: impl std::fmt::Display) -> Node {
    Node::File(format!("{value}\n"))
}

fn link(to: impl Into<String>) -> Node {
    Node::Link(to.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::definition::tests::volume;

    /// What scripts look for is where GlusterFS has it.
    #[test]
    fn the_tree_is_where_scripts_look() {
        let stack = volfile::mount(&volume(3, 1, 3), false);
        let up = |name: &str| name.contains("replicate").then(|| Section::new(name).with("child_up[0]", 1));
        let about = About {
            stack: &stack,
            graph: "server1-7",
            private: &up,
            fuse: Section::new("fuse").with("attribute_timeout", 1),
            point: "/mnt",
            command: "glusterfs \"x\"",
            uuid: "u",
            log: "/l",
            level: "DEBUG",
        };
        let tree = tree(&about);
        let text = |path: &str| match at(&tree, path) {
            Some(Node::File(text) | Node::Link(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(text("graphs/active"), "server1-7");
        assert_eq!(text("graphs/server1-7/gv0-replicate-0/options/arbiter-count"), "1\n");
        assert_eq!(text("graphs/server1-7/gv0-replicate-0/subvolumes/2"), "../../gv0-client-2");
        assert_eq!(text("graphs/server1-7/gv0-replicate-0/private"), "[gv0-replicate-0]\nchild_up[0] = 1\n");
        assert_eq!(text("graphs/server1-7/gv0-client-1/options/remote-subvolume"), "/data/b\n");
        assert_eq!(text("logging/loglevel"), "8\n");
        let command: serde_json::Value = serde_json::from_str(&text("cmdline")).expect("it is JSON");
        assert_eq!(command["Cmdlinestr"], "glusterfs \"x\"");
        assert!(serde_json::from_str::<serde_json::Value>(&text("frames")).is_ok());
        assert_eq!(at(&tree, "graphs/nosuch"), None);
    }
}
