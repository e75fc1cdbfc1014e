#!/bin/bash
# The homework's parts (c) and (d) on a real Debian or Ubuntu machine, as root.
#
#   sudo bash real.sh             all of it
#   sudo bash real.sh volume      part (c): a replicated volume, mounted into a container
#   sudo bash real.sh union       part (d): one image, a writable branch
#
# What you may set:
#   SERVERS="a b c"   three machines that run glusterd and trust each other's names; without it the three bricks lie on
#                     this machine, which shows replication and healing but does not survive this machine
#   TEMPLATE=busybox  the template of lxc-create (default: download, a Debian image from the network)
#   KEEP=1            leave everything standing at the end
#
# Unlike the lab this changes the machine: it installs packages, makes containers in /var/lib/lxc and bricks in /srv/homework.
set -eu

say() { printf '\n=== %s\n' "$*"; }
fail() { printf 'real.sh: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "this needs root: sudo bash $0"
command -v apt-get >/dev/null || fail "this is for Debian and Ubuntu (there is no apt-get here)"
PART=${1:-all} TEMPLATE=${TEMPLATE:-download} LXC=/var/lib/lxc BRICKS=/srv/homework

# A missing package is installed; one that is there is left alone.
need() {
    command -v "$1" >/dev/null || { apt-get update && apt-get install -y "$2"; }
}

create() {
    [ -e "$LXC/$1/config" ] && return
    case $TEMPLATE in
        download) lxc-create -n "$1" -t download -- -d debian -r bookworm -a "$(dpkg --print-architecture)" ;;
        *) lxc-create -n "$1" -t "$TEMPLATE" ;;
    esac
}

# lxc-start returns when pid 1 runs; a container of the network answers a little later.
start() {
    lxc-start -n "$1"
    lxc-wait -n "$1" -s RUNNING -t 30
}

volume() {
    need gluster glusterfs-server
    need lxc-create lxc
    systemctl start glusterd 2>/dev/null || pgrep -x glusterd >/dev/null || glusterd

    say "a volume of three replicas"
    local bricks=() force=""
    if [ -n "${SERVERS:-}" ]; then
        for server in $SERVERS; do
            [ "$server" = "$(hostname)" ] || gluster peer probe "$server"
            bricks+=("$server:$BRICKS/brick")
        done
    else
        for n in 1 2 3; do mkdir -p "$BRICKS/brick$n"; bricks+=("$(hostname):$BRICKS/brick$n"); done
        force=force    # gluster warns, rightly: all replicas on one machine
    fi
    gluster volume info gv0 >/dev/null 2>&1 || gluster volume create gv0 replica 3 "${bricks[@]}" $force
    gluster volume status gv0 >/dev/null 2>&1 || gluster volume start gv0
    mkdir -p /mnt/gv0
    mountpoint -q /mnt/gv0 || mount -t glusterfs "${bricks[0]%%:*}:/gv0" /mnt/gv0

    say "the volume (its mount point, never a brick) in a container"
    create gv-client
    grep -q /mnt/gv0 "$LXC/gv-client/config" ||
        echo 'lxc.mount.entry = /mnt/gv0 mnt/gv0 none bind,create=dir 0 0' >> "$LXC/gv-client/config"
    start gv-client
    lxc-attach -n gv-client -- sh -c 'echo before > /mnt/gv0/before && grep /mnt/gv0 /proc/mounts'
    [ -n "${SERVERS:-}" ] || ls "$BRICKS"/brick*/before

    say "one brick process is killed (not glusterd: the brick)"
    local pid
    pid=$(gluster volume status gv0 "${bricks[${#bricks[@]} - 1]}" | awk '/^Brick/ { print $NF }')
    [ -n "${SERVERS:-}" ] || kill -9 "$pid"
    lxc-attach -n gv-client -- sh -c 'cat /mnt/gv0/before; echo during > /mnt/gv0/during'
    [ -n "${SERVERS:-}" ] || ls "$BRICKS/brick3"

    say "it comes back and heals"
    gluster volume start gv0 force
    until [ "$(gluster volume heal gv0 info | awk '/^Number of entries/ { sum += $NF } END { print sum + 0 }')" = 0 ]; do sleep 1; done
    [ -n "${SERVERS:-}" ] || ls "$BRICKS/brick3"
}

# aufs left the kernels of Debian and Ubuntu; kernel overlayfs does the same here: lowerdir is the =ro branch, upperdir the =rw one.
union() { # union MOUNTPOINT BASE [WRITABLE]
    if grep -qw aufs /proc/filesystems; then
        mount -t aufs -o "br=${3:+$3=rw:}$2=ro" none "$1"
    elif [ -n "${3:-}" ]; then
        mkdir -p "$3.work"
        mount -t overlay -o "lowerdir=$2,upperdir=$3,workdir=$3.work" none "$1"
    else
        mount --bind "$2" "$1" && mount -o remount,bind,ro "$1"    # an overlay of one layer is not allowed
    fi
}

image() {
    need lxc-create lxc
    say "the base image"
    create aufstest1
    cd "$LXC"
    local before
    before=$(find aufstest1/rootfs -xdev -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    mkdir -p aufstest2/rootfs aufstest2/writable
    sed -e "s#^lxc.rootfs.path *=.*#lxc.rootfs.path = dir:$LXC/aufstest2/rootfs#" \
        -e 's#^lxc.uts.name *=.*#lxc.uts.name = aufstest2#' aufstest1/config > aufstest2/config

    say "read-only alone: a write fails"
    union "$LXC/aufstest2/rootfs" "$LXC/aufstest1/rootfs"
    if touch aufstest2/rootfs/root/test; then fail "that should not have worked"; fi
    umount aufstest2/rootfs

    say "with a writable branch: it works, and the base stays as it was"
    union "$LXC/aufstest2/rootfs" "$LXC/aufstest1/rootfs" "$LXC/aufstest2/writable"
    start aufstest2
    lxc-attach -n aufstest2 -- sh -c 'touch /root/test && ls /root'
    find aufstest2/writable -newer aufstest2/config | head -n 20
    [ -e aufstest2/writable/root/test ] || fail "the new file is not in the writable branch"
    [ ! -e aufstest1/rootfs/root/test ] || fail "the base was written to"
    [ "$before" = "$(find aufstest1/rootfs -xdev -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)" ] ||
        fail "the base has changed"
    du -sh aufstest1/rootfs aufstest2/writable
}

clean() {
    say "everything back (KEEP=1 keeps it)"
    cd /
    for name in gv-client aufstest2; do lxc-stop -n "$name" -k 2>/dev/null || true; done
    umount "$LXC/aufstest2/rootfs" 2>/dev/null || true
    umount /mnt/gv0 2>/dev/null || true
    if gluster volume info gv0 >/dev/null 2>&1; then
        gluster --mode=script volume stop gv0 force && gluster --mode=script volume delete gv0
    fi
    for name in gv-client aufstest2 aufstest1; do [ ! -e "$LXC/$name" ] || lxc-destroy -n "$name" || true; done
    rm -rf "$BRICKS"
}

case $PART in volume) volume ;; union) image ;; all) volume; image ;; *) fail "volume, union, or nothing for both" ;; esac
[ -n "${KEEP:-}" ] || clean
say "done"
