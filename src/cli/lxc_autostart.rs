//! `lxc-autostart`: starts, stops or lists the containers whose configuration says `lxc.start.auto = 1`, in the order of
//! `lxc.start.order`. Source: lxc-autostart(1).

use std::ffi::OsString;
use std::process::ExitCode;

use super::lxc::{Asked, Tool, opt};
use crate::container::runtime::{client, store};
use crate::container::spec::Spec;

static AUTOSTART: Tool = Tool {
    name: "lxc-autostart",
    usage: "[-k] [-L] [-r] [-s] [-a] [-A] [-g groups]",
    about: "lxc-autostart managed auto-started containers",
    options: &[
        opt('k', "kill", None, "kill the containers instead of starting them"),
        opt('L', "list", None, "list all affected containers and wait delay"),
        opt('r', "reboot", None, "reboot the containers instead of starting them"),
        opt('s', "shutdown", None, "shutdown the containers instead of starting them"),
        opt('a', "all", None, "take all auto-started containers, whatever their group"),
        opt('A', "ignore-auto", None, "take containers that are not auto-started too"),
        opt('g', "groups", Some("GROUPS"), "comma-separated list of groups to select"),
        opt('t', "timeout", Some("T"), "wait T seconds before hard-stopping"),
    ],
    wants_name: false,
};

/// `lxc-autostart`. Without `-a` and `-g` those without a group are meant.
pub fn autostart(args: &[OsString]) -> ExitCode {
    let asked = match AUTOSTART.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let names = match store::names(&asked.lxcpath()) {
        Ok(names) => names,
        Err(e) => return asked.fail(format!("cannot read {}: {e}", asked.lxcpath().display())),
    };
    let mut chosen: Vec<(String, Spec)> =
        names.into_iter().filter_map(|name| Some((name.clone(), asked.place_of(&name).spec().ok()?))).collect();
    chosen.retain(|(_, spec)| is_meant(&asked, spec));
    chosen.sort_by_key(|(name, spec)| (std::cmp::Reverse(spec.start_order), name.clone()));
    let failed = chosen.iter().filter(|(name, spec)| act(&asked, name, spec) != ExitCode::SUCCESS).count();
    if failed == 0 { ExitCode::SUCCESS } else { asked.fail(format!("{failed} of {} failed", chosen.len())) }
}

fn is_meant(asked: &Asked, spec: &Spec) -> bool {
    let group = match asked.value("groups") {
        Some(groups) => groups.split(',').any(|group| spec.groups.iter().any(|own| own == group)),
        None => asked.has("all") || spec.groups.is_empty(),
    };
    group && (spec.autostart || asked.has("ignore-auto"))
}

fn act(asked: &Asked, name: &str, spec: &Spec) -> ExitCode {
    let place = asked.place_of(name);
    let mut args: Vec<OsString> = vec!["-n".into(), name.into(), "-P".into(), place.lxcpath.clone().into()];
    if asked.has("list") {
        println!("{name} {}", spec.start_delay);
        return ExitCode::SUCCESS;
    }
    let ends = [("kill", "-k"), ("shutdown", ""), ("reboot", "-r")];
    let Some((_, how)) = ends.into_iter().find(|(option, _)| asked.has(option)) else {
        return super::lxc_start::start(&args);
    };
    if !client::is_running(&place) {
        return ExitCode::SUCCESS;
    }
    args.extend((!how.is_empty()).then(|| how.into()));
    args.extend(asked.value("timeout").into_iter().flat_map(|t| ["-t".into(), t.into()]));
    super::lxc_stop::stop(&args)
}
