//! The union through the kernel: the homework's own lines and what must hold around them, each test in a mount namespace
//! of its own, as root. Without root or /dev/fuse a test is skipped, with words.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory to work in, with `mount.aufs` and its kin in `/usr/sbin`, in a private mount namespace.
const PROLOGUE: &str = r#"
set -e
mount --make-rprivate /
mkdir -p sbin mnt
mount -t tmpfs none sbin && mkdir sbin/u sbin/w
for n in mount.aufs umount.aufs mount.fuse.aufs umount.fuse.aufs; do ln -s "$TERRARIUM" sbin/u/$n; done
sbin=$(readlink -f /sbin)
mount -t overlay none -o lowerdir=$sbin,upperdir=$PWD/sbin/u,workdir=$PWD/sbin/w $sbin
is() { [ "$2" = "$3" ] || { echo "$1: got '$2', hoped for '$3'" >&2; exit 1; }; }
no() { if "$@" 2>err; then echo "worked, but should not: $*" >&2; exit 1; fi; }
"#;

fn why_not(script: &str) -> Option<&'static str> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    match (root, Path::new("/dev/fuse").exists()) {
        (false, _) => Some("not root"),
        (true, false) => Some("no /dev/fuse"),
        _ if script.contains("cpu_dma_latency") && !polls() => Some("the idle driver is not haltpoll"),
        _ if script.contains("python3") && Command::new("python3").arg("-V").output().is_err() => Some("no python3"),
        _ => None,
    }
}

fn polls() -> bool {
    std::fs::read_to_string("/sys/devices/system/cpu/cpuidle/current_driver").is_ok_and(|d| d.trim() == "haltpoll")
}

/// Runs a story; fails with what it said.
fn story(name: &str, script: &str) {
    if let Some(why) = why_not(script) {
        eprintln!("skipped: {why}");
        return;
    }
    let dir: PathBuf = std::env::temp_dir().join(format!("terrarium-union-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory to work in");
    let script = format!(
        "{PROLOGUE}\n{script}\nset +e; cd /; umount -l {0}/mnt {0}/MountPoint 2>/dev/null; exit 0",
        dir.display()
    );
    let output = Command::new("unshare")
        .args(["-m", "timeout", "60", "bash", "-c", &script])
        .env("TERRARIUM", env!("CARGO_BIN_EXE_terrarium"))
        .env("XDG_RUNTIME_DIR", &dir)
        .current_dir(&dir)
        .output()
        .expect("unshare and bash");
    let _ = std::fs::remove_dir_all(&dir);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}", output.status);
}

#[test]
fn the_homeworks_three_branches() {
    story(
        "three",
        r#"
mkdir Branch-0 Branch-1 Branch-2 MountPoint
echo one > Branch-1/a; echo two > Branch-2/a; echo deep > Branch-2/b
mount -t aufs -o dirs=./Branch-0:./Branch-1:./Branch-2 none ./MountPoint
is "the upper branch answers" "$(cat MountPoint/a)" one
is "the lowest is seen" "$(cat MountPoint/b)" deep
echo more >> MountPoint/a
is "copied up" "$(cat Branch-0/a)" "$(printf 'one\nmore')"
is "the lower one stays" "$(cat Branch-1/a)" one
rm MountPoint/b
[ -f Branch-0/.wh.b ] && [ -f Branch-2/b ]
no cat MountPoint/b
umount MountPoint
is "nothing is left mounted" "$(ls MountPoint)" ""
"#,
    );
}

#[test]
fn the_homeworks_container_read_only_first_and_then_with_a_writable_branch() {
    story(
        "container",
        r#"
mkdir -p aufstest1/rootfs/etc aufstest2/rootfs aufstest2/writable; echo base > aufstest1/rootfs/etc/name
mount -t aufs -o dirs=$PWD/aufstest1/rootfs/=ro none $PWD/aufstest2/rootfs
no touch aufstest2/rootfs/new
grep -q "Read-only file system" err
no sh -c 'echo x >> aufstest2/rootfs/etc/name'
umount aufstest2/rootfs
before=$(find aufstest1 -type f | xargs md5sum)
mount -t aufs -o dirs=$PWD/aufstest2/writable/=rw:$PWD/aufstest1/rootfs/=ro none $PWD/aufstest2/rootfs
echo changed > aufstest2/rootfs/etc/name; touch aufstest2/rootfs/new
is "the change is in writable" "$(cat aufstest2/writable/etc/name)" changed
[ -f aufstest2/writable/new ]
is "the base is as it was" "$(find aufstest1 -type f | xargs md5sum)" "$before"
umount aufstest2/rootfs
"#,
    );
}

#[test]
fn branches_come_and_go_while_it_is_mounted() {
    story(
        "remount",
        r#"
mkdir b0 b1 b2; echo 2 > b2/two; mkdir b2/only; echo x > b2/only/x
mount -t aufs -o br=b0:b1 none mnt
no cat mnt/two
mount -o remount,append:$PWD/b2=ro mnt
is "appended" "$(cat mnt/two mnt/only/x)" "$(printf '2\nx')"
exec 5< mnt/two
no mount -o remount,del:$PWD/b2 mnt
exec 5<&-
mount -o remount,del:$PWD/b2 mnt
no cat mnt/two
mount -o remount,prepend:$PWD/b2 mnt
touch mnt/new
[ -f b2/new ]
mount -o remount,mod:$PWD/b2=ro mnt
echo y >> mnt/two && exit 1 || true
no mount -o remount,add:9:$PWD/b1 mnt
grep -q EDOM err
no mount -t aufs -o br=b0:b0 none mnt
umount mnt
"#,
    );
}

#[test]
fn what_is_changed_in_a_branch_directly_is_seen() {
    story(
        "direct",
        r#"
mkdir b0 b1; echo old > b1/f; mkdir b1/d; echo x > b1/d/x
mount -t aufs -o br=b0:b1 none mnt
soon() { for i in $(seq 200); do [ "$(eval "$1" 2>/dev/null)" = "$2" ] && return; done; echo "$1 never gave $2" >&2; exit 1; }
is "as it was" "$(cat mnt/f)" old
no cat mnt/new
echo new > b1/new; soon 'cat mnt/new' new
echo longer than old > b1/f; soon 'cat mnt/f' 'longer than old'
echo upper > b0/f; soon 'cat mnt/f' upper
touch b0/.wh.new; soon 'ls mnt | grep -c new' 0
is "listed" "$(ls mnt/d)" x
mkdir b0/d; touch b0/d/.wh..wh..opq; soon 'ls mnt/d | wc -l' 0
umount mnt
mount -t aufs -o br=b0:b1,udba=reval none mnt
is "strict" "$(cat mnt/f)" upper; rm b0/f; is "strictly seen" "$(cat mnt/f)" "longer than old"
umount mnt
"#,
    );
}

/// Whole directories come and go in the branches, and marks on them: what the kernel remembers of names below is looked up anew.
#[test]
fn directories_that_come_and_go_in_a_branch_are_merged_anew() {
    story(
        "regroup",
        r#"
soon() { for i in $(seq 200); do [ "$(eval "$1" 2>/dev/null | xargs)" = "$2" ] && return; done; echo "$1 never gave $2" >&2; exit 1; }
mkdir -p b0 b1/d/e; echo low > b1/d/f; echo low > b1/d/e/g; mkdir -p x/e; echo new > x/f; echo new > x/e/g; echo new > x/more
mount -t aufs -o br=b0:b1 none mnt
all="cat mnt/d/f mnt/d/e/g mnt/d/more"
is "as it was" "$($all 2>/dev/null | xargs)" "low low"
mkdir b0/d; echo up > b0/d/f; soon "$all" "up low"
rm -r b0/d; soon "$all" "low low"
mv x b0/d; soon "$all" "new new new"
touch b0/.wh.d; mv b0/d x; soon "$all" ""
rm b0/.wh.d; soon "$all" "low low"
umount mnt; mount -t aufs -o br=b0:b1 none mnt
is "copied up into directories that were not there" "$(echo more >> mnt/d/e/g; cat mnt/d/e/g | xargs)" "low more"
echo direct >> b0/d/e/g; soon "cat mnt/d/e/g" "low more direct"
umount mnt; mkdir -p b0/d/e b1/d/e; mount -t aufs -o br=b0:b1,udba=reval none mnt
is "strict" "$(ls mnt/d)" "$(printf 'e\nf')"; touch b1/d/another; is "of the lower copy too" "$(ls mnt/d | xargs)" "another e f"
umount mnt
"#,
    );
}

#[test]
fn a_full_branch_fails_the_write_and_leaves_nothing_half() {
    story(
        "full",
        r#"
mkdir small b1; mount -t tmpfs -o size=64k none small; mkdir small/b0
head -c 300000 /dev/zero | tr '\0' x > b1/big; echo tiny > b1/tiny
mount -t aufs -o br=small/b0=rw:b1 none mnt
no sh -c 'echo more >> mnt/big'
is "whole" "$(wc -c < mnt/big)" 300000
is "no leftover" "$(find small/b0 -name '*big*')" ""
echo more >> mnt/tiny
umount mnt
"#,
    );
}

#[test]
fn killed_in_the_middle_of_a_copy_up_nothing_is_half_visible() {
    story(
        "killed",
        r#"
mkdir b0 b1; mount -t tmpfs none b0; mkdir b0/up
head -c 400000000 /dev/urandom > b1/big
mount -t aufs -o br=b0/up=rw:b1 none mnt
(echo more >> mnt/big) 2>/dev/null &
until ls -A b0/up | grep -q big; do :; done
kill -9 $(pgrep -f "mount.aufs none $PWD/mnt")
wait
umount -l mnt
if [ -f b0/up/big ]; then is "whole or not there" "$(stat -c %s b0/up/big)" 400000005; fi
mount -t aufs -o br=b0/up=rw:b1 none mnt
[ "$(stat -c %s mnt/big)" -ge 400000000 ]
is "no leftover is seen" "$(ls -A mnt)" big
umount mnt
"#,
    );
}

#[test]
fn an_ordinary_caller_is_held_to_the_modes() {
    story(
        "modes",
        r#"
chmod 755 .; mkdir b0 b1; chmod 755 b0 b1; echo secret > b1/secret; chmod 600 b1/secret; mkdir b1/open; chmod 777 b1/open
mount -t aufs -o br=b0:b1 none mnt
as() { setpriv --reuid 1234 --regid 1234 --clear-groups "$@"; }
no as cat mnt/secret
no as touch mnt/new
as sh -c 'echo mine > mnt/open/f; mkdir mnt/open/d'
is "the caller owns it" "$(stat -c %u:%g mnt/open/f b0/open/d)" "$(printf '1234:1234\n1234:1234')"
is "the copied-up directory kept its mode" "$(stat -c %a b0/open)" 777
umount mnt
"#,
    );
}

#[test]
fn a_file_that_is_only_read_or_was_written_a_moment_ago_can_be_executed_in_its_branch() {
    story(
        "busy",
        r#"
mkdir b0 b1; cp /bin/true b1/read; cp /bin/true b1/written
mount -t aufs -o br=b0=rw:b1=rw none mnt
exec 3< mnt/read; head -c 4 <&3 > /dev/null
b1/read
exec 3<&-
printf x | dd of=mnt/written bs=1 seek=100000 conv=notrunc 2>/dev/null
until b1/written 2>/dev/null; do :; done
cp /bin/true mnt/new
umount mnt
b0/new
is "nobody serves it any more" "$(pgrep -f "mount.aufs none $PWD/mnt" | wc -l)" 0
"#,
    );
}

#[test]
fn a_remount_to_read_only_reaches_the_kernel() {
    story(
        "readonly",
        r#"
mkdir b0 b1; echo old > b0/f
mount -t aufs -o br=b0:b1 none mnt
exec 5>> mnt/f
no mount -o remount,ro mnt
exec 5>&-
mount -o remount,ro mnt
grep -q "$PWD/mnt fuse.aufs ro," /proc/mounts
no python3 -c 'import os; os.open("mnt/f", os.O_WRONLY)'
no ln mnt/f mnt/g
mount -o remount,rw mnt
echo more >> mnt/f
umount mnt
"#,
    );
}

#[test]
fn more_directories_than_descriptors_are_walked_renamed_and_removed() {
    story(
        "many",
        r#"
ulimit -n 1024
mkdir b0 b1; (cd b0; mkdir -p {1..8}/{1..10}/{1..10}); (cd b1; mkdir -p {1..8}/{1..10}/{1..10}; touch {1..8}/{1..10}/{1..10}/f)
mount -t aufs -o br=b0:b1 none mnt
is "all are seen" "$(find mnt -type d | wc -l) $(find mnt -name f | wc -l)" "889 800"
[ "$(ls /proc/$(pgrep -f "mount.aufs none $PWD/mnt")/fd | wc -l)" -lt 600 ]
mkdir -p mnt/new/deep/er; touch mnt/new/deep/er/x; exec 5< mnt/new/deep
mv mnt/new mnt/moved
find mnt -type d > /dev/null
touch mnt/moved/deep/y
is "it is where it was moved to" "$(ls mnt/moved/deep mnt/moved/deep/er | xargs)" "mnt/moved/deep: er y mnt/moved/deep/er: x"
exec 5<&-
rm -r mnt/*
is "all are gone" "$(ls mnt)" ""
umount mnt
"#,
    );
}

#[test]
fn nobody_waits_for_the_copy_of_a_big_file_but_who_wants_it() {
    story(
        "big",
        r#"
mkdir b0 b1
for i in 1 2 3 4 5; do head -c 150000000 /dev/zero | tr '\0' x > b1/big$i; echo small > b1/small$i; done
mount -t aufs -o br=b0:b1 none mnt
meanwhile() {
    (echo more >> mnt/big$1) & copy=$!
    until ls -A b0 | grep -q big$1; do kill -0 $copy; done
    echo more >> mnt/small$1; mkdir mnt/d; mv mnt/d mnt/e; rmdir mnt/e; rm mnt/small$1
    [ -e b0/big$1 ] && late=yes || late=no
    wait $copy
    is "whole, and longer" "$(stat -c %s b0/big$1)" 150000005
    [ $late = no ]
}
meanwhile 1 || meanwhile 2 || meanwhile 3 || meanwhile 4 || meanwhile 5
umount mnt
"#,
    );
}

#[test]
fn what_is_written_to_a_file_that_is_being_made_is_seen_by_its_readers() {
    story(
        "made",
        r#"
mkdir b0 b1
mount -t aufs -o br=b0:b1 none mnt
perl -e '
use Fcntl;
sysopen(W, "mnt/made", O_RDWR|O_CREAT|O_EXCL) or die "made: $!";
my $reader = fork;
if (!$reader) { open(F, "<", "mnt/made"); my $g; while (1) { sysseek(F, 40000, 0); sysread(F, $g, 4096); } }
open(R, "<", "mnt/made") or die "made: $!";
my $why = "";
for my $i (1..300) {
    my $b = chr(65 + $i % 26) x 50000;
    sysseek(W, 0, 0); syswrite(W, $b) == 50000 or die "written in part";
    for my $f (*R, *W) {
        sysseek($f, 0, 0); sysread($f, my $g, 50000);
        $why = "an older content at write $i" if $g ne $b;
    }
    open(A, ">>", "mnt/made"); syswrite(A, "tail"); close(A);
    sysseek(W, 50000, 0); sysread(W, my $g, 10); $why = "appended, but not seen" if $g ne "tail";
    truncate(W, 50000);
}
kill 9, $reader; waitpid($reader, 0);
die $why if $why;
'
is "on the branch" "$(stat -c %s b0/made)" 50000
umount mnt
"#,
    );
}

/// With `passthrough` the content of an open file on a writable branch is the kernel's affair: it is written and read while
/// the daemon stands still, others see it, and the branch stays where it is for so long. A file below is copied up as ever.
#[test]
fn an_open_file_is_written_past_a_daemon_that_stands_still() {
    story(
        "passthrough",
        r#"
mkdir b0 b1; echo low > b1/low
if ! mount -t aufs -o br=b0=rw:b1=ro,passthrough none mnt 2>err; then grep "passthrough: " err; exit; fi
for p in $(grep -lF "$PWD/mnt" /proc/[0-9]*/cmdline); do
    p=${p%/cmdline}; [ "$(readlink $p/exe)" = "$(readlink -f $TERRARIUM)" ] && daemon=${p#/proc/}
done
exec 7> mnt/new; echo one >&7; exec 8< mnt/new
kill -STOP $daemon
timeout 5 sh -c 'echo two >&7; dd bs=99 count=1 <&8' > seen || { kill -CONT $daemon; exit 1; }
kill -CONT $daemon
is "past the daemon" "$(cat seen)" "$(printf 'one\ntwo')"
is "the others see it" "$(cat mnt/new; stat -c %s mnt/new)" "$(printf 'one\ntwo\n8')"
no mount -o remount,mod:$PWD/b0=ro mnt
no mount -o remount,del:$PWD/b0 mnt
exec 7>&- 8<&-
exec 8< mnt/low; echo more >> mnt/low
is "an open file below follows its copy" "$(cat <&8)" "$(printf 'low\nmore')"
exec 8<&-; echo again >> mnt/low
is "and may be written past it then" "$(cat mnt/low b0/low)" "$(printf 'low\nmore\nagain\nlow\nmore\nagain')"
is "the lower one stays" "$(cat b1/low)" low
umount mnt
mount -t aufs -o br=b1=ro,passthrough none mnt; exec 8< mnt/low
no mount -o remount,prepend:$PWD/b0=rw mnt
exec 8<&-; umount mnt
mount -t aufs -o br=b0:b1 none mnt
no mount -o remount,passthrough mnt
umount mnt
"#,
    );
}

/// A file that is open past the daemon stays on its branch: a rename that would take it to another fails as between
/// file systems, and what is written goes on to be seen.
#[test]
fn an_open_file_that_is_written_past_the_daemon_is_not_taken_to_another_branch() {
    story(
        "pinned",
        r#"
mkdir b0 b1; echo old > b0/target; echo src > b1/source
if ! mount -t aufs -o br=b0=rw:b1=rw,passthrough none mnt 2>err; then grep "passthrough: " err; exit; fi
exec 7>> mnt/source
no python3 -c 'import os; os.rename("mnt/source", "mnt/target")'
grep -q "cross-device" err
echo more >&7
is "the same file" "$(cat mnt/source)" "$(printf 'src\nmore')"
exec 7>&-
python3 -c 'import os; os.rename("mnt/source", "mnt/target")'
is "closed, it goes" "$(cat b0/target)" "$(printf 'src\nmore')"
umount mnt
"#,
    );
}

/// A program that removes names while it lists them gets them all, although the directory comes to the upper branch at the first.
#[test]
fn names_are_removed_while_they_are_listed() {
    story(
        "listed",
        r#"
mkdir -p b0 b1/d; for i in $(seq 1000); do : > b1/d/n$i; done
mount -t aufs -o br=b0:b1 none mnt
is "each once, and none is left" "$(python3 -c '
import os
seen = []
for entry in os.scandir("mnt/d"):
    seen.append(entry.name)
    os.unlink(entry.path)
print(len(seen), len(set(seen)), len(os.listdir("mnt/d")))')" "1000 1000 0"
umount mnt
"#,
    );
}

/// Of a large directory that is only listed, few attributes are remembered and its names alone are watched; whatever is changed
/// in the branch shows all the same.
#[test]
fn a_large_directory_that_is_only_listed_shows_direct_changes() {
    story(
        "large",
        r#"
mkdir -p b0 b1/d; for i in $(seq 1000); do echo > b1/d/n$i; done
mount -t aufs -o br=b0:b1 none mnt
soon() { for i in $(seq 200); do [ "$(eval "$1" 2>/dev/null)" = "$2" ] && return; done; echo "$1 never gave $2" >&2; exit 1; }
is "listed" "$(ls -f mnt/d | wc -l)" 1002
touch b1/d/more; soon 'ls -f mnt/d | wc -l' 1003
rm b1/d/more; soon 'ls -f mnt/d | wc -l' 1002
umount mnt; mount -t aufs -o br=b0:b1 none mnt
is "listed anew" "$(ls -f mnt/d | wc -l)" 1002
for i in $(seq 1000); do echo x >> b1/d/n$i; done
soon 'find mnt/d -size -3c -type f | wc -l' 0
is "and all are found" "$(find mnt/d -size 3c | wc -l)" 1000
umount mnt
"#,
    );
}

/// The times of a directory tell when its names changed, wherever that was: a copy-up leaves them alone, a new name on a lower
/// writable branch shows. And its link count is that of a directory with as many directories in it.
#[test]
fn a_directorys_times_and_links_are_those_of_one_directory() {
    story(
        "dirs",
        r#"
mkdir -p b0/merged b1/d/sub b1/merged/sub b2; echo old > b1/d/f; touch -d @1000 b1/d
mount -t aufs -o br=b0=rw:b1=ro,udba=reval none mnt
is "of one copy" "$(stat -c %h mnt/d mnt/merged | xargs)" "3 3"
echo more >> mnt/d/f; chmod 600 mnt/d/f
is "copied up, not changed" "$(stat -c %Y mnt/d)" 1000
mkdir mnt/d/other
is "two directories in it" "$(stat -c %h mnt/d)" 4
umount mnt; rm -r b0/*
mkdir b0/pool b2/pool
mount -t aufs -o br=b0=rw:b2=rw,create=rr none mnt
for i in 1 2 3 4; do touch -d @1000 mnt/pool; touch mnt/pool/$i; [ "$(stat -c %Y mnt/pool)" -gt 1000 ]; done
for i in 1 2 3 4; do touch -d @1000 mnt/pool; rm mnt/pool/$i; [ "$(stat -c %Y mnt/pool)" -gt 1000 ]; done
umount mnt
"#,
    );
}

/// What an ordinary user copies into a set-id file takes the bits away, as a write does; and `trusted.*` names are not for him.
#[test]
fn an_ordinary_caller_copies_into_a_file_and_lists_attributes_as_on_any_file_system() {
    story(
        "ordinary",
        r#"
chmod 755 .; mkdir b0 b1; chmod 755 b0 b1; echo source > b1/source; echo x > b1/set; chmod 6777 b1/set
mount -t aufs -o br=b0:b1 none mnt
as() { setpriv --reuid 1234 --regid 1234 --clear-groups "$@"; }
py=$(ls /usr/bin/python3 || command -v python3)
as $py -c 'import os
f, t = os.open("mnt/source", os.O_RDONLY), os.open("mnt/set", os.O_RDWR)
os.copy_file_range(f, t, 3)'
is "no set-id bits" "$(stat -c %a mnt/set)" 777
chown 0:1234 mnt/set; chmod 2666 mnt/set; as sh -c 'echo x >> mnt/set'
is "he is in the group of a file that is not executable" "$(stat -c %a mnt/set)" 2666
chgrp 0 mnt/set; chmod 2666 mnt/set; as sh -c 'echo x >> mnt/set'
is "he is not" "$(stat -c %a mnt/set)" 666
python3 -c 'import os; os.removexattr("mnt/source", "system.posix_acl_access")'
python3 -c 'import os; os.setxattr("mnt/source", "trusted.t", b"1"); os.setxattr("mnt/source", "user.u", b"1")'
names="import os; print(sorted(os.listxattr('mnt/source')))"
is "root" "$(python3 -c "$names")" "['trusted.t', 'user.u']"
is "a user" "$(as $py -c "$names")" "['user.u']"
umount mnt
"#,
    );
}

/// While requests stream in, processors are kept from sleeping; the kernel tells the strictest wish of all.
#[test]
fn processors_stay_awake_while_requests_stream_in() {
    story(
        "awake",
        r#"
mkdir b0; mount -t aufs -o br=b0 none mnt
is "kept awake" "$(python3 -c '
import os, struct, time
def wish():
    with open("/dev/cpu_dma_latency", "rb") as device: return struct.unpack("i", device.read(4))[0]
until, n = time.monotonic() + 20, 0
while wish() and time.monotonic() < until:
    for n in range(n, n + 200):
        open(f"mnt/{n}", "w").close()
print(wish())')" 0
umount mnt
"#,
    );
}
