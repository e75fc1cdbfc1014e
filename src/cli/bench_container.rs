//! `terrarium bench container`: a start and an attach beside real LXC and beside bare namespaces, in one run.
//!
//! Ours are measured in a fresh world, LXC (when it is installed and we are root) in a folder of its own with the same busybox
//! root and an `empty` network. What is not there is left out and said. Every figure is a median in milliseconds, with the fastest beside it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;

/// How many containers share one union image in the last row.
const CROWD: usize = 10;

/// Measures start and attach of a container beside real LXC and bare namespaces.
///
/// Example: terrarium bench container --rounds 50
#[derive(Debug, Parser)]
#[command(name = "terrarium bench container")]
struct Args {
    /// How often each thing is done.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Measure ours, in the world that we are in.
    #[arg(long, hide = true)]
    inside: bool,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args: Args = match super::parse("terrarium bench container", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let measured = if args.inside { ours(args.rounds) } else { everybody(args.rounds) };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("terrarium bench container: {why}");
            ExitCode::from(3)
        }
    }
}

fn everybody(rounds: u32) -> Result<(), String> {
    println!("{:<34} {:>10} {:>10}", "milliseconds", "median", "fastest");
    let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let rounds_word = rounds.to_string();
    let world = ["run", "--", "terrarium", "bench", "container", "--inside", "--rounds", rounds_word.as_str()];
    let folder = own_folder();
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let status = Command::new(own).args(world).current_dir(&folder).status();
    let _ = fs::remove_dir_all(&folder);
    let status = status.map_err(|e| format!("cannot open a world: {e}"))?;
    if !status.success() {
        return Err("the world of ours failed".into());
    }
    bare(rounds)?;
    match real_lxc() {
        Some(tools) => real(&tools, rounds),
        None => {
            println!("LXC: left out (it is not installed, or this is not root)");
            Ok(())
        }
    }
}

/// A folder for one run of the bench, so that it does not matter where it is started.
fn own_folder() -> PathBuf {
    std::env::temp_dir().join(format!("terrarium-bench-{}", std::process::id()))
}

/// Runs a command that must succeed, silently.
fn run(program: &Path, args: &[&str]) -> Result<(), String> {
    let done =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let done = done.map_err(|e| format!("{}: {e}", program.display()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_string();
    Err(format!("{} {}: {said}", program.display(), args.join(" ")))
}

/// Milliseconds that something takes.
fn timed(work: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let begun = Instant::now();
    work().map(|()| begun.elapsed().as_secs_f64() * 1000.0)
}

fn row(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    if let (Some(fastest), Some(median)) = (times.first(), times.get(times.len() / 2)) {
        println!("{name:<34} {median:>10.1} {fastest:>10.1}");
    }
}

/// Starts, attaches to and stops `bench` again and again with the tools in a folder; `extra` goes to every command.
fn cycle(name: &str, tools: &Path, extra: &[&str], rounds: u32) -> Result<(), String> {
    let tool = |name: &str| tools.join(name);
    let with =
        |more: &[&str]| [&["-n", "bench"], extra, more].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let call = |program: &str, more: &[&str]| {
        let args = with(more);
        run(&tool(program), &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (mut starts, mut attaches, mut both, mut stops) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = timed(|| call("lxc-start", &[]))?;
        let attach = timed(|| call("lxc-attach", &["--", "true"]))?;
        stops.push(timed(|| call("lxc-stop", &["-k"]))?);
        starts.push(start);
        attaches.push(attach);
        both.push(start + attach);
    }
    row(&format!("{name}: start + attach true"), both);
    row(&format!("{name}: start"), starts);
    row(&format!("{name}: attach true"), attaches);
    row(&format!("{name}: stop -k"), stops);
    Ok(())
}

/// Ours, in the world that we are in.
fn ours(rounds: u32) -> Result<(), String> {
    let tools = Path::new(crate::sandbox::shims::BIN);
    run(&tools.join("lxc-create"), &["-q", "-t", "busybox", "-n", "bench"])?;
    cycle("ours", tools, &[], rounds)?;
    crowd(tools)
}

/// Ten containers on one image: each has a union of its own writable branch over the same root.
fn crowd(tools: &Path) -> Result<(), String> {
    let base = Path::new("/var/lib/lxc");
    let words = |e: std::io::Error| e.to_string();
    for n in 0..CROWD {
        let dir = base.join(format!("crowd{n}"));
        ["rootfs", "writable"].iter().try_for_each(|sub| fs::create_dir_all(dir.join(sub))).map_err(words)?;
        let (root, branches) =
            (dir.join("rootfs"), format!("br={}/writable=rw:{}/bench/rootfs=ro", dir.display(), base.display()));
        run(Path::new("mount"), &["-t", "aufs", "-o", &branches, "none", &root.to_string_lossy()])?;
        let config = format!(
            "lxc.include = /usr/share/lxc/config/common.conf\nlxc.rootfs.path = {}\nlxc.net.0.type = empty\n",
            root.display()
        );
        fs::write(dir.join("config"), config).map_err(words)?;
    }
    let all = timed(|| (0..CROWD).try_for_each(|n| run(&tools.join("lxc-start"), &["-n", &format!("crowd{n}")])))?;
    row(&format!("ours: start of {CROWD} on one union image"), vec![all]);
    (0..CROWD).try_for_each(|n| run(&tools.join("lxc-stop"), &["-k", "-n", &format!("crowd{n}")]))
}

/// The least that a container can cost: namespaces around `true`.
fn bare(rounds: u32) -> Result<(), String> {
    let unshare = Path::new("unshare");
    let bare = || {
        run(unshare, &["--user", "--map-root-user", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "true"])
    };
    if let Err(why) = bare() {
        println!("bare namespaces: left out ({why})");
        return Ok(());
    }
    let times = (0..rounds).map(|_| timed(bare)).collect::<Result<_, _>>()?;
    row("bare namespaces around true", times);
    Ok(())
}

/// The folder of real LXC's tools.
fn real_lxc() -> Option<PathBuf> {
    let folders = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let own = std::env::current_exe().ok();
    let real = |folder: &&PathBuf| {
        let tool = folder.join("lxc-start");
        tool.is_file() && fs::canonicalize(&tool).ok() != own
    };
    folders.iter().find(real).filter(|_| nix::unistd::geteuid().is_root()).cloned()
}

/// Real LXC, with the same kind of root in a folder of its own.
fn real(tools: &Path, rounds: u32) -> Result<(), String> {
    let dir = own_folder();
    let path = dir.to_string_lossy().into_owned();
    let measured = prepare_real(&dir).and_then(|()| cycle("LXC", tools, &["-P", &path], rounds));
    let _ = run(&tools.join("lxc-stop"), &["-k", "-n", "bench", "-P", &path]);
    let _ = fs::remove_dir_all(&dir);
    measured
}

fn prepare_real(dir: &Path) -> Result<(), String> {
    use crate::container::image::Recipe;
    use crate::container::runtime::build;
    let root = dir.join("bench/rootfs");
    let recipe = Recipe::of("busybox", "bench", &build::host()).ok_or("no busybox style")?;
    build::make(&recipe, &root).map_err(|e| e.to_string())?;
    let config = format!(
        "lxc.rootfs.path = dir:{}\nlxc.uts.name = bench\nlxc.net.0.type = empty\nlxc.tty.max = 4\nlxc.pty.max = 1024\n\
         lxc.mount.auto = proc:mixed sys:ro\nlxc.apparmor.profile = unconfined\n",
        root.display()
    );
    fs::write(dir.join("bench/config"), config).map_err(|e| e.to_string())
}
