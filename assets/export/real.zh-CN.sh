#!/bin/bash
# 在真实的 Debian 或 Ubuntu 机器上以 root 身份完成作业的第三、四部分。
#
#   sudo bash real.sh             全部
#   sudo bash real.sh volume      第三部分：复制卷，挂载到容器中
#   sudo bash real.sh union       第四部分：同一个镜像，各自的可写层
#
# 可以设置：
#   SERVERS="a b c"   三台运行 glusterd、彼此能用名字访问的机器；不设置时三个 brick 都在本机，
#                     能看到复制与修复，但本机损坏就全没了
#   TEMPLATE=busybox  lxc-create 的模板（默认 download，从网络下载 Debian 镜像）
#   KEEP=1            结束后保留一切
#
# 与实验环境不同，本脚本会改变这台机器：安装软件包，在 /var/lib/lxc 创建容器，在 /srv/homework 放置 brick。
set -eu

say() { printf '\n=== %s\n' "$*"; }
fail() { printf 'real.sh：%s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "需要 root：sudo bash $0"
command -v apt-get >/dev/null || fail "只适用于 Debian 与 Ubuntu（这里没有 apt-get）"
PART=${1:-all} TEMPLATE=${TEMPLATE:-download} LXC=/var/lib/lxc BRICKS=/srv/homework

# 缺少的软件包才安装，已有的不动。
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

# lxc-start 在 1 号进程运行后返回；网络中的容器稍后才会应答。
start() {
    lxc-start -n "$1"
    lxc-wait -n "$1" -s RUNNING -t 30
}

volume() {
    need gluster glusterfs-server
    need lxc-create lxc
    systemctl start glusterd 2>/dev/null || pgrep -x glusterd >/dev/null || glusterd

    say "三副本的卷"
    local bricks=() force=""
    if [ -n "${SERVERS:-}" ]; then
        for server in $SERVERS; do
            [ "$server" = "$(hostname)" ] || gluster peer probe "$server"
            bricks+=("$server:$BRICKS/brick")
        done
    else
        for n in 1 2 3; do mkdir -p "$BRICKS/brick$n"; bricks+=("$(hostname):$BRICKS/brick$n"); done
        force=force    # gluster 会警告，它是对的：三个副本都在一台机器上
    fi
    gluster volume info gv0 >/dev/null 2>&1 || gluster volume create gv0 replica 3 "${bricks[@]}" $force
    gluster volume status gv0 >/dev/null 2>&1 || gluster volume start gv0
    mkdir -p /mnt/gv0
    mountpoint -q /mnt/gv0 || mount -t glusterfs "${bricks[0]%%:*}:/gv0" /mnt/gv0

    say "把卷（它的挂载点，而不是 brick）放进容器"
    create gv-client
    grep -q /mnt/gv0 "$LXC/gv-client/config" ||
        echo 'lxc.mount.entry = /mnt/gv0 mnt/gv0 none bind,create=dir 0 0' >> "$LXC/gv-client/config"
    start gv-client
    lxc-attach -n gv-client -- sh -c 'echo before > /mnt/gv0/before && grep /mnt/gv0 /proc/mounts'
    [ -n "${SERVERS:-}" ] || ls "$BRICKS"/brick*/before

    say "杀掉一个 brick 进程（不是 glusterd，而是 brick）"
    local pid
    pid=$(gluster volume status gv0 "${bricks[${#bricks[@]} - 1]}" | awk '/^Brick/ { print $NF }')
    [ -n "${SERVERS:-}" ] || kill -9 "$pid"
    lxc-attach -n gv-client -- sh -c 'cat /mnt/gv0/before; echo during > /mnt/gv0/during'
    [ -n "${SERVERS:-}" ] || ls "$BRICKS/brick3"

    say "brick 恢复并自我修复"
    gluster volume start gv0 force
    until [ "$(gluster volume heal gv0 info | awk '/^Number of entries/ { sum += $NF } END { print sum + 0 }')" = 0 ]; do sleep 1; done
    [ -n "${SERVERS:-}" ] || ls "$BRICKS/brick3"
}

# Debian 与 Ubuntu 的内核已不再带 aufs；这里用内核的 overlayfs 代替：lowerdir 是 =ro 分支，upperdir 是 =rw 分支。
union() { # union MOUNTPOINT BASE [WRITABLE]
    if grep -qw aufs /proc/filesystems; then
        mount -t aufs -o "br=${3:+$3=rw:}$2=ro" none "$1"
    elif [ -n "${3:-}" ]; then
        mkdir -p "$3.work"
        mount -t overlay -o "lowerdir=$2,upperdir=$3,workdir=$3.work" none "$1"
    else
        mount --bind "$2" "$1" && mount -o remount,bind,ro "$1"    # 只有一层的 overlay 不被允许
    fi
}

image() {
    need lxc-create lxc
    say "基础镜像"
    create aufstest1
    cd "$LXC"
    local before
    before=$(find aufstest1/rootfs -xdev -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    mkdir -p aufstest2/rootfs aufstest2/writable
    sed -e "s#^lxc.rootfs.path *=.*#lxc.rootfs.path = dir:$LXC/aufstest2/rootfs#" \
        -e 's#^lxc.uts.name *=.*#lxc.uts.name = aufstest2#' aufstest1/config > aufstest2/config

    say "只有只读分支：写入失败"
    union "$LXC/aufstest2/rootfs" "$LXC/aufstest1/rootfs"
    if touch aufstest2/rootfs/root/test; then fail "这本不该成功"; fi
    umount aufstest2/rootfs

    say "加上可写分支：写入成功，基础镜像保持原样"
    union "$LXC/aufstest2/rootfs" "$LXC/aufstest1/rootfs" "$LXC/aufstest2/writable"
    start aufstest2
    lxc-attach -n aufstest2 -- sh -c 'touch /root/test && ls /root'
    find aufstest2/writable -newer aufstest2/config | head -n 20
    [ -e aufstest2/writable/root/test ] || fail "新文件不在可写分支里"
    [ ! -e aufstest1/rootfs/root/test ] || fail "基础镜像被写入了"
    [ "$before" = "$(find aufstest1/rootfs -xdev -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)" ] ||
        fail "基础镜像变了"
    du -sh aufstest1/rootfs aufstest2/writable
}

clean() {
    say "恢复原状（KEEP=1 则保留）"
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

case $PART in volume) volume ;; union) image ;; all) volume; image ;; *) fail "参数是 volume、union，或不写（两部分都做）" ;; esac
[ -n "${KEEP:-}" ] || clean
say "完成"
