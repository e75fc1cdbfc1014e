//! `lxc-create`, `lxc-destroy`: a container's beginning and end on disk. Source: lxc-create(1), lxc-destroy(1).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::lxc::{Asked, Tool, is_name, opt};
use crate::container::Happening;
use crate::container::image::{self, Recipe, TEMPLATES};
use crate::container::protocol::Request;
use crate::container::runtime::client::{self, Client};
use crate::container::runtime::store::Place;
use crate::container::runtime::unpack::{self, Unpacked};
use crate::container::runtime::{Doing, Error, build};
use crate::world::reporter::Introduction;
use crate::world::{Reporter, What, wire};

static CREATE: Tool = Tool {
    name: "lxc-create",
    usage: "--name=NAME --template=TEMPLATE [OPTION...] [-- template-options]",
    about: "lxc-create creates a container",
    options: &[
        opt('t', "template", Some("TEMPLATE"), "debian, ubuntu, busybox, download, local, oci or none"),
        opt('f', "config", Some("CONFIG"), "Initial configuration file"),
        opt('B', "bdev", Some("BDEV"), "Backing store type to use: dir"),
        opt(' ', "dir", Some("DIR"), "Place rootfs directory under DIR"),
    ],
    wants_name: true,
};

static DESTROY: Tool = Tool {
    name: "lxc-destroy",
    usage: "--name=NAME [-f]",
    about: "lxc-destroy destroys a container with the identifier NAME",
    options: &[
        opt('f', "force", None, "wait for the container to shut down"),
        opt('s', "snapshots", None, "destroy including all snapshots"),
        opt(' ', "rcfile", Some("FILE"), "Load configuration file FILE"),
    ],
    wants_name: true,
};

/// `lxc-create`.
pub fn create(args: &[OsString]) -> ExitCode {
    let asked = match CREATE.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let Some(template) = asked.value("template") else {
        asked.say("A template must be specified");
        return asked.fail("Use \"none\" if you really want a container without a rootfs");
    };
    let place = asked.place();
    if !is_name(asked.name()) {
        return asked.fail("this cannot be a container's name (no `/`, at most 63 characters)");
    }
    if place.is_defined() {
        return asked.fail("Container already exists");
    }
    match make(&asked, &place, template) {
        Ok(bytes) => {
            let rootfs = rootfs_of(&asked, &place);
            report(&place, Happening::Created { template: template.into(), rootfs, bytes });
            ExitCode::SUCCESS
        }
        Err(error) => {
            asked.say(error);
            asked.fail(format!("Failed to create container {}", asked.name()))
        }
    }
}

fn rootfs_of(asked: &Asked, place: &Place) -> String {
    asked.value("dir").map_or_else(|| place.dir().join("rootfs").display().to_string(), String::from)
}

/// What a container is made of.
enum Source {
    /// Nothing: a configuration alone.
    None,
    /// A small root of our own.
    Own(Box<Recipe>),
    /// An image in layers.
    Image(PathBuf, Option<String>),
    /// A root filesystem in an archive.
    Archive(PathBuf),
}

/// Makes root filesystem and configuration; gives the bytes of the former.
fn make(asked: &Asked, place: &Place, template: &str) -> Result<u64, Error> {
    if let Some(store) = asked.value("bdev").filter(|b| !["dir", "best", "_unset"].contains(b)) {
        return Err(Error::said(format!("there is no backing store `{store}` here; there is: dir")));
    }
    let source = source_of(asked, template)?;
    let fresh = !place.dir().exists();
    let made = write(asked, place, template, &source);
    if made.is_err() && fresh {
        let _ = fs::remove_dir_all(place.dir());
    }
    made
}

fn write(asked: &Asked, place: &Place, template: &str, source: &Source) -> Result<u64, Error> {
    fs::create_dir_all(place.dir()).doing(|| format!("make {}", place.dir().display()))?;
    let base = base_config(asked)?;
    let rootfs = rootfs_of(asked, place);
    let config = |path: &str, extra: &str| image::config(template, asked.name(), path, &base, extra);
    let (bytes, config) = match source {
        Source::None => (0, base.clone()),
        Source::Own(recipe) => {
            let bytes = build::make(recipe, Path::new(&rootfs))?;
            tell(asked, &recipe.says);
            (bytes, config(&format!("dir:{rootfs}"), ""))
        }
        Source::Archive(path) => {
            fs::create_dir_all(&rootfs).doing(|| format!("make {rootfs}"))?;
            unpack::archive(path, Path::new(&rootfs))?;
            (build::size(Path::new(&rootfs)), config(&format!("dir:{rootfs}"), ""))
        }
        Source::Image(path, tag) => {
            let image = unpack::image(path, tag.as_deref(), &place.lxcpath.join(".layers"))?;
            let bytes = image.layers.iter().map(|l| build::size(l)).sum();
            let (root, extra) = layered(place, &image)?;
            tell(
                asked,
                &format!(
                    "{} layers, kept as branches of a union; what the container writes goes to its own.\n",
                    image.layers.len()
                ),
            );
            (bytes, config(&root, &extra))
        }
    };
    fs::write(place.config_path(), config).doing(|| format!("write {}", place.config_path().display()))?;
    Ok(bytes)
}

/// The root of a container made of an image: its own branch over the layers, topmost first; and what it runs. An image that
/// has an init of its own keeps it.
fn layered(place: &Place, image: &Unpacked) -> Result<(String, String), Error> {
    let own = place.dir().join("writable");
    for needed in ["proc", "sys", "dev", "etc"] {
        let path = own.join(needed);
        fs::create_dir_all(&path).doing(|| format!("make {}", path.display()))?;
    }
    let hostname = own.join("etc/hostname");
    fs::write(&hostname, format!("{}\n", place.name)).doing(|| format!("write {}", hostname.display()))?;
    let below: String = image.layers.iter().rev().map(|l| format!("{}:", l.display())).collect();
    let has_init = image.layers.iter().any(|l| l.join("sbin/init").symlink_metadata().is_ok());
    let run = image.run.config();
    let kept = |line: &&str| !(has_init && line.starts_with("lxc.init.cmd"));
    let run = run.lines().filter(kept).fold(String::new(), |all, line| all + line + "\n");
    Ok((format!("aufs:{below}{}", own.display()), run))
}

fn tell(asked: &Asked, words: &str) {
    if !asked.has("quiet") {
        print!("{words}");
    }
}

/// What `-f` names, or the machine's own default, as far as it is about us: what it would leave out is left out now.
fn base_config(asked: &Asked) -> Result<String, Error> {
    if let Some(path) = asked.value("config") {
        return fs::read_to_string(path).doing(|| format!("read {path}"));
    }
    let text = fs::read_to_string("/etc/lxc/default.conf").unwrap_or_default();
    let ours =
        |line: &&str| !line.trim_start().starts_with("lxc.apparmor") && !line.trim_start().starts_with("lxc.net.");
    Ok(text.lines().filter(ours).filter(|l| !l.trim().is_empty()).fold(String::new(), |all, l| all + l + "\n"))
}

/// What a template means: `download -- -d ubuntu` is our own `ubuntu`, `oci -- --url oci:DIR:TAG` an image,
/// `local -- --fstree TAR` (or `--rootfs`) an archive.
fn source_of(asked: &Asked, template: &str) -> Result<Source, Error> {
    let name = Path::new(template).file_name().map_or(template.into(), |n| n.to_string_lossy());
    let own = |style: &str| Recipe::of(style, asked.name(), &build::host()).map(|r| Source::Own(Box::new(r)));
    match name.strip_prefix("lxc-").unwrap_or(&name) {
        "none" => Ok(Source::None),
        "download" => {
            let dist = template_option(asked, &["-d", "--dist"]).unwrap_or_else(|| "debian".into());
            let all = TEMPLATES.join(" ");
            own(&dist).ok_or_else(|| {
                Error::said(format!("there is no network here, and no `{dist}` on this machine; there are: {all}"))
            })
        }
        "oci" => {
            let url = template_option(asked, &["-u", "--url"]).or_else(|| asked.rest.last().cloned());
            let url = url.ok_or_else(|| {
                Error::said("which image? lxc-create -t oci -n NAME -- --url oci:DIRECTORY[:TAG] (or a tar)")
            })?;
            image_of(&url)
        }
        "local" => match template_option(asked, &["--fstree", "-f", "--rootfs", "--metadata", "-m"]) {
            Some(path) => Ok(Source::Archive(path.into())),
            None => own("debian").ok_or_else(|| no_template(template)),
        },
        style => own(style).ok_or_else(|| no_template(template)),
    }
}

/// The value of an option after `--`, in either spelling.
fn template_option(asked: &Asked, names: &[&str]) -> Option<String> {
    let mut words = asked.rest.iter();
    while let Some(word) = words.next() {
        if names.contains(&word.as_str()) {
            return words.next().cloned();
        }
        if let Some((_, value)) = word.split_once('=').filter(|(name, _)| names.contains(name)) {
            return Some(value.into());
        }
    }
    None
}

/// `oci:DIR:TAG`, `docker-archive:TAR:TAG`, or just a path. An image of a registry would need a network.
fn image_of(url: &str) -> Result<Source, Error> {
    if url.starts_with("docker://") {
        return Err(Error::said(format!(
            "{url}: there is no network here; save it outside (docker save -o image.tar …) and give the file"
        )));
    }
    let kinds = ["oci-archive:", "oci:", "docker-archive:", "dir:"];
    let path = kinds.iter().find_map(|kind| url.strip_prefix(kind)).unwrap_or(url);
    let (path, tag) = match path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((path, tag)) if !Path::new(&format!("{path}:{tag}")).exists() => (path, Some(tag.to_string())),
        _ => (path, None),
    };
    let full = fs::canonicalize(path).doing(|| format!("find the image {path}"))?;
    Ok(Source::Image(full, tag))
}

fn no_template(template: &str) -> Error {
    Error::said(format!(
        "Template \"{template}\" not found; there are: {} download local oci none",
        TEMPLATES.join(" ")
    ))
}

/// Tells the world something about a container that does not run.
fn report(place: &Place, happening: Happening) {
    let name = format!("container:{}", place.name);
    let introduction = Introduction { name, role: "container".into(), ..Introduction::default() };
    if let Ok(reporter) = Reporter::connect(&wire::socket_path(), introduction, |_| {}) {
        reporter.report(None, What::Container(happening));
        reporter.flush(std::time::Duration::from_millis(100));
    }
}

/// `lxc-destroy`.
pub fn destroy(args: &[OsString]) -> ExitCode {
    let asked = match DESTROY.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let place = asked.place();
    if !place.is_defined() {
        return asked.fail("Container is not defined");
    }
    if client::is_running(&place) {
        if !asked.has("force") {
            return asked.fail(format!("{} is running", asked.name()));
        }
        if let Ok(Some(mut client)) = Client::connect(&place) {
            let _ = client.ask(&Request::Kill).map(|_| client.wait_for_end(None));
        }
    }
    match build::destroy(&place) {
        Ok(()) => {
            report(&place, Happening::Destroyed);
            ExitCode::SUCCESS
        }
        Err(error) => {
            asked.say(error);
            asked.fail(format!("Destroying {} failed", asked.name()))
        }
    }
}
