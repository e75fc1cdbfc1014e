//! The mounted volume through the kernel: what must hold between two mounts and while bricks come and go. Each story is a script in a mount
//! namespace of its own, as root, with bricks and mounts as processes. Without root or /dev/fuse it is skipped, with words.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use terrarium::volume::definition::{Brick, Status, Volume};

/// Starts the bricks and two mounts, `a` and `b`; everything ends with the script.
const PROLOGUE: &str = r#"
set -e
mount --make-rprivate /
export TERRARIUM_KEEPER=/nonexistent
brick() { "$TERRARIUM" brick --name 127.0.0.1:$PWD/b$1 --path $PWD/b$1 --bind 127.0.0.1 --port ${PORTS[$1]} --volume v.json & PID[$1]=$!; }
end() { kill -9 ${PID[$1]}; wait ${PID[$1]} 2>/dev/null || true; }
mnt() { mkdir -p $1; "$TERRARIUM" glusterfs --volume-file $PWD/v.json "${@:2}" $PWD/$1; }
is() { [ "$2" = "$3" ] || { echo "$1: got '$2', hoped for '$3'" >&2; exit 1; }; }
no() { if "$@" 2>err; then echo "worked, but should not: $*" >&2; exit 1; fi; }
soon() { local n; for n in {1..150}; do if "$@" >/dev/null 2>&1; then return; fi; sleep .1; done; echo "never: $*" >&2; exit 1; }
done_all() { umount -l a b s 2>/dev/null || true; kill -9 ${PID[@]} $HEALER 2>/dev/null || true; }
trap done_all EXIT
PID=(); HEALER=; read -ra PORTS <<< "$PORTS"
for i in ${!PORTS[@]}; do mkdir b$i; brick $i; done
for i in ${!PORTS[@]}; do soon bash -c "echo > /dev/tcp/127.0.0.1/${PORTS[$i]}"; done
mnt a; mnt b
"#;

fn why_not(script: &str) -> Option<&'static str> {
    match (nix::unistd::geteuid().is_root(), Path::new("/dev/fuse").exists()) {
        (false, _) => Some("not root"),
        (true, false) => Some("no /dev/fuse"),
        _ if script.contains("python3") && Command::new("python3").arg("-V").output().is_err() => Some("no python3"),
        _ => None,
    }
}

fn volume(dir: &Path, bricks: usize, options: &[(&str, &str)]) -> Volume {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let brick = |slot: usize| Brick {
        host: "127.0.0.1".into(),
        path: dir.join(format!("b{slot}")).display().to_string(),
        peer: uuid::Uuid::nil(),
        slot,
        port: port(),
        decommissioned: false,
    };
    Volume {
        name: "gv0".into(),
        id: uuid::Uuid::from_u128(7),
        status: Status::Started,
        replica: bricks,
        arbiter: 0,
        bricks: (0..bricks).map(brick).collect(),
        options: options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        version: 1,
        commit_hash: 1,
    }
}

/// Runs a story on a volume of so many copies; fails with what it said.
fn story(bricks: usize, options: &[(&str, &str)], script: &str) {
    tell(script, |dir| volume(dir, bricks, options));
}

/// The same on a volume of so many bricks without copies.
fn spread_story(bricks: usize, options: &[(&str, &str)], script: &str) {
    tell(script, |dir| Volume { replica: 1, ..volume(dir, bricks, options) });
}

fn tell(script: &str, volume: impl Fn(&Path) -> Volume) {
    if let Some(why) = why_not(script) {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    std::fs::write(dir.path().join("v.json"), serde_json::to_string(&volume).unwrap()).unwrap();
    let ports: Vec<String> = volume.bricks.iter().map(|b| b.port.to_string()).collect();
    let output = Command::new("unshare")
        .args(["-m", "timeout", "-k", "5", "100", "bash", "-c", &format!("{PROLOGUE}\n{script}")])
        .env("TERRARIUM", env!("CARGO_BIN_EXE_terrarium"))
        .env("PORTS", ports.join(" "))
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
}

/// A file that is open on one mount lives on when its last name is removed on another, and is gone when it is closed.
#[test]
fn an_open_file_outlives_its_name_on_another_mount() {
    story(
        3,
        &[],
        r#"
echo hello > a/f; exec 3< a/f; rm b/f; soon bash -c '! ls a/f'
is kept "$(ls b0/.glusterfs/unlink | wc -l)" 1
is content "$(cat <&3)" hello
exec 3<&-
soon bash -c '[ -z "$(ls b0/.glusterfs/unlink b1/.glusterfs/unlink b2/.glusterfs/unlink | grep -v :)" ]'
echo x > a/g; stat b/g > /dev/null; rm a/g
soon bash -c '[ -z "$(ls b0/.glusterfs/unlink | grep -v :)" ]'
"#,
    );
}

/// A mount that made a directory, or learned its names, says by itself what is not there; what another mount makes, moves or
/// removes there is seen all the same (what came at once, what went as soon as the bricks told), and so are the directory's figures.
#[test]
fn what_is_known_of_a_directory_is_never_stale() {
    story(
        3,
        &[],
        r#"
mkdir a/d b/e
for i in {1..20}; do echo $i > a/d/f$i; echo $i > a/e/f$i; no stat a/d/new$i; no stat a/e/new$i; done
for i in {1..20}; do
    echo $i > b/d/new$i; is made "$(cat a/d/new$i)" $i
    mkdir b/e/new$i; is made "$(stat -c %F a/e/new$i)" directory
    mv b/d/f$i b/e/g$i; is moved "$(cat a/e/g$i)" $i
    soon bash -c "! cat a/d/f$i"
    rm b/d/new$i; soon bash -c "! cat a/d/new$i"; echo again > a/d/new$i; is again "$(cat b/d/new$i)" again
done
no rmdir a/e; is links "$(stat -c %h a/e)" 22
touch -d 2001-02-03 b/d; soon bash -c '[ "$(stat -c %y a/d | cut -c-10)" = 2001-02-03 ]'
touch a/d/last; is time "$(stat -c %y a/d)" "$(stat -c %y b/d)"
chmod 700 b/d; soon bash -c '[ "$(stat -c %a a/d)" = 700 ]'
touch a/d/more; is mode "$(stat -c %a a/d)" 700
"#,
    );
}

/// What one mount did, the other shows when it is done: also what it knew from a brick that was lost meanwhile, and that told it nothing.
#[test]
fn two_mounts_see_the_same_also_when_a_brick_is_lost() {
    story(
        3,
        &[("cluster.heal-timeout", "1")],
        r#"
"$TERRARIUM" glusterfs --process-name glustershd --machine 127.0.0.1 --volume-file $PWD/v.json & HEALER=$!
for i in {1..100}; do
    echo $i > a/new; mv a/new a/f; is replaced "$(cat b/f)" $i
    echo more >> b/f; is appended "$(stat -c %s a/f)" $(stat -c %s b/f)
    rm b/f; no stat a/f; echo x > b/f; is again "$(cat a/f)" x
done
healed() { [ -z "$(ls b*/.glusterfs/indices/xattrop | grep -v '^b\|^xattrop\|^$')" ]; }
for n in 0 1 2; do
    mkdir a/d$n; for i in {1..8}; do echo old > a/d$n/f$i; done
    mnt s; cat s/d$n/* > /dev/null
    end $n
    for i in {1..8}; do echo new > a/new; mv a/new a/d$n/f$i; is lost "$(cat s/d$n/f$i)" new; done
    umount s; brick $n; soon healed
done
"#,
    );
}

/// Names that are asked for one after the other come along with those before them, contents too; they are right, and what changes
/// after they came is seen.
#[test]
fn names_that_come_along_are_right() {
    story(
        3,
        &[],
        r#"
mkdir a/d; for i in {1..600}; do echo $i > a/d/f$i; done
mnt s
for i in {1..300}; do is read "$(cat s/d/f$i)" $i; done
for i in {301..320}; do rm a/d/f$i; echo other $i > a/d/f$i; done
sleep .01; for i in {301..320}; do soon grep -q other s/d/f$i; done
for i in {321..600}; do is size "$(stat -c %s s/d/f$i)" 4; done
ln s/d/f400 s/d/h; is links "$(stat -c %h s/d/f400)" 2; rm s/d/h; is links "$(stat -c %h s/d/f400)" 1
mv s/d/f401 s/d/h; is moved "$(cat s/d/h)" 401; no stat s/d/f401
"#,
    );
}

/// Writing to a file and cutting it takes its set-user-id bit away, unless it is root who does it.
#[test]
fn a_stranger_takes_the_user_id_bit_away() {
    story(
        3,
        &[],
        r#"
chmod 755 .; touch a/f
stranger() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
for change in 'echo x >> a/f' 'echo y 1<> a/f' 'truncate -s 3 a/f' ': > a/f' 'fallocate -l 100 a/f'; do
    chmod 6777 a/f; stranger bash -c "$change"; soon bash -c '[ $(stat -c %a a/f) = 777 ]'
    is "$change" "$(stat -c %a b0/f)" 777
    chmod 6777 a/f; bash -c "$change"; is "$change by root" "$(stat -c %a b0/f)" 6777
done
chmod 6777 a/f; chown 65534 a/f; is owner "$(stat -c %a b0/f)" 777
"#,
    );
}

/// Locks of processes hold between mounts, are waited for, and end with their process.
#[test]
fn locks_hold_between_mounts() {
    story(
        3,
        &[],
        r#"
echo x > a/l; soon cat b/l
exec 3<> a/l; flock -x 3
no flock -n b/l true
flock b/l touch waited 3>&- & waiter=$!
no flock -w 1 b/l true
exec 3>&-
wait $waiter; is waited "$(ls waited)" waited
flock a/l sleep 100 & holder=$!
soon bash -c '! flock -n b/l true'
pkill -9 -P $holder; wait $holder || true
soon flock -n b/l true
# A brick that was away learns of the locks that are held.
exec 3<> a/l; flock -x 3; end 0; brick 0; soon bash -c 'echo 1 > a/alive'
no flock -n b/l true
"#,
    );
}

/// A file in split-brain is an error as soon as both bricks are back, also where it was written.
#[test]
fn split_brain_is_an_error_where_it_was_made() {
    story(
        2,
        &[("cluster.quorum-type", "none")],
        r#"
echo 0 > a/f
end 0; echo 1 > a/f; is alone "$(cat a/f)" 1
end 1; brick 0; soon bash -c 'echo 22 > a/f'; is other "$(cat a/f)" 22
brick 1
soon bash -c '! cat a/f'
no cat b/f
is why "$(cat a/f 2>&1 | grep -c 'Input/output error')" 1
"#,
    );
}

/// A directory of the volume is mounted alone; a directory that is not there is not.
#[test]
fn a_directory_is_mounted_alone() {
    story(
        3,
        &[],
        r#"
mkdir -p a/d/e; echo inside > a/d/e/f
mnt s --subdir-mount /d/e
is content "$(cat s/f)" inside
echo more >> s/f; soon grep -q more a/d/e/f
is dots "$(ls -a s | head -2 | tr '\n' ' ')" ". .. "
umount s
no mnt s --subdir-mount /nosuch
"#,
    );
}

/// A brick that hangs is given up after `network.ping-timeout`, and is healed when it goes on.
#[test]
fn a_hung_brick_is_given_up_in_seconds() {
    story(
        3,
        &[("network.ping-timeout", "2"), ("cluster.quorum-type", "auto"), ("cluster.heal-timeout", "1")],
        r#"
"$TERRARIUM" glusterfs --process-name glustershd --machine 127.0.0.1 --volume-file $PWD/v.json & HEALER=$!
echo 1 > a/f
kill -STOP ${PID[2]}
start=$SECONDS; timeout 30 bash -c 'echo 2 > a/f'; [ $((SECONDS - start)) -lt 15 ] || { echo "took $((SECONDS - start)) s" >&2; exit 1; }
is stale "$(cat b2/f)" 1
kill -CONT ${PID[2]}
soon grep -q 2 b2/f
"#,
    );
}

/// One full disk does not stop the others: the write counts where there is room, and the full one catches up.
#[test]
fn a_full_disk_is_one_copy_less() {
    story(
        3,
        &[("cluster.quorum-type", "auto")],
        r#"
end 2; rm -rf b2; mkdir b2; mount -t tmpfs -o size=2m none b2; brick 2; sleep .3
dd if=/dev/urandom of=big bs=1M count=4 2>/dev/null
soon bash -c 'echo ready > a/r && [ -e b2/r ]'
cp big a/big && sync a/big; cmp big a/big
[ "$(ls b0/.glusterfs/indices/xattrop | grep -vc xattrop-)" -ge 1 ]
"#,
    );
}

/// With `terrarium.heal-majority` two copies heal although the third is away; it catches up later.
#[test]
fn a_majority_heals_without_the_third() {
    story(
        3,
        &[("cluster.quorum-type", "auto"), ("terrarium.heal-majority", "on")],
        r#"
"$TERRARIUM" glusterfs --process-name glustershd --machine 127.0.0.1 --volume-file $PWD/v.json & HEALER=$!
echo 1 > a/f; is there "$(cat b1/f)" 1
end 1; echo 2 > a/f; is missed "$(cat b1/f)" 1
end 2; brick 1
soon grep -q 2 b1/f
brick 2
soon bash -c '[ "$(ls b0/.glusterfs/indices/xattrop b1/.glusterfs/indices/xattrop | grep -c ^[0-9a-f]\{8\}-)" = 0 ]'
"#,
    );
}

/// Two mounts that append to one file never write over each other, whatever their kernels believe of its length.
#[test]
fn appends_of_two_mounts_are_all_there() {
    story(
        3,
        &[],
        r#"
python3 - <<'END'
import os, threading
def lines(mount):
    fd = os.open(mount + "/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for i in range(200):
        os.write(fd, b"%s %d\n" % (mount.encode(), i))
    os.close(fd)
threads = [threading.Thread(target=lines, args=(m,)) for m in "ab" for _ in "12"]
[t.start() for t in threads]
[t.join() for t in threads]
END
is lines "$(wc -l < b0/log)" 800
is every "$(sort b0/log | uniq -c | awk '$1 != 2' | wc -l)" 0
soon cmp a/log b0/log
soon cmp b/log b0/log
"#,
    );
}

/// A brick that is nearly full gets no new files: they go to the roomier one, with a link-to file where they belong.
#[test]
fn a_full_brick_gets_no_new_files() {
    spread_story(
        2,
        &[("cluster.min-free-disk", "50%")],
        r#"
end 0; end 1; umount -l a b
for i in 0 1; do rm -rf b$i; mkdir b$i; mount -t tmpfs -o size=$((8 + 24 * i))m none b$i; brick $i; soon bash -c "echo > /dev/tcp/127.0.0.1/${PORTS[$i]}"; done
mnt a; mnt b
for i in {1..20}; do echo $i > a/small$i; done
[ "$(ls b0 | wc -l)" -gt 0 ] && [ "$(ls b1 | wc -l)" -gt 0 ]
is none "$(find b0 b1 -not -path '*/.glusterfs/*' -perm 1000 | wc -l)" 0
dd if=/dev/zero of=b0/ballast bs=1M count=6 2>/dev/null
soon bash -c 'rm -f a/probe*; touch a/probe{1..9}; [ -n "$(find b0 -maxdepth 1 -name "probe*" -perm 1000)" ]'
for i in {1..20}; do echo new $i > a/new$i; done
is all "$(ls b1 | grep -c ^new)" 20
is links "$(find b0 -maxdepth 1 -name 'new*' -not -perm 1000 | wc -l)" 0
[ "$(find b0 -maxdepth 1 -name 'new*' -perm 1000 | wc -l)" -gt 0 ]
is read "$(cat b/new* | grep -c new)" 20
rm a/new*; is gone "$(ls b0 b1 | grep -c ^new || true)" 0
"#,
    );
}

/// A mount tells what it knows: the stack, its options, which bricks are up; and has everything by its identity if that is wanted.
#[test]
fn a_mount_tells_what_it_knows() {
    story(
        3,
        &[("cluster.eager-lock", "off")],
        r#"
set=a/.meta/graphs/active/gv0-replicate-0
is hidden "$(ls -A a)" ""
is option "$(cat $set/options/eager-lock)" off
is brick "$(cat $set/subvolumes/2/options/remote-subvolume)" $PWD/b2
soon grep -q '^child_up\[1\] = 1' $set/private
end 1; soon grep -q '^child_up\[1\] = 0' $set/private
is up "$(grep ^up $set/private)" "up = 1"
grep -q 'attribute_timeout' a/.meta/root/private
is all "$(find a/.meta -type f -exec cat {} + 2>&1 >/dev/null)" ""
no touch a/.meta/x; no rmdir a/.meta
brick 1; mkdir a/d; echo hello > a/d/f
mnt s --aux-gfid-mount
gfid() { getfattr -n glusterfs.gfid.string --only-values --absolute-names $1; }
is file "$(cat s/.gfid/$(gfid a/d/f))" hello
is dir "$(ls s/.gfid/$(gfid a/d))" f
chmod 600 s/.gfid/$(gfid a/d/f); soon bash -c '[ $(stat -c %a a/d/f) = 600 ]'
is path "$(getfattr -n glusterfs.gfidtopath --only-values --absolute-names s/.gfid/$(gfid a/d/f))" /d/f
no mkdir s/.gfid/x; no stat a/.gfid
umount s
"#,
    );
}

/// Attributes in split-brain: they are shown, nothing can be done with the file, until a person chooses a copy.
#[test]
fn disputed_attributes_wait_for_a_choice() {
    story(
        2,
        &[("cluster.quorum-type", "none")],
        r#"
echo 0 > a/f; chmod 644 a/f
end 0; chmod 600 a/f; brick 0; sleep 1; soon stat a/f
end 1; soon chmod 755 a/f; brick 1
soon bash -c 'getfattr -n replica.split-brain-status --only-values --absolute-names a/f | grep metadata-split-brain:yes'
stat a/f > /dev/null; no cat a/f; no chmod 700 a/f
setfattr -n replica.split-brain-choice -v gv0-client-1 a/f; is one "$(stat -c %a a/f)" 600
setfattr -n replica.split-brain-choice -v gv0-client-0 a/f; is other "$(stat -c %a a/f)" 755
setfattr -n replica.split-brain-heal-finalize -v gv0-client-0 a/f
is healed "$(stat -c %a b0/f b1/f | tr '\n' ' ')" "755 755 "
soon cat a/f
"#,
    );
}

/// Directories can be made while a brick that does not have their names is away; it gets them when it is back.
#[test]
fn directories_are_made_without_a_brick() {
    spread_story(
        3,
        &[],
        r#"
ls a >/dev/null; end 1
for i in {1..12}; do mkdir a/d$i 2>/dev/null && made+=" d$i"; done
[ -n "$made" ]; set -- $made; chmod 700 a/$1; setfattr -n user.note -v x a/$1
for i in {1..9}; do echo $i > a/$1/f$i; done
is all "$(cat a/$1/f* | sort -n | wc -l)" 9
brick 1; soon bash -c "stat a/$1 >/dev/null && [ -d b1/$1 ]"
is mode "$(stat -c %a b1/$1)" 700
is note "$(getfattr -n user.note --only-values b1/$1)" x
is still "$(cat b/$1/f* | wc -l)" 9
chmod 755 a/$1; is evenly "$(stat -c %a b0/$1 b1/$1 b2/$1 | uniq)" 755
"#,
    );
}

/// With `cluster.data-self-heal` a mount heals what it finds, without a self-heal daemon.
#[test]
fn a_mount_heals_if_it_may() {
    story(
        3,
        &[("cluster.data-self-heal", "on")],
        r#"
echo old > a/f; end 2; echo newer > a/f; brick 2
soon bash -c 'cat a/f >/dev/null; cmp b0/f b2/f'
"#,
    );
}

/// A volume that may only be read.
#[test]
fn a_read_only_volume_takes_no_change() {
    story(
        3,
        &[("features.read-only", "on")],
        r#"
is why "$(touch a/f 2>&1 | grep -c 'Read-only')" 1
is nothing "$(ls a)" ""
"#,
    );
}

/// What is made in a directory with a default access list inherits it, whatever the umask says.
#[test]
fn access_lists_are_inherited() {
    story(
        3,
        &[],
        r#"
command -v setfacl >/dev/null || exit 0
mkdir a/d a/plain; setfacl -m d:u:1:rwx,d:o::rwx a/d
umask 077; mkdir a/d/e; touch a/d/f a/plain/f
list() { getfacl -cpnE $1 | tr '\n' ' '; }
is dir "$(list a/d/e)" "user::rwx user:1:rwx group::r-x mask::rwx other::rwx default:user::rwx default:user:1:rwx default:group::r-x default:mask::rwx default:other::rwx  "
is file "$(list a/d/f)" "user::rw- user:1:rwx group::r-x mask::rw- other::rw-  "
is umask "$(stat -c %a a/plain/f)" 600
is copies "$(getfacl -cpn b0/d/e b1/d/e b2/d/e | sort -u | grep -c user:1)" 2
"#,
    );
}
