//! A line of fstab, as `lxc.mount.entry` and `lxc.mount.fstab` have it.
//!
//! `source target type options dump pass`; the target is relative to the container's root (or begins with the path of
//! the root itself). Options are the kernel's flags, `bind`/`rbind`, propagation words, LXC's own `create=dir`,
//! `create=file`, `optional`, `relative`; what is left goes to the filesystem.
//!
//! Source: fstab(5), mount(8), lxc.container.conf(5) "MOUNT POINTS".

use super::plan::{Create, Flags, Mount, Source};

/// Reads a line. `rootfs` is the path of the container's root, which a target may begin with.
///
/// # Errors
/// In words: what is missing.
pub fn parse(line: &str, rootfs: &str) -> Result<Mount, String> {
    let fields: Vec<String> = line.split_whitespace().map(unescaped).collect();
    let [source, target, fstype, rest @ ..] = fields.as_slice() else {
        return Err(format!("`{line}` is not `SOURCE TARGET TYPE OPTIONS 0 0`"));
    };
    let inside = target.strip_prefix(rootfs).unwrap_or(target).trim_matches('/');
    if inside.split('/').any(|part| part == "..") {
        return Err(format!("the target {target} leaves the container"));
    }
    let mut mount = Mount::new(Source::Fs { fstype: fstype.clone(), name: source.clone() }, &format!("/{inside}"));
    let (mut bind, mut recursive, mut relative, mut data) = (fstype == "bind", false, false, Vec::new());
    for option in rest.first().map_or("", String::as_str).split(',').filter(|o| !o.is_empty()) {
        match option {
            "bind" => bind = true,
            "rbind" => (bind, recursive) = (true, true),
            "create=dir" => mount.create = Some(Create::Dir),
            "create=file" => mount.create = Some(Create::File),
            "optional" => mount.optional = true,
            "relative" => relative = true,
            flag => match Flags::named(flag) {
                Some((set, true)) => mount.flags = mount.flags.with(set),
                Some((clear, false)) => mount.flags = mount.flags.without(clear),
                None => data.push(flag),
            },
        }
    }
    if relative {
        return Err("the option `relative` is not supported; write the source as an absolute path".into());
    }
    mount.data = data.join(",");
    if bind {
        mount.source = Source::Outside { path: source.clone(), recursive };
    }
    Ok(mount)
}

/// fstab's `\040` and friends.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Part (c) of the homework: the volume's mount point bound into the container.
    #[test]
    fn a_bind_with_its_place_made() {
        let mount = parse("/mnt/gv0 mnt/gv0 none bind,rw,create=dir,optional 0 0", "/var/lib/lxc/c/rootfs").unwrap();
        assert_eq!(mount.source, Source::Outside { path: "/mnt/gv0".into(), recursive: false });
        assert_eq!((&*mount.target, mount.create, mount.optional), ("/mnt/gv0", Some(Create::Dir), true));
        assert_eq!(mount.data, "");
    }

    /// Flags are the kernel's, the rest is the filesystem's; a target may be spelled from outside.
    #[test]
    fn flags_and_data() {
        let line = "tmpfs /var/lib/lxc/c/rootfs/tmp tmpfs nosuid,nodev,size=1m,mode=1777 0 0";
        let mount = parse(line, "/var/lib/lxc/c/rootfs").unwrap();
        assert_eq!((&*mount.target, &*mount.data), ("/tmp", "size=1m,mode=1777"));
        assert_eq!(mount.flags, Flags::NOSUID.with(Flags::NODEV));
    }

    /// Nonsense and a way out of the container are refused with words.
    #[test]
    fn bad_lines_say_why() {
        assert!(parse("/mnt", "/r").unwrap_err().contains("SOURCE TARGET TYPE"));
        assert!(parse("/etc ../../etc none bind 0 0", "/r").unwrap_err().contains("leaves the container"));
    }
}
