//! Images that others made: an OCI layout, or what `docker save` writes.
//!
//! Both are a folder of files that name each other. An image is a list of *layers*, each a tar archive of what it adds or
//! hides, and a configuration: what to run, where, in which environment. Hiding is done with names that AUFS gave to the
//! world (`.wh.NAME` hides NAME, `.wh..wh..opq` everything below), so an unpacked layer *is* a union branch, and an image is
//! a stack of branches: kept apart, and shared by every container that is made of it.
//!
//! This module reads the naming; the runtime unpacks. Left out: signatures, encrypted layers, images of other machines.
//!
//! Source: OCI image-spec 1.1 (image-layout.md, manifest.md, config.md, layer.md); docker save's `manifest.json`.

use serde::Deserialize;

/// A layer: where its tar lies in the image's folder, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Path in the image's folder.
    pub path: String,
    /// The digest `sha256:…` of that file, if the image says one.
    pub digest: Option<String>,
}

impl Layer {
    /// A short name for a folder: the first digits of the digest, or of what stands for one in the path.
    pub fn short(&self) -> String {
        let digest = self.digest.as_deref().unwrap_or(&self.path);
        let digits: String = digest.trim_start_matches("sha256:").chars().filter(char::is_ascii_hexdigit).collect();
        digits.chars().take(12).collect()
    }
}

/// An image, as its manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    /// Path of its configuration in the image's folder.
    pub config: String,
}

/// What an image runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Program and arguments: entry point, then command.
    pub command: Vec<String>,
    /// `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Where it begins.
    pub folder: String,
    /// `user[:group]`, by number or name; empty is root.
    pub user: String,
}

/// Why a folder is no image that can be read; in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoImage(pub String);

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(rename = "mediaType", default)]
    media_type: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
    platform: Option<Platform>,
}

impl Descriptor {
    /// Whether the image's name is this tag, or ends in it.
    fn is_called(&self, tag: &str) -> bool {
        let name = self.annotations.get("org.opencontainers.image.ref.name");
        name.is_some_and(|n| n == tag || n.ends_with(&format!(":{tag}")))
    }
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    config: Option<Running>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Running {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

/// Reads a file of the image's folder as text; `None` when it is not there.
pub type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads which layers the image in a folder has. `tag` chooses among several.
///
/// # Errors
/// When the folder is neither kind of image, or has none of this name.
pub fn image(read: Read, tag: Option<&str>) -> Result<Image, NoImage> {
    if let Some(text) = read("index.json") {
        return layout(read, &text, tag);
    }
    match read("manifest.json") {
        Some(text) => saved(&text, tag),
        None => Err(NoImage("neither index.json (OCI) nor manifest.json (docker save) is there".into())),
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &str, text: &'a str) -> Result<T, NoImage> {
    serde_json::from_str(text).map_err(|e| NoImage(format!("{name}: {e}")))
}

/// Where a layout keeps what has this digest: `blobs/sha256/HEX`.
fn blob(digest: &str) -> Result<String, NoImage> {
    let hex = digest.strip_prefix("sha256:").filter(|h| h.len() == 64 && h.chars().all(|c| c.is_ascii_hexdigit()));
    hex.map(|hex| format!("blobs/sha256/{hex}")).ok_or_else(|| NoImage(format!("`{digest}` is not a sha256 digest")))
}

fn layout(read: Read, index: &str, tag: Option<&str>) -> Result<Image, NoImage> {
    let index: Index = parse("index.json", index)?;
    let fits = |d: &&Descriptor| tag.is_none_or(|tag| d.is_called(tag));
    let found = index.manifests.iter().find(fits);
    let mut manifest = found.ok_or_else(|| NoImage(format!("no image with the tag `{}`", tag.unwrap_or(""))))?;
    let inner: Index;
    if manifest.media_type.contains("index") || manifest.media_type.contains("list") {
        let path = blob(&manifest.digest)?;
        inner = parse(&path, &read(&path).ok_or_else(|| missing(&path))?)?;
        manifest =
            inner.manifests.iter().find(ours).ok_or_else(|| NoImage("no image for this machine in it".into()))?;
    }
    let path = blob(&manifest.digest)?;
    let manifest: Manifest = parse(&path, &read(&path).ok_or_else(|| missing(&path))?)?;
    let layer = |d: Descriptor| Ok(Layer { path: blob(&d.digest)?, digest: Some(d.digest) });
    let layers = manifest.layers.into_iter().map(layer).collect::<Result<_, NoImage>>()?;
    Ok(Image { layers, config: blob(&manifest.config.digest)? })
}

fn missing(path: &str) -> NoImage {
    NoImage(format!("{path} is not there"))
}

/// Whether an image is for this machine.
fn ours(descriptor: &&Descriptor) -> bool {
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    descriptor.platform.as_ref().is_none_or(|p| p.os == "linux" && p.architecture == own)
}

fn saved(text: &str, tag: Option<&str>) -> Result<Image, NoImage> {
    let all: Vec<Saved> = parse("manifest.json", text)?;
    let fits = |s: &Saved| {
        let tags = s.repo_tags.as_deref().unwrap_or(&[]);
        tag.is_none_or(|t| tags.iter().any(|have| have == t || have.ends_with(&format!(":{t}"))))
    };
    let found = all.into_iter().find(fits);
    let image = found.ok_or_else(|| NoImage(format!("no image with the tag `{}`", tag.unwrap_or(""))))?;
    let inside = |path: &String| !path.starts_with('/') && !path.split('/').any(|p| p == "..");
    if let Some(path) = image.layers.iter().chain([&image.config]).find(|p| !inside(p)) {
        return Err(NoImage(format!("{path} leads out of the image")));
    }
    let layer =
        |path: String| Layer { digest: path.strip_prefix("blobs/sha256/").map(|h| format!("sha256:{h}")), path };
    Ok(Image { layers: image.layers.into_iter().map(layer).collect(), config: image.config })
}

/// Reads what an image runs.
///
/// # Errors
/// Text that is no image configuration.
pub fn run(config: &str) -> Result<Run, NoImage> {
    let config: Config = parse("the image's configuration", config)?;
    let running = config.config.unwrap_or_default();
    let words = |words: Option<Vec<String>>| words.unwrap_or_default();
    let command = words(running.entrypoint).into_iter().chain(words(running.cmd)).collect();
    let folder = running.working_dir.filter(|d| !d.is_empty()).unwrap_or_else(|| "/".into());
    Ok(Run { command, environment: words(running.env), folder, user: running.user.unwrap_or_default() })
}

impl Run {
    /// The lines of a container's `config` that run it.
    pub fn config(&self) -> String {
        let quoted = |word: &String| match word.as_str() {
            plain if !plain.is_empty() && !plain.contains([' ', '\t', '\'', '"']) => plain.to_string(),
            other if other.contains('\'') => format!("\"{other}\""),
            other => format!("'{other}'"),
        };
        let command = self.command.iter().map(quoted).collect::<Vec<_>>().join(" ");
        let mut text: String = self.environment.iter().map(|e| format!("lxc.environment = {e}\n")).collect();
        if !command.is_empty() {
            text += &format!("lxc.init.cmd = {command}\nlxc.execute.cmd = {command}\n");
        }
        if self.folder != "/" {
            text += &format!("lxc.init.cwd = {}\n", self.folder);
        }
        let ids: Vec<Option<u32>> = self.user.split(':').map(|id| id.parse().ok()).collect();
        match ids.as_slice() {
            [Some(0)] => {}
            [Some(uid)] => text += &format!("lxc.init.uid = {uid}\n"),
            [Some(uid), Some(gid)] => text += &format!("lxc.init.uid = {uid}\nlxc.init.gid = {gid}\n"),
            _ => {}
        }
        text
    }
}

#[cfg(test)]
mod tests {

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// An OCI layout names its manifest, and that its layers, by digest.
    #[test]
    fn an_oci_layout() {
        let manifest = format!(
            r#"{{"config":{{"digest":"sha256:{HEX}"}},"layers":[{{"digest":"sha256:{HEX}"}},{{"digest":"sha256:{HEX}"}}]}}"#
        );
        let index = format!(
            r#"{{"manifests":[{{"digest":"sha256:{HEX}","annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#
        );
        let read = |path: &str| match path {
            "index.json" => Some(index.clone()),
            path if path.starts_with("blobs/") => Some(manifest.clone()),
            _ => None,
        };
        let image = super::image(&read, Some("latest")).unwrap();
        assert_eq!((image.layers.len(), image.layers[0].short().as_str()), (2, "0123456789ab"));
        assert_eq!(super::image(&read, Some("other")).unwrap_err().to_string(), "no image with the tag `other`");
        assert!(super::image(&|_| None, None).unwrap_err().to_string().contains("neither"));
    }

    /// What `docker save` writes; a path that leads out is refused.
    #[test]
    fn a_saved_image() {
        let text = r#"[{"Config":"c.json","RepoTags":["web:1"],"Layers":["aa/layer.tar","bb/layer.tar"]}]"#;
        let read = |path: &str| (path == "manifest.json").then(|| text.to_string());
        let image = super::image(&read, Some("1")).unwrap();
        assert_eq!((image.config.as_str(), image.layers[1].path.as_str()), ("c.json", "bb/layer.tar"));
        let evil = r#"[{"Config":"c.json","Layers":["../../etc/passwd"]}]"#;
        let read = |path: &str| (path == "manifest.json").then(|| evil.to_string());
        assert!(super::image(&read, None).unwrap_err().to_string().contains("leads out"));
    }

    /// Entry point and command become pid 1's command, blanks and all.
    #[test]
    fn what_it_runs() {
        let run =
            super::run(r#"{"config":{"Entrypoint":["/bin/sh","-c"],"Cmd":["sleep 9"],"Env":["A=b"],"User":"7:8"}}"#)
                .unwrap();
        assert_eq!(
            run.config(),
            "lxc.environment = A=b\nlxc.init.cmd = /bin/sh -c 'sleep 9'\nlxc.execute.cmd = /bin/sh -c 'sleep 9'\n\
             lxc.init.uid = 7\nlxc.init.gid = 8\n"
        );
        assert_eq!(super::run("{}").unwrap().config(), "");
    }
}
