//! Four servers side by side on one machine, each with an address and a folder of its own.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_terrarium");
/// As long as the real folder of the bricks, so that tables keep their columns.
const SHOWN: &str = "/tmp/golden";

/// Servers `server1`…`server4`; their processes end with the value.
pub struct Pool {
    root: PathBuf,
}

impl Pool {
    /// Four servers on which nothing runs yet.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = std::process::id() * 16 + NEXT.fetch_add(1, Relaxed);
        let root = PathBuf::from(format!("/tmp/g{:05x}", unique & 0xf_ffff));
        let _ = std::fs::remove_dir_all(&root);
        let address = |n: u32| Ipv4Addr::from(0x7f40_0000 | ((unique << 3) & 0x3f_fff8) | n);
        let hosts: String = (1..=4).map(|n| format!("{} server{n}\n", address(n))).collect();
        for n in 1..=4 {
            std::fs::create_dir_all(root.join(format!("server{n}"))).unwrap();
        }
        std::fs::write(root.join("hosts"), hosts).unwrap();
        Self { root }
    }

    /// A command of the program as `server`.
    pub fn command(&self, server: &str, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).env("TERRARIUM_SERVER", server).env("TERRARIUM_ROOT", &self.root);
        command.env("TERRARIUM_HOSTS", self.root.join("hosts")).env("TERRARIUM_KEEPER", self.root.join("nobody"));
        command
    }

    /// Runs it with `input`.
    pub fn run(&self, server: &str, words: &[&str], input: &str) -> Output {
        let mut command = self.command(server, words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs `SERVER COMMAND [<<< INPUT]` and gives what it said, as transcripts write it. Besides the program's tools there are
    /// `mkdir`, `touch` and `rm` for the folder of the bricks, `kill WHAT` for processes whose arguments hold a word, `sh LINE`
    /// in the pool's folder, and `until REGEX COMMAND`, which repeats a command until its output fits and shows nothing.
    pub fn say(&self, line: &str) -> String {
        let (line, input) =
            line.split_once(" <<<").map_or((line, String::new()), |(l, i)| (l, format!("{}\n", i.trim())));
        let line = line.replace(SHOWN, &self.root.display().to_string());
        let words: Vec<&str> = line.split_whitespace().collect();
        let (server, words) = words.split_first().expect("a server");
        match words {
            ["mkdir", path] => std::fs::create_dir_all(path).map(|()| String::new()).unwrap(),
            ["touch", path] => std::fs::write(path, "").map(|()| String::new()).unwrap(),
            ["rm", path] => std::fs::remove_dir_all(path).map(|()| String::new()).unwrap(),
            ["kill", word] => self.kill(server, word),
            ["sh", ..] => self.show(&self.shell(line.split_once(" sh ").map_or("", |(_, rest)| rest))),
            ["until", fits, words @ ..] => {
                let fits = regex::Regex::new(fits).unwrap();
                until(&line, || fits.is_match(&String::from_utf8_lossy(&self.run(server, words, "").stdout)));
                String::new()
            }
            _ => self.show(&self.run(server, words, input.trim_start_matches('\n'))),
        }
    }

    fn shell(&self, line: &str) -> Output {
        Command::new("sh").args(["-c", line]).current_dir(&self.root).output().unwrap()
    }

    fn show(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let out = text(&output.stdout).lines().map(|l| format!("{}\n", mark(l))).collect::<String>();
        let err = text(&output.stderr).lines().map(|l| format!("! {}\n", mark(l))).collect::<String>();
        let code = output.status.code().filter(|c| *c != 0).map(|c| format!("[{c}]\n")).unwrap_or_default();
        let all = out + &err + &code;
        all.lines().map(|l| normal(&l.replace(&self.root.display().to_string(), SHOWN)) + "\n").collect()
    }

    /// Kills this pool's processes that have a word among their arguments, and waits until they are gone.
    pub fn kill(&self, server: &str, word: &str) -> String {
        let own = format!("TERRARIUM_SERVER={server}");
        let chosen: Vec<i32> = self
            .processes()
            .into_iter()
            .filter(|(_, args, env)| args.iter().any(|a| a == word) && env.contains(&own))
            .map(|(pid, ..)| pid)
            .collect();
        assert!(!chosen.is_empty(), "nothing of {server} has {word} among its arguments");
        chosen.iter().for_each(|pid| kill(*pid));
        until("the killed processes are gone", || chosen.iter().all(|pid| !is_alive(*pid)));
        String::new()
    }

    /// This pool's processes: id, arguments, environment.
    pub fn processes(&self) -> Vec<(i32, Vec<String>, Vec<String>)> {
        let own = format!("TERRARIUM_ROOT={}", self.root.display());
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|e| e.file_name().to_string_lossy().parse::<i32>().ok());
        let all = pids.filter_map(|pid| Some((pid, words(pid, "cmdline")?, words(pid, "environ")?)));
        all.filter(|(pid, args, env)| !args.is_empty() && env.contains(&own) && *pid != std::process::id() as i32)
            .collect()
    }

    /// The logs of the managers, for a test that fails.
    pub fn logs(&self) -> String {
        let log = |n: u32| {
            let path = self.root.join(format!("server{n}/log/glusterd.log"));
            format!("--- {}\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())
        };
        (1..=4).map(log).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.root.join("mnt"), nix::mount::MntFlags::MNT_DETACH);
        // Managers first: one that lives may start what is being ended.
        for _ in 0..3 {
            self.processes().into_iter().for_each(|(pid, ..)| kill(pid));
        }
        until("the pool's processes are gone", || self.processes().iter().all(|(pid, ..)| !is_alive(*pid)));
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Waits for a condition, at most twenty seconds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

fn is_alive(pid: i32) -> bool {
    words(pid, "cmdline").is_some_and(|args| !args.is_empty())
}

fn words(pid: i32, file: &str) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).ok()?;
    let words = bytes.split(|b| *b == 0).filter(|w| !w.is_empty());
    Some(words.map(|w| String::from_utf8_lossy(w).into_owned()).collect())
}

/// A blank at the end of a line is shown, and so is an empty line.
fn mark(line: &str) -> String {
    match line.strip_suffix(' ') {
        Some(rest) => format!("{rest}␠"),
        None if line.is_empty() => "¶".into(),
        None => line.into(),
    }
}

/// Ids and process ids are shown by a word.
fn normal(line: &str) -> String {
    let uuid = regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let pid = regex::Regex::new(r"( Y       )\d+ *␠?$").unwrap();
    let xml = regex::Regex::new(r"<pid>\d+</pid>").unwrap();
    let line = pid.replace(&uuid.replace_all(line, "<uuid>"), "$1<pid>").into_owned();
    xml.replace(&line, "<pid><pid></pid>").into_owned()
}
