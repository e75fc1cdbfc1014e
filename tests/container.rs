//! Containers from outside: the `lxc-*` commands in a world, as root and as an ordinary user, on real namespaces.

mod common;

use common::{Home, Who, err, everybody, out, processes_with, wait_until};

/// A script in a fresh world that has the container `c1` (style `busybox`), running; its output.
fn with_c1(who: Who, script: &str) -> String {
    let home = Home::of(who);
    let output = home.run(&format!("lxc-create -t busybox -n c1 >/dev/null && lxc-start -n c1 && {{ {script}\n}}"));
    let said = out(&output) + &err(&output);
    assert!(!said.contains("failed to start"), "{who:?}: {said}");
    said
}

/// Whether the machine has BusyBox, of which small containers are made; says so if it has not.
fn has_busybox() -> bool {
    let has =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join("busybox").exists());
    if !has {
        eprintln!("skipped: no busybox");
    }
    has
}

/// The homework's part (d), block by block, with the wrong turn: a base that is only `=ro` cannot be written; with a
/// writable branch it can, the base stays as it was to the byte, and what is new lies in the branch.
#[test]
fn the_homework_part_d() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            r#"
            sudo lxc-create -t debian -n aufstest1 >/dev/null
            cd /var/lib/lxc
            sum() { find aufstest1/rootfs -type f | sort | xargs sha256sum | sha256sum; }
            before=$(sum)
            mkdir aufstest2
            mkdir aufstest2/rootfs
            mount -t aufs -o dirs=/var/lib/lxc/aufstest1/rootfs/=ro none /var/lib/lxc/aufstest2/rootfs
            sed 's#^lxc.rootfs.path.*#lxc.rootfs = /var/lib/lxc/aufstest2/rootfs#; s#^lxc.uts.name.*#lxc.utsname = aufstest2#' \
                aufstest1/config > aufstest2/config
            lxc-start -n aufstest2 && lxc-ls -f
            lxc-attach -n aufstest2 -- touch /root/new; echo "first $?"
            lxc-stop -n aufstest2 && umount aufstest2/rootfs
            cd /var/lib/lxc/aufstest2/
            mkdir writable
            mount -t aufs -o dirs=/var/lib/lxc/aufstest2/writable/=rw:/var/lib/lxc/aufstest1/rootfs/=ro none /var/lib/lxc/aufstest2/rootfs
            lxc-start -n aufstest2
            lxc-attach -n aufstest2 -- sh -c 'touch /root/new && rm /etc/issue && ls /root && hostname'; echo "second $?"
            cd ..
            ls aufstest1/rootfs/root; ls -A aufstest2/writable/root aufstest2/writable/etc
            test "$before" = "$(sum)" && echo unchanged
            "#,
        );
        let (seen, wrong) = (out(&output), err(&output));
        assert!(seen.contains("aufstest2 RUNNING 0         -      -    -    false"), "{who:?}: {seen}{wrong}");
        assert!(wrong.contains("Read-only file system") && seen.contains("first 1"), "{who:?}: {seen}{wrong}");
        let after = seen.split("first 1").nth(1).unwrap();
        let wanted = "new\naufstest2\nsecond 0\naufstest2/writable/etc:\n.wh.issue\n\naufstest2/writable/root:\nnew\nunchanged\n";
        assert_eq!(after.trim_start(), wanted, "{who:?}: {wrong}");
    }
}

/// A container is a machine of its own: host name, processes from 1, network, and nothing of the world's processes.
#[test]
fn a_machine_of_its_own() {
    for who in everybody() {
        let seen = with_c1(
            who,
            "lxc-attach -n c1 -- sh -c 'hostname; cat /proc/1/comm; ls /sys/class/net; cat /proc/self/status | grep NoNewPrivs; echo $container'
             lxc-attach -n c1 -- ps -o args | grep -c -e terrarium -e keeper
             for ns in user mnt pid uts ipc net; do
               test $(lxc-attach -n c1 -- readlink /proc/self/ns/$ns) != $(readlink /proc/self/ns/$ns) || echo shared $ns; done",
        );
        assert_eq!(seen, "c1\ninit\nlo\nNoNewPrivs:\t0\nlxc\n0\n", "{who:?}");
    }
}

/// What was tried to get out: each attempt fails, as root of the container, and nothing is changed outside.
#[test]
fn there_is_no_way_out() {
    if !has_busybox() {
        return;
    }
    for who in everybody() {
        let seen = with_c1(
            who,
            r#"
            cat > /var/lib/lxc/c1/rootfs/escape <<'E'
            try() { if "$@" >/dev/null 2>&1; then echo "possible: $*"; fi; }
            try mknod /tmp/disk b 8 0
            mkdir /tmp/t; mount -t tmpfs t /tmp/t && try mknod /tmp/t/disk b 8 0
            mkdir /tmp/m
            for fs in proc sysfs devtmpfs cgroup cgroup2 debugfs tracefs securityfs; do try mount -t $fs x /tmp/m; done
            try umount /proc/sys
            try mount -o remount,rw /proc/sys
            try mount -o remount,bind,rw /sys
            try sh -c 'echo 0 > /proc/sys/kernel/panic'
            try sh -c 'echo h > /proc/sysrq-trigger'
            try sh -c 'echo x > /sys/kernel/uevent_helper'
            try head -c1 /proc/kcore
            try dmesg
            try sh -c 'date -s 2020-01-01; test $(date +%Y) = 2020'
            try swapoff -a -v /dev/vda
            try chroot /proc/1/root/../../.. test -e /run/terrarium/keeper.sock
            try test -e /run/terrarium
            try reboot -f
            try kill -0 2000000
            cp /bin/busybox /tmp/suid; chmod 4755 /tmp/suid; try /tmp/suid mknod /tmp/disk b 8 0
            try ls /proc/1/fd/999
            ls /dev | grep -v -e '^console$' -e '^tty[1-4]*$' -e '^pt' -e '^std' -e '^fd$' | tr '\n' ' '
            grep CapBnd /proc/self/status
E
            lxc-attach -n c1 -- sh /escape
            "#,
        );
        let dropped = [16, 17, 25, 32, 33].iter().fold(0u64, |bits, n| bits | 1 << n);
        let bounding = seen.rsplit_once("CapBnd:\t").map(|(_, bits)| u64::from_str_radix(bits.trim(), 16).unwrap());
        assert_eq!(bounding.unwrap_or(u64::MAX) & dropped, 0, "{who:?}: {seen}");
        let devices = seen.split("CapBnd").next().unwrap().trim();
        assert!(!devices.contains("possible"), "{who:?}: {seen}");
        for device in devices.split_whitespace() {
            let known = ["full", "fuse", "mqueue", "null", "random", "shm", "urandom", "zero"];
            assert!(known.contains(&device), "{who:?}: a device {device}: {seen}");
        }
    }
}

/// Exit codes are the command's own; 127 there is none, 126 cannot be run, 128 and the signal; a container that does not run is 1.
#[test]
fn exit_codes() {
    for who in everybody() {
        let seen = with_c1(
            who,
            "for c in 'exit 0' 'exit 7' 'kill -9 $$'; do lxc-attach -n c1 -- sh -c \"$c\"; echo $?; done
             lxc-attach -n c1 -- nosuch 2>/dev/null; echo $?
             lxc-attach -n c1 -- /etc/passwd 2>/dev/null; echo $?
             lxc-attach -n other -- true 2>/dev/null; echo $?
             lxc-start -n c1 2>/dev/null; echo $?
             lxc-destroy -n c1 2>/dev/null; echo $?
             lxc-stop -k -n c1; echo $?; lxc-stop -n c1 2>/dev/null; echo $?
             lxc-execute -n c1 -- sh -c 'echo pid $$; exit 9'; echo $?
             lxc-info -n other 2>/dev/null; echo $?
             lxc-destroy -n c1; echo $?; lxc-ls",
        );
        assert_eq!(seen, "0\n7\n137\n127\n126\n1\n0\n1\n0\n2\npid 2\n9\n1\n0\n", "{who:?}");
    }
}

/// Killed with -9, each part ends what depends on it and nothing else: pid 1 its container, the monitor too; and it can be
/// started again.
#[test]
fn kill_9_of_each_part() {
    for who in everybody() {
        let seen = with_c1(
            who,
            "kill -9 $(lxc-info -n c1 -p -H); lxc-wait -n c1 -s STOPPED -t 20 && echo one
             lxc-start -n c1
             pid=$(lxc-info -n c1 -p -H); kill -9 $(pgrep -f '[l]xc monitor')
             while test -d /proc/$pid; do sleep 0.01; done; lxc-info -n c1 -s -H
             lxc-start -n c1 && lxc-info -n c1 -s -H
             lxc-attach -n c1 -- sh -c 'kill -9 -1'; lxc-info -n c1 -s -H",
        );
        assert_eq!(seen, "one\nSTOPPED\nRUNNING\nRUNNING\n", "{who:?}");
    }
}

/// As many processes as a container can make stay in its box: the world can still look at it and end it.
#[test]
fn a_crowd_of_processes_stays_in_its_box() {
    for who in everybody() {
        let seen = with_c1(
            who,
            "lxc-attach -n c1 -- sh -c 'while :; do sleep 1000 & done' >/dev/null 2>&1; echo $?
             n=$(ps ax | grep -c '[s]leep 1000'); test $n -gt 500 -a $n -lt 1100 && echo bounded
             lxc-info -n c1 -s -H; lxc-stop -k -n c1; lxc-info -n c1 -s -H; lxc-start -n c1; lxc-attach -n c1 -- echo again",
        );
        assert_eq!(seen, "2\nbounded\nRUNNING\nSTOPPED\nagain\n", "{who:?}");
    }
}

/// Where the machine gives us control groups (root has them), the limits of the configuration hold.
#[test]
fn limits_hold() {
    let root = everybody().into_iter().filter(|who| *who == Who::Root);
    for who in root {
        let home = Home::of(who);
        let output = home.run(
            "lxc-create -q -t busybox -n c1
             if test -e /sys/fs/cgroup/cgroup.controllers; then key=lxc.cgroup2 memory=memory.max pids=/sys/fs/cgroup
             else key=lxc.cgroup memory=memory.limit_in_bytes pids=/sys/fs/cgroup/pids; fi
             printf '%s.%s = 32M\n%s.pids.max = 100\n' $key $memory $key >> /var/lib/lxc/c1/config
             lxc-start -n c1; cat $pids/lxc.payload.c1/pids.max
             lxc-attach -n c1 -- tail /dev/zero 2>/dev/null; echo $?; lxc-attach -n c1 -- echo alive",
        );
        assert_eq!(out(&output), "100\n137\nalive\n", "{who:?}: {}", err(&output));
    }
}

/// Freezing stops everything in the container until it thaws; a frozen container can be stopped.
#[test]
fn frozen_means_still() {
    for who in everybody() {
        let seen = with_c1(
            who,
            "lxc-attach -n c1 -- sh -c 'while :; do echo x >> /count; done' &
             until test -s /var/lib/lxc/c1/rootfs/count; do sleep 0.01; done
             lxc-freeze -n c1; lxc-info -n c1 -s -H
             lines() { wc -l < /var/lib/lxc/c1/rootfs/count; }
             a=$(lines); sleep 0.3; b=$(lines); test $a = $b && echo still
             lxc-unfreeze -n c1; lxc-info -n c1 -s -H
             while test $(lines) = $b; do sleep 0.01; done; echo moves
             lxc-freeze -n c1; lxc-stop -n c1 && lxc-info -n c1 -s -H",
        );
        assert_eq!(seen, "FROZEN\nstill\nRUNNING\nmoves\nSTOPPED\n", "{who:?}");
    }
}

/// A folder of the world in the container, by the line that part (c) of the homework writes; and the errors of that line
/// say what is wrong.
#[test]
fn a_mount_entry() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            "lxc-create -t busybox -n c1 >/dev/null
             mkdir -p /mnt/gv0; echo text > /mnt/gv0/file
             cp /var/lib/lxc/c1/config base
             echo 'lxc.mount.entry = /mnt/gv0 mnt/gv0 none bind,create=dir 0 0' >> /var/lib/lxc/c1/config
             lxc-start -n c1 && lxc-attach -n c1 -- sh -c 'cat /mnt/gv0/file; echo more > /mnt/gv0/other'
             cat /mnt/gv0/other; lxc-stop -k -n c1
             (cat base; echo 'lxc.mount.entry = /no/such x none bind,create=dir 0 0') > /var/lib/lxc/c1/config; lxc-start -n c1
             (cat base; echo 'lxc.mount.entry = /etc ../../x none bind 0 0') > /var/lib/lxc/c1/config; lxc-start -n c1
             (cat base; echo 'lxc.colour = red'; echo 'lxc.cgroup2.no.such = 1'; echo 'lxc.apparmor.profile = generated') > /var/lib/lxc/c1/config; lxc-start -n c1",
        );
        assert_eq!(out(&output), "text\nmore\n", "{who:?}: {}", err(&output));
        let said = err(&output);
        for words in [
            "bind /no/such to /x in the container: No such file",
            "leaves the container",
            "lxc.colour: no such key",
            "no control group for no.such = 1",
            "lxc.apparmor.profile: not supported here, left out",
        ] {
            assert!(said.contains(words), "{who:?}: no `{words}` in {said}");
        }
    }
}

/// Two containers on one bridge see each other and the world's machines, by the addresses that they were given.
#[test]
fn a_bridge() {
    if !has_busybox() {
        return;
    }
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            "for c in c1 c2; do lxc-create -t busybox -n $c >/dev/null
               sed -i 's/^lxc.net.0.type.*/lxc.net.0.type = veth\\nlxc.net.0.link = lxcbr0/' /var/lib/lxc/$c/config; lxc-start -n $c; done
             lxc-ls -f | grep -o '10.0.3.1[01]'
             lxc-attach -n c1 -- sh -c 'for a in 10.0.3.1 10.0.3.11 10.77.1.2; do ping -c 1 -w 20 $a >/dev/null && echo $a; done'
             lxc-stop -k -n c1; lxc-start -n c1; lxc-info -n c1 -i -H",
        );
        let wanted = "10.0.3.10\n10.0.3.11\n10.0.3.1\n10.0.3.11\n10.77.1.2\n10.0.3.10\n";
        assert_eq!(out(&output), wanted, "{who:?}: {}", err(&output));
    }
}

/// Copies: a whole one, one that shares the bytes, one that vanishes when it stops, and a new name.
#[test]
fn copies() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            "lxc-create -t busybox -n c1 >/dev/null; echo base > /var/lib/lxc/c1/rootfs/root/file
             lxc-copy -n c1 -N whole; lxc-copy -n c1 -N thin -s -B overlay
             for c in whole thin; do lxc-start -n $c; lxc-attach -n $c -- sh -c 'hostname; cat /root/file; echo new > /root/file'; done
             cat /var/lib/lxc/c1/rootfs/root/file; cat /var/lib/lxc/thin/overlay/delta/root/file
             lxc-stop -k -n whole; lxc-copy -n whole -N moved -R; lxc-copy -n c1 -N brief -e >/dev/null; lxc-ls -1
             lxc-stop -k -n brief; ls /var/lib/lxc; lxc-start -n moved && lxc-attach -n moved -- hostname",
        );
        let wanted = "whole\nbase\nthin\nbase\nbase\nnew\nbrief\nc1\nmoved\nthin\nc1\nmoved\nthin\nmoved\n";
        assert_eq!(out(&output), wanted, "{who:?}: {}", err(&output));
    }
}

/// Snapshots, automatic starts in their order, hooks at their turns, changes watched; and what is not here says so.
#[test]
fn the_rarer_commands() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            "lxc-monitor > changes & for c in c1 c2; do lxc-create -q -t busybox -n $c; done
             cd /var/lib/lxc; for c in c1 c2; do echo 'lxc.start.auto = 1' >> $c/config; done
             echo 'lxc.start.order = 5' >> c2/config
             for hook in pre-start start-host post-stop; do echo \"lxc.hook.$hook = echo >> $OLDPWD/hooks\" >> c2/config; done
             echo 'lxc.hook.start = touch /begun' >> c2/config
             lxc-autostart -L; lxc-autostart && ls c2/rootfs/begun && lxc-autostart -k; lxc-wait -n c2 -s STOPPED; cd $OLDPWD
             cat hooks; echo one > /var/lib/lxc/c1/rootfs/f; lxc-snapshot -n c1; echo two > /var/lib/lxc/c1/rootfs/f
             lxc-snapshot -n c1 -r snap0; cat /var/lib/lxc/c1/rootfs/f; lxc-snapshot -n c1 -r snap0 -N c3; lxc-start -n c3
             lxc-attach -n c3 -- sh -c 'hostname; cat /f'; lxc-snapshot -n c1 -d ALL; lxc-snapshot -n c1 -L
             echo 'lxc.hook.pre-start = false' >> /var/lib/lxc/c1/config; lxc-start -n c1
             until grep -q c3 changes; do sleep 0.01; done; kill %1; head -n 2 changes | sort; lxc-device -n c3 add /dev/sda; echo $?",
        );
        let wanted = "c2 0\nc1 0\nc2/rootfs/begun\nc2 lxc pre-start\nc2 lxc start-host\nc2 lxc post-stop\none\nc3\none\n\
                      No snapshots\n'c1' changed state to [RUNNING]\n'c2' changed state to [RUNNING]\n3\n";
        assert_eq!(out(&output), wanted, "{who:?}: {}", err(&output));
        let said = err(&output);
        assert!(
            said.contains("lxc.hook.pre-start = false: it ended with") && said.contains("terrarium does not"),
            "{said}"
        );
    }
}

/// When the world ends, however it ends, its containers end with it.
#[test]
fn the_worlds_end_is_the_containers_end() {
    for who in everybody() {
        let home = Home::of(who);
        let token = format!("{}.5", 200_000 + std::process::id());
        let script = format!(
            "lxc-create -t busybox -n c1 >/dev/null; lxc-start -n c1; lxc-attach -n c1 -- sleep {token} & \
             until pgrep -f 'sleep {token}' >/dev/null; do sleep 0.01; done; touch up; wait"
        );
        let mut child = home.terrarium(["run", "--", "sh", "-c", &script]).spawn().unwrap();
        wait_until("the container runs", || home.work().join("up").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("nothing is left of it", || processes_with(&token).is_empty());
    }
}

/// Part (c) of the homework, the container's half: the replicated volume bound into the container, and also mounted inside it. What
/// the container writes is on every brick; the world knows the volume from a brick by its filesystem type.
#[test]
fn a_volume_in_a_container() {
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            "sudo apt install glusterfs-server lxc >/dev/null && sudo systemctl start glusterd
             gluster peer probe server2 >/dev/null; gluster peer probe server3 >/dev/null
             gluster volume create gv0 replica 3 server1:/data/b server2:/data/b server3:/data/b >/dev/null
             gluster volume start gv0 >/dev/null; mkdir /mnt/gv0; mount -t glusterfs server1:/gv0 /mnt/gv0 || exit
             lxc-create -q -t busybox -n c1; cd /var/lib/lxc/c1; sed -i 's/^lxc.net.0.type.*/lxc.net.0.type = veth/' config
             echo 'lxc.mount.entry = /mnt/gv0 mnt/gv0 none bind,create=dir 0 0' >> config
             echo 'lxc.mount.entry = /data/b mnt/brick none bind,create=dir 0 0' >> config
             lxc-start -n c1
             lxc-attach -n c1 -- sh -c 'echo bound > /mnt/gv0/a; mkdir /m; mount -t glusterfs server1:/gv0 /m && echo inside > /m/b'
             for s in server1 server2 server3; do lab on $s cat /data/b/a /data/b/b; done
             until told=$(grep -ho '\"mounts\":[^]]*mnt/brick[^]]*' /run/terrarium/world/journal/*); do sleep 0.01; done
             echo \"$told\" | tail -n 1",
        );
        let seen = out(&output);
        let (written, mounts) = seen.split_once("\"mounts\"").unwrap_or((&seen, ""));
        assert_eq!(written, "bound\ninside\n".repeat(3), "{who:?}: {}", err(&output));
        let volume = r#"{"target":"/mnt/gv0","source":"/mnt/gv0","fstype":"fuse.glusterfs"}"#;
        assert!(mounts.contains(volume), "{who:?}: {mounts}");
        let brick = mounts.split('}').find(|m| m.contains(r#""target":"/mnt/brick""#)).expect(mounts);
        assert!(!brick.contains("glusterfs"), "{who:?}: {brick}");
    }
}

/// An image of two layers: they are kept apart, each a branch; the upper one hides a file of the lower; what it says to run is run;
/// a second container shares the layers.
#[test]
fn an_image_in_layers() {
    if !has_busybox() {
        return;
    }
    for who in everybody() {
        let home = Home::of(who);
        let output = home.run(
            r#"
            mkdir -p low/bin low/etc high/etc image/aaaaaaaaaaaa image/bbbbbbbbbbbb
            cp "$(command -v busybox)" low/bin/busybox; for a in sh sleep cat ls hostname echo; do ln -s busybox low/bin/$a; done
            echo hidden > low/etc/hidden; echo kept > low/etc/kept; : > high/etc/.wh.hidden; echo high > high/etc/layer
            tar -C low -cf image/aaaaaaaaaaaa/layer.tar . && tar -C high -czf image/bbbbbbbbbbbb/layer.tar .
            echo '{"config":{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo ran > /ran; exec sleep 1000"],"Env":["COLOUR=blue"]}}' > image/c.json
            echo '[{"Config":"c.json","RepoTags":["web:1"],"Layers":["aaaaaaaaaaaa/layer.tar","bbbbbbbbbbbb/layer.tar"]}]' > image/manifest.json
            tar -C image -cf image.tar .
            lxc-create -t oci -n web1 -- --url oci:$PWD/image:1 >/dev/null
            lxc-create -t oci -n web2 -- image.tar >/dev/null
            for c in web1 web2; do lxc-start -n $c || exit; done
            until test -e /var/lib/lxc/web1/writable/ran; do sleep 0.01; done
            lxc-attach -n web1 -- sh -c 'ls /etc; cat /etc/layer; echo $COLOUR; hostname; cat /proc/1/cmdline'; echo
            lxc-attach -n web2 -- sh -c 'echo own > /etc/kept'
            cat /var/lib/lxc/web2/writable/etc/kept; lxc-attach -n web1 -- cat /etc/kept
            ls /var/lib/lxc/.layers
            lxc-stop -k -n web1; mount | grep -c web1/rootfs
            lxc-create -t oci -n no -- --url docker://alpine; lxc-create -t oci -n no -- /etc; ls /var/lib/lxc
            "#,
        );
        let wanted = "hostname\nkept\nlayer\nhigh\nblue\nweb1\nsleep\u{0}1000\u{0}\nown\nkept\naaaaaaaaaaaa\nbbbbbbbbbbbb\n0\nweb1\nweb2\n";
        assert_eq!(out(&output), wanted, "{who:?}: {}", err(&output));
        assert!(
            err(&output).contains("there is no network here") && err(&output).contains("neither index.json"),
            "{who:?}"
        );
    }
}

/// A person at a terminal: `lxc-attach` gives one of the container's own, of the right size, with keys that work; the command's
/// exit code comes out; `lxc-console` shows the login of the container and Ctrl-A q leaves it.
#[test]
fn at_a_terminal() {
    if !has_busybox() {
        return;
    }
    for who in everybody() {
        let home = Home::of(who);
        let script = "lxc-create -t debian -n c1 >/dev/null; lxc-start -n c1; lxc-attach -n c1; echo code $?; lxc-console -n c1 -t 1; echo left $?";
        let mut terminal = Terminal::of(&home, script);
        terminal.wait_for("root@c1:");
        terminal.press("tty; stty size\n");
        terminal.wait_for("/dev/pts/");
        terminal.wait_for("33 101");
        terminal.press("echo rea''dy; sleep 1000\n");
        terminal.wait_for("ready");
        terminal.press("\x03");
        terminal.wait_for("root@c1:");
        terminal.press("echo in''terrupted $?\n");
        terminal.wait_for("interrupted 130");
        terminal.press("exit 5\n");
        terminal.wait_for("code 5");
        terminal.wait_for("Connected to tty 1");
        terminal.press("\n");
        terminal.wait_for("c1 login:");
        terminal.press("\u{1}q");
        terminal.wait_for("left 0");
    }
}

/// A script in a world, run at a terminal of 33 rows and 101 columns.
struct Terminal {
    seen: std::sync::Arc<std::sync::Mutex<String>>,
    keys: Box<dyn std::io::Write + Send>,
    child: std::process::Child,
    from: usize,
}

impl Terminal {
    fn of(home: &Home, script: &str) -> Self {
        use std::os::fd::AsFd;
        let size = nix::pty::Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(&size, None).unwrap();
        let end = || std::process::Stdio::from(pair.slave.as_fd().try_clone_to_owned().unwrap());
        let mut command = home.terrarium(["run", "--", "sh", "-c", script]);
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, || {
                nix::unistd::setsid()?;
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        drop((command, pair.slave));
        let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (to, mut from) = (seen.clone(), std::fs::File::from(pair.master.try_clone().unwrap()));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = std::io::Read::read(&mut from, &mut bytes) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { seen, keys: Box::new(std::fs::File::from(pair.master)), child, from: 0 }
    }

    /// Waits until this text comes, after what was waited for before.
    fn wait_for(&mut self, text: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if let Some(at) = seen[self.from..].find(text) {
                self.from += at + text.len();
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no {text:?} after {:?}", &seen[self.from..]);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
