//! A file of the world.

use serde::Deserialize;

use super::{Eyes, Finding, Look};

/// `file: {path: /mnt/a, contains: hello}`: the file is there and its content is as said. Read by `cat` in the world, so
/// that it is what a student would see; with `on: server2`, as that server sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its absolute path.
    pub path: String,
    /// The server whose file system is meant; without it, the world's own.
    #[serde(default)]
    pub on: Option<String>,
    /// It contains this text.
    #[serde(default)]
    pub contains: Option<String>,
    /// It is exactly this text, but for white space at the end.
    #[serde(default)]
    pub equal: Option<String>,
    /// It must not exist.
    #[serde(default)]
    pub absent: bool,
}

impl Look for File {
    fn look(&self, eyes: &Eyes) -> Finding {
        let path = eyes.fill(&self.path);
        let quoted = format!("'{}'", path.replace('\'', r"'\''"));
        let there = format!("if [ -e {quoted} ] || [ -L {quoted} ]; then cat -- {quoted}; else exit 44; fi");
        let line = match &self.on {
            Some(server) => {
                format!("lab on {} sh -c '{}'", eyes.name(server), there.replace('\'', r"'\''"))
            }
            None => there,
        };
        let finding = match eyes.shell(&line) {
            Ok(shelled) if shelled.status == 44 => Finding::new("file", self.absent, "absent"),
            Ok(shelled) if shelled.status == 0 => self.judge(eyes, &shelled.output),
            Ok(shelled) => Finding::new("file", false, "unreadable").with("why", shelled.output.trim()),
            Err(why) => Finding::new("file", false, "unreadable").with("why", why),
        };
        let mut finding = finding.with("path", path).with("on", self.on.as_ref().map_or("", String::as_str));
        finding.hoped.key = format!("file.{}", self.hoped());
        finding.with("wanted", self.contains.as_ref().or(self.equal.as_ref()).map_or(String::new(), |w| eyes.fill(w)))
    }
}

impl File {
    fn judge(&self, eyes: &Eyes, content: &str) -> Finding {
        let contains = self.contains.as_ref().is_none_or(|text| content.contains(&eyes.fill(text)));
        let equal = self.equal.as_ref().is_none_or(|text| content.trim_end() == eyes.fill(text).trim_end());
        let shown: String = content.chars().take(200).collect();
        Finding::new("file", !self.absent && contains && equal, "there").with("content", shown.trim_end())
    }

    fn hoped(&self) -> &'static str {
        match (self.absent, &self.contains, &self.equal) {
            (true, ..) => "hoped_absent",
            (_, Some(_), _) => "hoped_contains",
            (_, _, Some(_)) => "hoped_equal",
            _ => "hoped",
        }
    }
}
