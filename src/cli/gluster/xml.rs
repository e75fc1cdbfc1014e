//! XML as `gluster --xml` writes it: two blanks of indentation, empty elements closed in themselves.

use std::fmt::Write as _;

/// An element: text, or children.
#[derive(Debug, Clone)]
pub struct Node {
    name: String,
    attributes: Vec<(&'static str, String)>,
    text: Option<String>,
    children: Vec<Node>,
}

/// An element with children.
pub fn node(name: &str, children: Vec<Node>) -> Node {
    Node { name: name.into(), attributes: vec![], text: None, children }
}

/// An element with text.
pub fn leaf(name: &str, text: impl ToString) -> Node {
    Node { text: Some(text.to_string()), ..node(name, vec![]) }
}

impl Node {
    /// With an attribute.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.attributes.push((key, value.to_string()));
        self
    }

    /// With children after its text.
    pub fn and(mut self, children: Vec<Node>) -> Self {
        self.children.extend(children);
        self
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let attributes: String = self.attributes.iter().map(|(k, v)| format!(" {k}=\"{}\"", escape(v))).collect();
        let text = self.text.as_deref().map(escape).unwrap_or_default();
        let name = &self.name;
        if self.children.is_empty() && text.is_empty() {
            let _ = writeln!(out, "{indent}<{name}{attributes}/>");
        } else if self.children.is_empty() {
            let _ = writeln!(out, "{indent}<{name}{attributes}>{text}</{name}>");
        } else if text.is_empty() {
            let _ = writeln!(out, "{indent}<{name}{attributes}>");
            self.children.iter().for_each(|child| child.write(out, depth + 1));
            let _ = writeln!(out, "{indent}</{name}>");
        } else {
            // Text and elements mixed are written without line breaks, as libxml does.
            let inner: String = self.children.iter().map(Self::inline).collect();
            let _ = writeln!(out, "{indent}<{name}{attributes}>{text}{inner}</{name}>");
        }
    }

    fn inline(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out.lines().map(str::trim_start).collect()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The document of a command that succeeded.
pub fn success(children: Vec<Node>) -> String {
    document(0, 0, "", children)
}

/// The document of a command that failed.
pub fn failure(reason: &str) -> String {
    document(-1, 30800, reason, vec![])
}

/// `heal info` puts its result before the outcome.
pub fn result_first(result: Node) -> String {
    let outcome = vec![leaf("opRet", 0), leaf("opErrno", 0), leaf("opErrstr", "")];
    whole(std::iter::once(result).chain(outcome).collect())
}

/// The same where there is none: why not comes after.
pub fn refused_first(result: Node, reason: &str) -> String {
    let outcome = vec![leaf("opRet", -1), leaf("opErrno", 5), leaf("opErrstr", reason)];
    whole(std::iter::once(result).chain(outcome).collect())
}

fn document(ret: i32, errno: i32, reason: &str, children: Vec<Node>) -> String {
    let head = vec![leaf("opRet", ret), leaf("opErrno", errno), leaf("opErrstr", reason)];
    whole(head.into_iter().chain(children).collect())
}

fn whole(children: Vec<Node>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n");
    node("cliOutput", children).write(&mut out, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shapes that scripts parse: empty, text, children, text and children.
    #[test]
    fn elements_are_written_as_gluster_writes_them() {
        let brick =
            leaf("brick", "node1:/b").with("uuid", "u").and(vec![leaf("name", "node1:/b"), leaf("isArbiter", 0)]);
        let text = success(vec![node("volInfo", vec![brick, leaf("odd", "a<b")])]);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<cliOutput>\n  <opRet>0</opRet>\n  \
            <opErrno>0</opErrno>\n  <opErrstr/>\n  <volInfo>\n    \
            <brick uuid=\"u\">node1:/b<name>node1:/b</name><isArbiter>0</isArbiter></brick>\n    <odd>a&lt;b</odd>\n  \
            </volInfo>\n</cliOutput>\n";
        assert_eq!(text, expected);
    }
}
