//! A policy in a guest, as its users start it: installed before the boot, and read back.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;

use crate::machine::programs;

/// The policy under which every tree is contained, with an edit.
fn policy(name: &str, edit: impl FnOnce(&Path)) -> tempfile::TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policies/contained");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copied = Command::new("cp").arg("-a").arg(&fixture).arg(directory.path().join(name)).status();
    assert!(copied.expect("cp").success());
    edit(&directory.path().join(name));
    directory
}

fn bulkhead(words: &[&str]) -> Output {
    Command::new(programs().join("bulkhead")).args(words).output().expect("bulkhead")
}

fn shell(policy: &Path, more: &[&str], script: &str) -> Output {
    let policy = policy.to_str().expect("UTF-8");
    bulkhead(&[&["shell", "--policy", policy], more, &["--", "sh", "-c", script]].concat())
}

#[rstest]
#[case::trixie("trixie")]
#[case::bookworm("bookworm")]
fn a_machine_has_been_booted_with_the_policy(#[case] guest: &str) {
    let directory = policy("contained", |_| {});
    let script = "id -u alice; ls /run/marked; ssh alice@127.0.0.1 'cat /proc/self/cgroup'
        systemctl show -p MemoryMax user-1001.slice; systemctl show -P Slice app.service
        stat -c %a /etc /lib; systemctl is-enabled earlyoom systemd-oomd";
    let ran = shell(&directory.path().join("contained"), &["--guest", guest], script);
    let (said, words) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..2], ["1001", "/run/marked"], "{said}{words}");
    assert!(lines[2].starts_with("0::/user.slice/user-1001.slice/session-"), "{said}{words}");
    assert_eq!(
        lines[3..],
        ["MemoryMax=419430400", "apps.slice", "755", "777", "masked", "masked"],
        "{words}"
    );
}

#[test]
fn a_bigger_guest_needs_less_scale() {
    let directory = policy("scaled", |path| {
        let file = path.join("policy.toml");
        let text = fs::read_to_string(&file).expect("a policy");
        fs::write(file, text.replace("\"2G\"", "\"6G\"")).expect("written");
    });
    let script = "systemctl show -P MemoryMax containers.slice; awk '/^MemTotal/ { print $2 }' /proc/meminfo";
    let ran = shell(&directory.path().join("scaled"), &["--guest-memory", "3G"], script);
    let (said, words) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let numbers: Vec<u64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers[0], 256 << 20, "{said}{words}");
    assert!((2700 << 10..3 << 20).contains(&numbers[1]), "{said}");
    assert!(words.contains("1:2"), "{words}");
}

#[test]
fn what_cannot_be_installed_gives_its_last_words_and_leaves_nothing() {
    let directory = policy("refused-policy", |path| {
        fs::write(path.join("setup.sh"), "#!/bin/sh\necho step one\necho no such package >&2\nexit 3\n")
            .expect("written");
    });
    for _ in 0..2 {
        let ran = shell(&directory.path().join("refused-policy"), &[], "true");
        let words = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{words}");
        assert!(words.contains("step one\nno such package") && words.contains("exit code 3"), "{words}");
    }
    let cache = std::env::var("BULKHEAD_CACHE").ok().map(std::path::PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache/bulkhead"))).expect("a cache");
    let left: Vec<_> = fs::read_dir(cache)
        .expect("the cache")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("refused-policy") && !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// What `policy show` finds: each kind with the tree, and everything it wrote.
fn shown(policy: &Path, more: &[&str]) -> (Option<i32>, Vec<serde_json::Value>, String) {
    let ran = bulkhead(&[&["policy", "show", "--json", policy.to_str().expect("UTF-8")], more].concat());
    let words = String::from_utf8_lossy(&ran.stderr).into_owned();
    let page: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{words}"));
    let found = page["findings"].as_array().expect("findings").clone();
    (ran.status.code(), found, format!("{page:#}\n{words}"))
}

#[rstest]
#[case::trixie("trixie")]
#[case::bookworm("bookworm")]
fn every_way_into_a_good_policy_leads_under_a_cap(#[case] guest: &str) {
    let directory = policy("contained", |_| {});
    let (code, found, page) = shown(&directory.path().join("contained"), &["--guest", guest]);
    assert_eq!((code, found), (Some(0), Vec::new()), "{page}");
    for landed in [
        "user-1001.slice/session-",
        "server@alice.service",
        "bulkhead-tree-batch.scope",
        "/containers.slice/docker-",
    ] {
        assert!(page.contains(landed), "{landed}: {page}");
    }
}

const UNITS: &str = "root/etc/systemd/system";

fn write(policy: &Path, path: &str, text: &str) {
    let path = policy.join(UNITS).join(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
}

#[rstest]
#[case::all_users(
    |policy: &Path| {
        let units = policy.join(UNITS);
        fs::rename(units.join("user-.slice.d"), units.join("user.slice.d")).expect("moved");
    },
    "shared-cap", "ssh", "one for all users together", "user.slice.d/50-memory.conf:3")]
#[case::taken_back(
    |policy: &Path| write(policy, "apps.slice.d/90-more.conf", "[Slice]\nMemoryMax=infinity\n"),
    "cap-taken-back", "app", "90-more.conf:2", "apps.slice:2")]
#[case::section(
    |policy: &Path| write(policy, "apps.slice", "[Service]\nMemoryMax=256M\n"),
    "not-in-force", "app", "in [Service]", "apps.slice:2")]
#[case::elsewhere(
    |policy: &Path| fs::write(policy.join("app.conf"), "[Service]\n").expect("written"),
    "entrance-elsewhere", "app", "/system.slice/app.service, which is not in /apps.slice", "")]
#[case::no_cap(
    |policy: &Path| write(policy, "apps.slice", "[Slice]\nCPUWeight=50\n"),
    "no-cap", "app", "apps.slice has no memory cap", "")]
fn a_policy_broken_in_a_way_that_no_file_shows_is_found_with_its_cause(
    #[case] edit: fn(&Path),
    #[case] kind: &str,
    #[case] tree: &str,
    #[case] words: &str,
    #[case] place: &str,
) {
    let directory = policy(&format!("test-{kind}"), |path| {
        edit(path);
        let file = path.join("policy.toml");
        let text = fs::read_to_string(&file).expect("a policy");
        // A daemon less to wait for.
        fs::write(file, text.replace("{ docker = true }", "{ scope = \"containers.slice\" }"))
            .expect("written");
    });
    let (code, found, page) = shown(&directory.path().join(format!("test-{kind}")), &[]);
    assert_eq!((code, found.len()), (Some(10), 1), "{page}");
    let text = |key: &str| found[0][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((&*text("kind"), &*text("tree")), (kind, tree));
    assert!(text("message").contains(words) && text("place").ends_with(place), "{page}");
}
