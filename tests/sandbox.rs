//! The sandbox from outside: what `run` and `enter` promise, as root and as an ordinary user, on real namespaces.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use common::{Helper, Home, Who, err, everybody, out, processes_with, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A world that runs `sleep` until it is killed, once it is up.
fn sleeping(home: &Home, name: &str) -> Child {
    let script = "touch up; exec sleep 1000";
    let child =
        home.terrarium(["run", "--world", name, "--", "sh", "-c", script]).stderr(Stdio::inherit()).spawn().unwrap();
    wait_until("the world is up", || home.work().join("up").exists());
    child
}

/// `run` passes the command's status on; its own failures are 125; a command that is not there is 127, one that cannot
/// be run 126; a signal is 128 and its number.
#[test]
fn run_passes_the_status_on() {
    for who in everybody() {
        let home = Home::of(who);
        let status = |args: &[&str]| home.terrarium(args).output().unwrap().status.code();
        assert_eq!(status(&["run", "--", "true"]), Some(0), "{who:?}");
        assert_eq!(status(&["run", "--", "sh", "-c", "exit 7"]), Some(7), "{who:?}");
        assert_eq!(status(&["run", "--", "sh", "-c", "kill -TERM $$"]), Some(143), "{who:?}");
        assert_eq!(status(&["run", "--", "no-such-command"]), Some(127), "{who:?}");
        assert_eq!(status(&["run", "--", "/etc/passwd"]), Some(126), "{who:?}");
        assert_eq!(status(&["run", "--nodes", "many"]), Some(2), "{who:?}");
        let mut at_root = home.terrarium(["run", "--", "true"]);
        let refused = at_root.current_dir("/").output().unwrap();
        assert_eq!(refused.status.code(), Some(125), "{who:?}");
        assert!(err(&refused).contains("make a folder"), "{}", err(&refused));
        let at_home = home.terrarium(["run", "--", "true"]).current_dir(home.path()).output().unwrap();
        assert_eq!(at_home.status.code(), Some(125), "{who:?}");
    }
}

/// Inside one is root on a machine of its own; the host is to be read, the working folder to be written.
#[test]
fn inside_is_a_private_machine() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            "id -u; hostname; getent hosts n1; cat /proc/1/comm; touch made-here; touch /usr/x 2>/dev/null || echo read-only; \
             touch /tmp/x /data/x /mnt/x /srv/x /etc/x /var/lib/lxc/x && echo writable; \
             grep -c '^n1' /etc/hosts >/dev/null || grep -q n1 /etc/hosts && echo named; sudo id -u 2>/dev/null; ls /proc | grep -c '^[0-9]'",
        );
        let seen = out(&output);
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[0], "0", "{who:?}: {seen}{}", err(&output));
        assert_eq!(lines[1], "server1", "{who:?}");
        assert!(lines[2].contains("10.77.0.1"), "{who:?}: {}", lines[2]);
        assert_eq!(lines[3], "terrarium", "{who:?}");
        assert_eq!(&lines[4..7], ["read-only", "writable", "named"], "{who:?}: {}", err(&output));
        assert!(home.work().join("made-here").exists(), "{who:?}");
        assert!(!std::path::Path::new("/etc/x").exists() && !std::path::Path::new("/srv/x").exists(), "{who:?}");
    }
}

/// Standard input, output and error are the command's own, to the byte.
#[test]
fn run_is_transparent() {
    for who in everybody() {
        let home = Home::of(who);
        let mut child = home.terrarium(["run", "--", "sh", "-c", "cat; echo oops >&2"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"a\0b\n\xff").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.stdout.as_slice(), output.stderr.as_slice()),
            (&b"a\0b\n\xff"[..], &b"oops\n"[..]),
            "{who:?}"
        );
    }
}

/// Whatever moment the outermost process is killed with -9: no process, no mount and no file outside the state
/// directory is left, and the next run cleans the state directory too.
#[test]
fn kill_9_leaves_nothing() {
    for who in everybody() {
        let home = Home::of(who);
        let token = format!("{}.25", 100_000 + std::process::id());
        for moment in 0..12u64 {
            let mut child = home.terrarium(["run", "--", "sleep", &token]).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(moment * 9));
            child.kill().unwrap();
            child.wait().unwrap();
            let world = format!("run-{}", child.id());
            wait_until("every process of the world is gone", || {
                processes_with(&token).is_empty() && processes_with(&world).is_empty()
            });
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(home.state().to_str().unwrap()), "{who:?}: {mounts}");
        assert_eq!(fs::read_dir(home.work()).unwrap().count(), 0, "{who:?}");
        assert!(home.run("true").status.success());
        let left = fs::read_dir(home.state().join("terrarium/worlds")).unwrap().count();
        assert_eq!(left, 0, "{who:?}: the next run heals the state directory");
    }
}

/// Killed with -9 while the world is up, the outermost process leaves nothing at all: its guard removes the world's folder and
/// root's control group, without waiting for a next start.
#[test]
fn the_guard_cleans_up() {
    for who in everybody() {
        let home = Home::of(who);
        let mut child = home.terrarium(["run", "--", "sh", "-c", "touch up; sleep 1000"]).spawn().unwrap();
        wait_until("the world is up", || home.work().join("up").exists());
        let world = format!("run-{}", child.id());
        let groups = || ["/sys/fs/cgroup/pids/terrarium-", "/sys/fs/cgroup/terrarium-"].map(|g| g.to_string() + &world);
        let folder = home.state().join("terrarium/worlds").join(&world);
        assert!(folder.is_dir(), "{who:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("the folder and the group are gone", || {
            !folder.exists() && !groups().iter().any(|group| std::path::Path::new(group).exists())
        });
        wait_until("every process of the world is gone", || processes_with(&world).is_empty());
    }
}

/// What lies in a world is nobody else's business: a set-user-id program that root of a container leaves there cannot be run
/// by another user of this machine.
#[test]
fn a_worlds_folder_is_closed() {
    use std::os::unix::fs::PermissionsExt;
    for who in everybody() {
        let home = Home::of(who);
        assert!(home.run("true").status.success(), "{who:?}");
        let mode = fs::metadata(home.state().join("terrarium/worlds")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{who:?}");
    }
}

/// The keys of the login outside stay outside: the world has a session keyring of its own.
#[test]
fn keys_stay_outside() {
    for who in everybody() {
        let home = Home::of(who);
        let seen = out(&home.run("test -e /proc/keys || { echo _ses; exit; }; grep -o _ses /proc/keys"));
        assert!(seen.starts_with("_ses\n"), "{who:?}: {seen}");
    }
}

/// Two worlds at a time do not meet; `enter` needs to be told which one, and joins that one.
#[test]
fn two_worlds_do_not_meet() {
    for who in everybody() {
        let home = Home::of(who);
        let mut first = sleeping(&home, "first");
        fs::remove_file(home.work().join("up")).unwrap();
        let mut second = sleeping(&home, "second");
        let again = home.terrarium(["run", "--world", "first", "--", "true"]).output().unwrap();
        assert_eq!(again.status.code(), Some(125), "{who:?}");
        assert!(err(&again).contains("runs already"), "{}", err(&again));
        let which = home.terrarium(["enter", "--", "true"]).output().unwrap();
        assert_eq!(which.status.code(), Some(125), "{who:?}");
        assert!(err(&which).contains("first, second"), "{}", err(&which));
        let enter = |world: &str, script: &str| {
            let args = ["enter", "--world", world, "--", "sh", "-c", script];
            out(&home.terrarium(args).output().unwrap())
        };
        enter("first", "echo mine > /tmp/token; hostname changed");
        assert_eq!(enter("second", "cat /tmp/token; hostname").trim(), "server1", "{who:?}");
        assert_eq!(enter("first", "cat /tmp/token; hostname").trim(), "mine\nchanged", "{who:?}");
        assert_eq!(enter("first", "pgrep -c sleep").trim(), "1", "{who:?}");
        for child in [&mut first, &mut second] {
            kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(143), "{who:?}: a signal is passed on to the command");
        }
        let gone = home.terrarium(["enter", "--world", "first", "--", "true"]).output().unwrap();
        assert!(err(&gone).contains("does not run"), "{}", err(&gone));
    }
}

/// Worlds open and close at once, and each start looks for what dead ones have left: none takes a living one for dead.
#[test]
fn a_crowd_of_worlds() {
    for who in everybody() {
        let home = Home::of(who);
        let one = || {
            let output = home.terrarium(["run", "--", "echo", "ok"]).output().unwrap();
            assert_eq!((out(&output).as_str(), err(&output).as_str()), ("ok\n", ""), "{who:?}");
        };
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| (0..6).for_each(|_| one())))));
    }
}

/// The wall, tried from inside by an ordinary user: nothing read-only can be made writable or uncovered, no process of
/// the host can be seen, signalled or entered.
#[test]
fn the_wall_holds() {
    let home = Home::of(Who::User);
    let outside = Helper(std::process::Command::new("sleep").arg("1000").spawn().unwrap());
    let pid = outside.0.id();
    let attempts = [
        "mount -o remount,bind,rw /home",
        "mount -o remount,rw /usr",
        "umount -l /usr",
        "umount -l /home",
        "umount -l /etc",
        "umount -l /dev/null",
        "touch /usr/breach",
        "touch /home/breach",
        "touch /proc/1/root/usr/breach",
        "mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "nsenter -t 1 -a touch /usr/breach",
        "unshare -Urm sh -c 'mount -o remount,bind,rw /usr'",
        &format!("kill -0 {pid}"),
        &format!("ls /proc/{pid}/root"),
    ];
    for attempt in attempts {
        let output = home.run(attempt);
        assert!(!output.status.success(), "this went through: {attempt}\n{}", out(&output));
    }
    let uncovered = home.run("umount /proc 2>/dev/null; umount /proc 2>/dev/null; ls /proc | grep -c '^[0-9]'");
    assert!(out(&uncovered).trim().parse::<u32>().unwrap_or(0) < 8, "host processes are seen: {}", out(&uncovered));
}

/// A signal to `run` reaches the command; one that ends the command ends `run` with 128 and its number.
#[test]
fn signals_reach_the_command() {
    for who in everybody() {
        let home = Home::of(who);
        let script = "trap 'echo got it; exit 3' INT; touch up; while :; do sleep 0.05; done";
        let child = home.terrarium(["run", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        wait_until("the trap is set", || home.work().join("up").exists());
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), out(&output).trim()), (Some(3), "got it"), "{who:?}");
        assert_eq!(output.status.signal(), None);
    }
}

/// A command inside is ended by a pipe that nobody reads, as outside: the program's own handling of SIGPIPE is not passed on.
#[test]
fn a_broken_pipe_ends_the_command() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run("(yes; echo $? > code) | true; cat code");
        assert_eq!(out(&output).trim(), "141", "{who:?}: 128 and SIGPIPE");
    }
}
