use super::*;

fn own(list: &str) -> Vec<Opt> {
    parse(list, false).expect(list).own
}

fn spec(path: &str, permission: Option<&str>) -> BranchSpec {
    BranchSpec { path: path.into(), permission: permission.map(|p| super::permission(p, &mut vec![])) }
}

#[test]
fn the_homeworks_own_lines() {
    let three = vec![spec("./Branch-0", None), spec("./Branch-1", None), spec("./Branch-2", None)];
    assert_eq!(own("dirs=./Branch-0:./Branch-1:./Branch-2"), [Opt::Branches(three)]);
    let base = "dirs=/var/lib/lxc/aufstest1/rootfs/=ro";
    assert_eq!(own(base), [Opt::Branches(vec![spec("/var/lib/lxc/aufstest1/rootfs/", Some("ro"))])]);
    let two = "dirs=/var/lib/lxc/aufstest2/writable/=rw:/var/lib/lxc/aufstest1/rootfs/=ro";
    let Opt::Branches(list) = &own(two)[0] else { panic!("branches") };
    assert_eq!(list[0].permission.unwrap().access, Access::Rw);
    assert_eq!(list[1].permission.unwrap().access, Access::Ro);
}

#[test]
fn both_spellings_say_the_same() {
    for (colon, equals) in [
        ("br:/a=rw:/b", "br=/a=rw:/b"),
        ("append:/b=ro+wh", "append=/b=ro+wh"),
        ("add:1:/b", "ins=1:/b"),
        ("del:/b", "del=/b"),
        ("mod:/b=rr", "mod=/b=rr"),
    ] {
        assert_eq!(own(colon), own(equals), "{colon}");
    }
}

#[test]
fn an_empty_item_ends_the_list() {
    assert_eq!(own("br:/a::/b"), [Opt::Branches(vec![spec("/a", None)])]);
}

#[test]
fn unknown_permissions_and_attributes_warn_and_go_on() {
    let read = |p: &str| {
        let mut warnings = vec![];
        (super::permission(p, &mut warnings).to_string(), warnings.len())
    };
    assert_eq!(read("ro+wh"), ("ro+wh".into(), 0));
    assert_eq!(read("rw+nolwh+moo"), ("rw+moo+nolwh".into(), 0));
    assert_eq!(read("wr"), ("ro".into(), 1));
    assert_eq!(read("rw+wh"), ("rw".into(), 1), "wh means nothing on rw");
    assert_eq!(read("ro+bogus+wh"), ("ro".into(), 1), "what follows an unknown attribute is dropped");
    assert_eq!(read("rw+coo_reg+moo"), ("rw+moo".into(), 0), "the last of the three wins");
    assert_eq!(read("rw+icexsec+icexoth"), ("rw+icexsec+icexoth".into(), 0));
}

#[test]
fn a_permission_packs_and_unpacks() {
    for text in
        ["rw", "ro", "rr", "ro+wh", "rr+wh", "rw+nolwh", "ro+coo_reg", "ro+coo_all+wh", "rw+moo", "rw+icexsec+icextr"]
    {
        let permission = super::permission(text, &mut vec![]);
        assert_eq!(Permission::unpack(permission.pack()), permission, "{text}");
    }
}

#[test]
fn policies() {
    assert_eq!(own("create=rr,cpup=bu"), [Opt::Create(Create::RoundRobin), Opt::CopyUp(CopyUp::BottomUp)]);
    assert_eq!(own("create=mfs:5"), [Opt::Create(Create::MostFree { secs: 5 })]);
    assert_eq!(own("create=pmfsrr:1000"), [Opt::Create(Create::ParentMostFreeRoundRobin { low: 1000, secs: 30 })]);
    for bad in ["create=tdmfs", "create=mfs:9999", "create=mfs:1M", "create=best", "cpup=up", "udba=inotify"] {
        assert!(matches!(parse(bad, false), Err(OptionError::Bad(..))), "{bad}");
    }
}

#[test]
fn what_aufs_has_and_we_have_not_says_so() {
    assert!(parse("dirren", false).unwrap_err().to_string().contains("aufs has this, terrarium does not"));
    assert!(matches!(parse("bogus", false), Err(OptionError::Unknown(_))));
    assert_eq!(parse("bogus", true).unwrap().warnings.len(), 1);
}

#[test]
fn flags_of_any_mount_and_what_a_remount_repeats_are_passed_on() {
    let options =
        parse("rw,relatime,user_id=0,group_id=0,default_permissions,allow_other,remount,append:/c", false).unwrap();
    assert!(options.has("remount") && options.has("relatime"));
    assert_eq!(options.own, [Opt::ReadOnly(false), Opt::Append(spec("/c", None))]);
    assert_eq!(own("xino=/dev/shm/aufs.xino,dio,dirperm1"), [Opt::Dirperm1(true)]);
}

#[test]
fn defaults_by_place() {
    assert_eq!(default_access(false, true, false), Access::Rw);
    assert_eq!(default_access(false, true, true), Access::Ro);
    assert_eq!(default_access(false, false, false), Access::Ro);
    assert_eq!(default_access(true, true, false), Access::Rr, "an iso image is rr even on top");
}
