//! `lxc-create`, `lxc-destroy`: a container's beginning and end on disk. Source: lxc-create(1), lxc-destroy(1).

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::lxc::{Asked, Tool, is_name, opt};
use crate::container::Happening;
use crate::container::image::{self, Recipe, TEMPLATES};
use crate::container::protocol::Request;
use crate::container::runtime::client::{self, Client};
use crate::container::runtime::store::Place;
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

/// Makes root filesystem and configuration; gives the bytes of the former.
fn make(asked: &Asked, place: &Place, template: &str) -> Result<u64, Error> {
    if let Some(store) = asked.value("bdev").filter(|b| !["dir", "best", "_unset"].contains(b)) {
        return Err(Error::said(format!("there is no backing store `{store}` here; there is: dir")));
    }
    let rootfs = rootfs_of(asked, place);
    let style = style_of(asked, template)?;
    let recipe = match style.as_str() {
        "none" => None,
        style => Some(Recipe::of(style, asked.name(), &build::host()).ok_or_else(|| no_template(template))?),
    };
    let fresh = !place.dir().exists();
    let made = write(asked, place, template, &rootfs, recipe.as_ref());
    if made.is_err() && fresh {
        let _ = fs::remove_dir_all(place.dir());
    }
    made
}

fn write(asked: &Asked, place: &Place, template: &str, rootfs: &str, recipe: Option<&Recipe>) -> Result<u64, Error> {
    fs::create_dir_all(place.dir()).doing(|| format!("make {}", place.dir().display()))?;
    let base = base_config(asked)?;
    let mut bytes = 0;
    let mut config = base.clone();
    if let Some(recipe) = recipe {
        bytes = build::make(recipe, Path::new(rootfs))?;
        config = image::config(template, asked.name(), rootfs, &base, "");
        if !asked.has("quiet") {
            print!("{}", recipe.says);
        }
    }
    fs::write(place.config_path(), config).doing(|| format!("write {}", place.config_path().display()))?;
    Ok(bytes)
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

/// Which of our own roots a template means: `download -- -d ubuntu` is `ubuntu`.
fn style_of(asked: &Asked, template: &str) -> Result<String, Error> {
    let name = Path::new(template).file_name().map_or(template.into(), |n| n.to_string_lossy());
    let name = name.strip_prefix("lxc-").unwrap_or(&name);
    if name != "download" {
        return Ok(name.into());
    }
    let wanted = ["-d", "--dist"].iter().find_map(|option| {
        let at = asked.rest.iter().position(|w| w == option)?;
        asked.rest.get(at + 1).cloned()
    });
    let wanted = wanted.or_else(|| asked.rest.iter().find_map(|w| w.strip_prefix("--dist=").map(String::from)));
    let dist = wanted.unwrap_or_else(|| "debian".into());
    if TEMPLATES.contains(&dist.as_str()) {
        Ok(dist)
    } else {
        Err(Error::said(format!(
            "there is no network here, and no `{dist}` on this machine; there are: {}",
            TEMPLATES.join(" ")
        )))
    }
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
