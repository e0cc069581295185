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
