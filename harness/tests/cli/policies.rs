//! The policies of the incident reports: sound, and saying what the reports say. The numbers here are the reports', not the files'.

use std::path::{Path, PathBuf};

use harness::notation::{Bytes, UnitName};
use harness::policy::scale::{Scale, scale};
use harness::policy::{Backstop, Directory, policies_below};
use harness::unit_file::{Manager, Unit, load};
use predicates::str::{contains, is_empty};
use rstest::rstest;

use crate::bulkhead::{bulkhead, root};

fn shipped() -> Vec<PathBuf> {
    let policies = policies_below(&root().join("scenarios/policies")).expect("the policies");
    assert_eq!(policies.len(), 7, "{policies:?}");
    policies
}

fn read(path: &Path) -> Directory {
    Directory::load(path).unwrap_or_else(|error| panic!("{error}"))
}

fn policy(name: &str) -> Directory {
    read(&root().join("scenarios/policies").join(name))
}

fn unit(of: &str, name: &str) -> Unit {
    let name: UnitName = name.parse().expect("a unit");
    load(&policy(of).root.unit_files(), Manager::System, &name)
}

fn text(of: &str, path: &str) -> String {
    let bytes = policy(of).root.file(path).unwrap_or_else(|| panic!("{of} has no {path}")).to_vec();
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn every_shipped_policy_passes_the_check_without_a_warning() {
    for policy in shipped() {
        bulkhead(&["check", &policy.display().to_string()])
            .assert()
            .code(0)
            .stdout(is_empty())
            .stderr(contains("1 policy directories checked: 0 error(s), 0 warning(s)"));
    }
}

#[test]
fn every_line_of_every_shipped_unit_file_is_understood() {
    for path in shipped() {
        let directory = read(&path);
        let files = directory.root.unit_files();
        for (path, _) in files.iter() {
            let Some((manager, kind)) = harness::unit_file::unit_file(path) else { continue };
            let name = match kind {
                harness::unit_file::UnitFile::Fragment(unit) => unit.to_string(),
                // Drop-ins for every name that begins so.
                harness::unit_file::UnitFile::DropIn(of) => of.replace("-.", "-1."),
                harness::unit_file::UnitFile::Unread(why) => panic!("{path}: {why}"),
            };
            let unit = load(&files, manager, &name.parse().expect("a unit"));
            assert_eq!(unit.ignored, [], "{path}");
            let lost: Vec<_> = unit.assigned.iter().filter(|one| one.value().is_none()).collect();
            assert!(lost.is_empty(), "{path}: {lost:?}");
        }
    }
}

/// What the reports give figures of.
const SAID: [&str; 10] = [
    "MemoryMax",
    "MemoryHigh",
    "MemorySwapMax",
    "CPUWeight",
    "IOWeight",
    "CPUQuota",
    "OOMPolicy",
    "OOMScoreAdjust",
    "KillMode",
    "ManagedOOMMemoryPressure",
];

const SERVER: &str = "code-serve@alice.service";
const BAND: &str = "MemoryMax=16G MemoryHigh=12G MemorySwapMax=0";
const NO_BAND: &str = "MemoryMax=16G MemoryHigh=infinity MemorySwapMax=0";
const WATCHED: &str = "ManagedOOMMemoryPressure=kill";

#[rstest]
#[case::logins_are_free("devvm/2026-06-10", "user-1001.slice", &[])]
#[case::the_server_is_capped("devvm/2026-06-10", SERVER, &[BAND, "OOMPolicy=continue"])]
#[case::containers_are_free("devvm/2026-06-10", "system.slice", &[])]
#[case::logins_of_the_first_build("devvm/2026-06-22-oomd", "user-1001.slice", &[BAND, "CPUWeight=100 IOWeight=100", WATCHED])]
#[case::any_login("devvm/2026-06-22-oomd", "user-1003.slice", &[BAND, "CPUWeight=100 IOWeight=100", WATCHED])]
#[case::not_all_logins_together("devvm/2026-06-22-oomd", "user.slice", &[])]
#[case::server_of_the_first_build("devvm/2026-06-22-oomd", SERVER, &[BAND, "OOMPolicy=continue"])]
#[case::servers_are_watched("devvm/2026-06-22-oomd", "system-code\\x2dserve.slice", &[WATCHED])]
#[case::containers_are_watched("devvm/2026-06-22-oomd", "docker.slice", &["MemoryMax=8G MemorySwapMax=0 CPUWeight=100 IOWeight=100", WATCHED])]
#[case::the_way_in_is_not("devvm/2026-06-22-oomd", "system.slice", &["CPUWeight=200 IOWeight=200"])]
#[case::logins_of_the_second_build("devvm/2026-06-22-earlyoom", "user-1001.slice", &[BAND, "CPUWeight=100 IOWeight=100"])]
#[case::server_of_the_second_build("devvm/2026-06-22-earlyoom", SERVER, &[BAND, "OOMPolicy=continue"])]
#[case::containers_of_the_second_build("devvm/2026-06-22-earlyoom", "docker.slice", &["MemoryMax=8G MemorySwapMax=0 CPUWeight=100 IOWeight=100"])]
#[case::system_of_the_second_build("devvm/2026-06-22-earlyoom", "system.slice", &["CPUWeight=200 IOWeight=200"])]
#[case::logins_without_band("devvm/2026-07-02", "user-1001.slice", &[NO_BAND, "CPUWeight=100 IOWeight=100"])]
#[case::server_without_band("devvm/2026-07-02", SERVER, &[NO_BAND, "OOMPolicy=continue"])]
#[case::containers_without_band("devvm/2026-07-02", "docker.slice", &["MemoryMax=8G MemoryHigh=infinity MemorySwapMax=0 CPUWeight=100 IOWeight=100"])]
#[case::system_still("devvm/2026-07-02", "system.slice", &["CPUWeight=200 IOWeight=200"])]
#[case::services("foundry-services", "foundry-services.slice", &["MemoryHigh=11G CPUWeight=200"])]
#[case::the_slice_around_them("foundry-services", "foundry.slice", &[])]
#[case::logins_by_default("foundry-services", "user-1001.slice", &[])]
#[case::first_rung("foundry-services", "local-slm.service", &["OOMScoreAdjust=500"])]
#[case::no_rung("foundry-services", "local-content.service", &[])]
#[case::second_rung("foundry-services", "local-doorman.service", &["OOMScoreAdjust=-300"])]
#[case::third_rung("foundry-services", "local-fs.service", &["OOMScoreAdjust=-500"])]
#[case::last_rung("foundry-services", "ssh.service", &["OOMScoreAdjust=-1000"])]
// 90 % of two CPUs, and of the 16009 MiB that a kernel has of 16 GiB.
#[case::sessions("convocate-sessions", "convocate-sessions.slice", &["MemoryMax=14408M CPUQuota=180%"])]
#[case::a_worker("snakepit-workers", "snakepit-worker-1.scope", &["MemoryMax=1G MemorySwapMax=0 CPUWeight=100 IOWeight=100 CPUQuota=50% KillMode=mixed"])]
#[case::another_worker("snakepit-workers", "snakepit-worker-23.scope", &["MemoryMax=1G MemorySwapMax=0 CPUWeight=100 IOWeight=100 CPUQuota=50% KillMode=mixed"])]
fn a_tree_is_bounded_as_the_report_says(#[case] of: &str, #[case] name: &str, #[case] expected: &[&str]) {
    let unit = unit(of, name);
    let effective =
        |directive: &&str| unit.effective(directive).map(|(_, value)| format!("{directive}={value}"));
    let mut said: Vec<_> = SAID.iter().filter_map(effective).collect();
    let mut expected: Vec<_> = expected.iter().flat_map(|words| words.split(' ')).collect();
    said.sort_unstable();
    expected.sort_unstable();
    assert_eq!(said, expected);
}

#[rstest]
#[case::escaped_dash(
    "devvm/2026-07-02",
    SERVER,
    r"/system.slice/system-code\x2dserve.slice/code-serve@alice.service"
)]
#[case::a_slice_of_the_reports(
    "foundry-services",
    "local-slm.service",
    "/foundry.slice/foundry-services.slice/local-slm.service"
)]
#[case::every_service_of_it(
    "foundry-services",
    "local-proofreader.service",
    "/foundry.slice/foundry-services.slice/local-proofreader.service"
)]
#[case::a_slice_with_a_dash(
    "convocate-sessions",
    "convocate-sessions.slice",
    "/convocate.slice/convocate-sessions.slice"
)]
#[case::a_transient_scope(
    "snakepit-workers",
    "snakepit-worker-1.scope",
    "/snakepit.slice/snakepit-worker-1.scope"
)]
fn a_tree_lies_where_the_report_says(#[case] of: &str, #[case] name: &str, #[case] cgroup: &str) {
    assert_eq!(unit(of, name).cgroup().map(String::from), Ok(cgroup.to_owned()));
}

#[rstest]
#[case("devvm/2026-06-10", 24, 14, Backstop::None)]
#[case("devvm/2026-06-22-oomd", 24, 14, Backstop::SystemdOomd)]
#[case("devvm/2026-06-22-earlyoom", 24, 14, Backstop::Earlyoom)]
#[case("devvm/2026-07-02", 24, 14, Backstop::Earlyoom)]
#[case("foundry-services", 16, 0, Backstop::None)]
fn the_machine_and_its_backstop_are_the_reports(
    #[case] of: &str,
    #[case] memory: u64,
    #[case] swap: u64,
    #[case] backstop: Backstop,
) {
    let policy = policy(of).policy;
    assert_eq!((policy.machine.memory, policy.machine.swap), (Bytes(memory << 30), Bytes(swap << 30)));
    assert_eq!(policy.backstop, backstop);
}

#[rstest]
#[case("devvm/2026-06-10", None)]
#[case("devvm/2026-06-22-oomd", Some("docker.slice"))]
#[case("devvm/2026-06-22-earlyoom", Some("docker.slice"))]
#[case("devvm/2026-07-02", Some("docker.slice"))]
#[case("convocate-sessions", Some("convocate-sessions.slice"))]
fn dockerd_is_told_where_containers_go(#[case] of: &str, #[case] parent: Option<&str>) {
    let settings: serde_json::Value =
        serde_json::from_str(&text(of, "/etc/docker/daemon.json")).expect("JSON");
    assert_eq!(settings.get("cgroup-parent").and_then(|parent| parent.as_str()), parent);
}

#[rstest]
#[case("devvm/2026-06-22-earlyoom")]
#[case("devvm/2026-07-02")]
fn earlyoom_looks_at_memory_alone_and_spares_the_way_in(#[case] of: &str) {
    let settings = text(of, "/etc/default/earlyoom");
    assert!(settings.contains("EARLYOOM_ARGS=\"-m 5,3 -s 100 "), "{settings}");
    let (_, regexes) = settings.split_once("--avoid '^(").expect("an --avoid");
    let (avoid, prefer) = regexes.split_once("--prefer '^(").expect("a --prefer");
    let names = |list: &'static str| list.split('|');
    assert!(names("sshd|systemd|dockerd|containerd|code-dispatch|tmux").all(|name| avoid.contains(name)));
    assert!(names("python3|node|chrome").all(|name| prefer.contains(name)));
}

/// A cap below the floor would be refused.
#[test]
fn every_shipped_policy_fits_into_a_guest_of_two_gib() {
    for path in shipped() {
        let directory = read(&path);
        let scale_of = Scale::new(directory.policy.machine.memory, Bytes(2 << 30));
        let scaled = scale(&directory, scale_of).unwrap_or_else(|refused| panic!("{refused}"));
        assert!(scaled.sizes.iter().all(|size| !size.floored), "{}", path.display());
    }
}
