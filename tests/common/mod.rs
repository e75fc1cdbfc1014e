//! What the end-to-end tests share: the built program, run in private folders, as root or as an ordinary user.

#![allow(dead_code, missing_docs, reason = "each test program uses its part")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Who runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Root,
    User,
}

/// An ordinary user's id, with no entry anywhere.
const USER: u32 = 54321;

/// A private home with a working folder, gone at the end.
pub struct Home {
    who: Who,
    dir: tempfile::TempDir,
}

/// The users that this machine lets the tests be: root where we are root, and always an ordinary user.
pub fn everybody() -> Vec<Who> {
    if nix::unistd::geteuid().is_root() {
        vec![Who::Root, Who::User]
    } else {
        eprintln!("skipped: the tests as root, for this is an ordinary user");
        vec![Who::User]
    }
}

/// The built program where an ordinary user can reach it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_terrarium"));
        if !nix::unistd::geteuid().is_root() {
            return built;
        }
        let dir = std::env::temp_dir().join(format!("terrarium-test-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let copy = dir.join("terrarium");
        fs::copy(built, &copy).unwrap();
        // SAFETY: registers a plain function.
        unsafe { libc::atexit(remove_copy) };
        copy
    })
}

extern "C" fn remove_copy() {
    let _ = fs::remove_dir_all(std::env::temp_dir().join(format!("terrarium-test-{}", std::process::id())));
}

impl Home {
    pub fn of(who: Who) -> Self {
        let home = Self { who, dir: tempfile::tempdir().unwrap() };
        fs::create_dir(home.work()).unwrap();
        if who == Who::User && nix::unistd::geteuid().is_root() {
            for path in [home.dir.path(), &home.work()] {
                std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
        home
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The working folder.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The program with these arguments, in the working folder.
    pub fn terrarium<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.work()).stdin(Stdio::null());
        command.env("HOME", self.path()).env("XDG_STATE_HOME", self.state()).env("LC_ALL", "C.UTF-8");
        if self.who == Who::User && nix::unistd::geteuid().is_root() {
            command.uid(USER).gid(USER);
        }
        command
    }

    /// `terrarium run -- sh -c SCRIPT`.
    pub fn run(&self, script: &str) -> Output {
        self.terrarium(["run", "--", "sh", "-c", script]).output().unwrap()
    }
}

/// Standard output as text.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process of the test's own that ends with it.
pub struct Helper(pub std::process::Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `reached`, with a deadline far beyond what it takes.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !reached() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of this machine whose command line has `word` in it.
pub fn processes_with(word: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(word.len()).any(|window| window == word.as_bytes())
    };
    pids.filter(has).collect()
}
