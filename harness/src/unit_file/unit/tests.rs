//! A unit as its files make it. What wins was asked of `systemd-analyze verify --root=` of systemd 252.

use rstest::rstest;

use super::*;
use crate::notation::{Bytes, Percent};
use crate::unit_file::Node;

fn files(nodes: &[(&str, &str)]) -> Files {
    let mut files = Files::default();
    for (path, text) in nodes {
        let node = match text.strip_prefix("-> ") {
            Some(target) => Node::Link(target.to_owned()),
            None => Node::File(text.as_bytes().into()),
        };
        files.insert(
            path.replace("ETC", "/etc/systemd/system").replace("USR", "/usr/lib/systemd/system"),
            node,
        );
    }
    files
}

fn unit(nodes: &[(&str, &str)], name: &str) -> Unit {
    load(&files(nodes), Manager::System, &name.parse().expect("a unit"))
}

/// "MemoryMax=4G in force (50.conf:2)".
fn told(unit: &Unit) -> Vec<String> {
    let short =
        |place: &Place| format!("{}:{}", place.path.rsplit('/').next().unwrap_or_default(), place.line);
    let fate = |fate: &Fate| match fate {
        Fate::InForce(_) => "in force".to_owned(),
        Fate::Overridden(by) => format!("overridden by {}", short(by)),
        Fate::Refused(why) => format!("refused: {why}"),
        Fate::Misplaced(why) => format!("misplaced: {why}"),
        Fate::Unknown(near) => format!("unknown, near {near}"),
        Fate::FilePassedOver(by) => format!("not read: {by}"),
    };
    let row = |one: &Assigned| format!("{}: {}={} {}", short(&one.place), one.key, one.text, fate(&one.fate));
    unit.assigned.iter().map(row).collect()
}

#[test]
fn the_last_drop_in_wins_by_its_file_name_wherever_it_lies() {
    let unit = unit(
        &[
            ("ETC/user-1000.slice.d/10-exempt.conf", "[Slice]\nMemoryMax=infinity\n"),
            ("ETC/user-.slice.d/50-memory.conf", "[Slice]\nMemoryMax=4G\nMemorySwapMax=0\n"),
            ("USR/user-.slice.d/10-exempt.conf", "[Slice]\nTasksMax=33%\n"),
            ("USR/slice.d/60-all.conf", "[Slice]\nMemorySwapMax=1G\n"),
        ],
        "user-1000.slice",
    );
    assert_eq!(
        told(&unit),
        [
            "10-exempt.conf:2: MemoryMax=infinity overridden by 50-memory.conf:2",
            "50-memory.conf:2: MemoryMax=4G in force",
            "50-memory.conf:3: MemorySwapMax=0 overridden by 60-all.conf:2",
            "60-all.conf:2: MemorySwapMax=1G in force",
            "10-exempt.conf:2: TasksMax=33% not read: /etc/systemd/system/user-1000.slice.d/10-exempt.conf",
        ]
    );
    assert_eq!(unit.value("MemoryMax"), Some(&Value::Bytes(Bytes(4 << 30))));
    assert_eq!(unit.fragment, Fragment::Missing);
}

#[test]
fn a_drop_in_for_all_users_together_is_not_one_for_each() {
    let nodes = [("ETC/user.slice.d/50.conf", "[Slice]\nMemoryMax=4G\n")];
    assert_eq!(unit(&nodes, "user-1001.slice").assigned, []);
    let chain = with_slices(&files(&nodes), Manager::System, &"user-1001.slice".parse().expect("a unit"));
    let names: Vec<_> = chain.iter().map(|unit| (&*unit.name, unit.value("MemoryMax").is_some())).collect();
    assert_eq!(names, [("user-1001.slice", false), ("user.slice", true)]);
}

#[rstest]
#[case::a_later_line("MemoryMax=4G\nMemoryMax=2G", &["MemoryMax=4G overridden by x.slice:3", "MemoryMax=2G in force"])]
#[case::taken_back("MemoryMax=4G\nMemoryMax=", &["MemoryMax=4G overridden by x.slice:3", "MemoryMax= in force"])]
#[case::a_later_line_that_is_refused(
    "MemoryMax=4G\nMemoryMax=2GB",
    &["MemoryMax=4G in force", "MemoryMax=2GB refused: `2GB` is not a size: systemd writes it 2G"]
)]
#[case::a_comment_that_is_none(
    "MemoryMax=4G # ours",
    &["MemoryMax=4G # ours refused: `4G # ours` is not a size such as 512M or 1.5G, nor a share of at most 100%"]
)]
#[case::nothing(
    "MemoryMax=0",
    &["MemoryMax=0 refused: `0` is out of range: it must be above 0"]
)]
#[case::another_section(
    "[Service]\nMemoryMax=4G",
    &["MemoryMax=4G misplaced: it stands in [Service]: a slice has its resource controls in [Slice]"]
)]
#[case::what_no_slice_has("OOMPolicy=kill", &["OOMPolicy=kill misplaced: a slice has no OOMPolicy="])]
#[case::misspelt("ManagedOOMMemmoryPressureLimit=5%", &["ManagedOOMMemmoryPressureLimit=5% unknown, near ManagedOOMMemoryPressureLimit"])]
#[case::of_another_case("memorymax=4G", &["memorymax=4G unknown, near MemoryMax"])]
#[case::somebody_elses("X-MemoryMaxx=4G\nMemoryKSM=yes\nDescription=a", &[])]
#[case::lists_add_up("IOReadBandwidthMax=/dev/a 1M\nIOReadBandwidthMax=/dev/b 1M", &[
    "IOReadBandwidthMax=/dev/a 1M in force",
    "IOReadBandwidthMax=/dev/b 1M in force",
])]
#[case::lists_are_taken_back("IOReadBandwidthMax=/dev/a 1M\nIOReadBandwidthMax=\nIOReadBandwidthMax=/dev/b 1M", &[
    "IOReadBandwidthMax=/dev/a 1M overridden by x.slice:3",
    "IOReadBandwidthMax= in force",
    "IOReadBandwidthMax=/dev/b 1M in force",
])]
fn each_line_has_its_fate(#[case] lines: &str, #[case] expected: &[&str]) {
    let unit = unit(&[("ETC/x.slice", &format!("[Slice]\n{lines}\n"))], "x.slice");
    let told: Vec<_> =
        told(&unit).iter().filter_map(|row| Some(row.split_once(": ")?.1.to_owned())).collect();
    assert_eq!(told, expected);
}

#[rstest]
#[case::its_own(&[("ETC/a@x.service", "[Service]\nMemoryMax=1G\n"), ("ETC/a@.service", "[Service]\nMemoryMax=2G\n")], "1G")]
#[case::of_the_template(&[("ETC/a@.service", "[Service]\nMemoryMax=2G\n")], "2G")]
#[case::of_etc(&[("ETC/a@x.service", "[Service]\nMemoryMax=1G\n"), ("USR/a@x.service", "[Service]\nMemoryMax=2G\n")], "1G")]
#[case::set_property_over_all(&[
    ("ETC/a@x.service", "[Service]\nMemoryMax=1G\n"),
    ("/etc/systemd/system.control/a@x.service.d/50-MemoryMax.conf", "[Service]\nMemoryMax=3G\n"),
], "3G")]
#[case::by_an_alias(&[("ETC/a@.service", "-> /usr/lib/systemd/system/b@.service"), ("USR/b@.service", "[Service]\nMemoryMax=4G\n")], "4G")]
#[case::drop_ins_of_an_alias(&[
    ("USR/a@.service", "[Service]\nMemoryMax=1G\n"),
    ("ETC/b@.service", "-> a@.service"),
    ("ETC/b@x.service.d/50.conf", "[Service]\nMemoryMax=5G\n"),
], "5G")]
#[case::a_linked_file(&[("ETC/a@x.service", "-> /opt/a@x.service"), ("/opt/a@x.service", "[Service]\nMemoryMax=6G\n")], "6G")]
#[case::a_vendors_drop_in_masked(&[
    ("ETC/a@x.service", "[Service]\nMemoryMax=1G\n"),
    ("USR/a@x.service.d/50.conf", "[Service]\nMemoryMax=2G\n"),
    ("ETC/a@x.service.d/50.conf", "-> /dev/null"),
], "1G")]
#[case::not_a_drop_in(&[
    ("ETC/a@x.service", "[Service]\nMemoryMax=1G\n"),
    ("ETC/a@x.service.d/50.conf.bak", "[Service]\nMemoryMax=2G\n"),
    ("ETC/a@x.service.d/.50.conf", "[Service]\nMemoryMax=2G\n"),
    ("ETC/a@y.service.d/50.conf", "[Service]\nMemoryMax=2G\n"),
], "1G")]
fn a_service_of_a_template_has_the_limit(#[case] nodes: &[(&str, &str)], #[case] limit: &str) {
    let unit = unit(nodes, "a@x.service");
    assert_eq!(unit.value("MemoryMax").map(ToString::to_string).as_deref(), Some(limit));
    assert_eq!(unit.unknown, Vec::<String>::new());
}

#[test]
fn a_masked_unit_is_told() {
    let masked =
        |text| unit(&[("ETC/x.service", text), ("USR/x.service", "[Service]\n")], "x.service").fragment;
    let expected = Fragment::Masked("/etc/systemd/system/x.service".to_owned());
    assert_eq!((masked("-> /dev/null"), masked("")), (expected.clone(), expected));
}

#[test]
fn a_file_that_breaks_off_breaks_its_unit_and_a_drop_in_only_itself() {
    let broken = unit(&[("ETC/x.slice", "[Slice]\nMemoryMax=1G\n[Sl\n")], "x.slice");
    assert!(broken.broken);
    let nodes = [
        ("ETC/x.slice", "[Slice]\n"),
        ("ETC/x.slice.d/a.conf", "[Slice]\nMemoryMax=1G\n[Sl\nMemoryHigh=1G\n"),
        ("ETC/x.slice.d/b.conf", "[Slice]\nTasksMax=5\n"),
    ];
    let kept = unit(&nodes, "x.slice");
    assert_eq!(told(&kept), ["a.conf:2: MemoryMax=1G in force", "b.conf:2: TasksMax=5 in force"]);
    let ignored: Vec<_> = kept.ignored.iter().map(|(place, why)| (place.line, *why)).collect();
    assert_eq!((kept.broken, ignored), (false, vec![(3, syntax::Reason::BadSection)]));
}

#[test]
fn a_link_out_of_the_files_given_is_told_to_be_unknown() {
    let unit = unit(&[("ETC/x.slice", "-> /opt/x.slice")], "x.slice");
    assert_eq!(unit.unknown, ["/etc/systemd/system/x.slice"]);
}

/// `cgroup_context_has_unified_memory_config()`: a legacy limit counts only while no new one is set.
#[rstest]
#[case("MemoryLimit=4G", "MemoryMax", Some("4G"))]
#[case("MemoryLimit=4G\nMemoryMax=2G", "MemoryMax", Some("2G"))]
#[case("MemoryLimit=4G\nMemoryHigh=2G", "MemoryMax", None)]
#[case("MemoryLimit=4G\nMemorySwapMax=0", "MemoryMax", None)]
#[case("MemoryLimit=4G\nMemorySwapMax=infinity", "MemoryMax", Some("4G"))]
#[case("CPUShares=2048", "CPUWeight", Some("200"))]
#[case("CPUShares=2", "CPUWeight", Some("1"))]
#[case("CPUShares=2048\nCPUWeight=50", "CPUWeight", Some("50"))]
#[case("BlockIOWeight=500", "IOWeight", Some("100"))]
#[case("BlockIOWeight=500\nIOAccounting=yes", "IOWeight", None)]
fn legacy_limits_count_as_systemd_counts_them(
    #[case] lines: &str,
    #[case] directive: &str,
    #[case] value: Option<&str>,
) {
    let unit = unit(&[("ETC/x.slice", &format!("[Slice]\n{lines}\n"))], "x.slice");
    assert_eq!(unit.effective(directive).map(|(_, value)| value.to_string()).as_deref(), value);
}

#[rstest]
#[case::a_plain_service("a.service", "", "/system.slice/a.service")]
#[case::an_instance("a-b@x.service", "", "/system.slice/system-a\\x2db.slice/a-b@x.service")]
#[case::its_own("a@x.service", "Slice=a-%i.slice", "/a.slice/a-x.slice/a@x.service")]
#[case::of_the_prefix("a@x.service", "Slice=%p.slice", "/a.slice/a@x.service")]
#[case::the_root("a@x.service", "Slice=-.slice", "/a@x.service")]
fn a_services_cgroup_follows_from_its_slice(#[case] name: &str, #[case] line: &str, #[case] cgroup: &str) {
    let path = format!("ETC/{name}");
    let unit = unit(&[(&path, &format!("[Service]\n{line}\n"))], name);
    assert_eq!(unit.cgroup().map(String::from).as_deref(), Ok(cgroup));
}

#[test]
fn a_slice_that_only_the_machine_can_tell_is_not_guessed() {
    let nodes = [("ETC/a.service", "[Service]\nSlice=%H.slice\n")];
    let cgroup = unit(&nodes, "a.service").cgroup();
    assert_eq!(cgroup, Err("Slice=%H.slice has a specifier that only the machine can tell".to_owned()));
    let chain = with_slices(&files(&nodes), Manager::System, &"a.service".parse().expect("a unit"));
    assert_eq!(chain.len(), 1);
}

#[test]
fn the_slices_around_a_service_come_from_inside_out() {
    let nodes =
        [("ETC/a.service", "[Service]\nSlice=x-y.slice\n"), ("ETC/x.slice", "[Slice]\nMemoryMax=50%\n")];
    let chain = with_slices(&files(&nodes), Manager::System, &"a.service".parse().expect("a unit"));
    let names: Vec<_> = chain.iter().map(|unit| &*unit.name).collect();
    assert_eq!(names, ["a.service", "x-y.slice", "x.slice"]);
    assert_eq!(chain[2].value("MemoryMax"), Some(&Value::Share(Percent(5000))));
}
