//! Each rule by the smallest change to a policy that passes all of them.

use std::fs;
use std::path::Path;

use rstest::rstest;

use super::check;
use crate::policy::{Directory, LoadError};

const FINE: &str = include_str!("../../../tests/fixtures/policies/every-key/policy.toml");

/// A policy directory of `text`, to which `change` does something.
fn problems(text: &str, change: impl FnOnce(&Path)) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    write("policy.toml", text);
    write("setup.sh", "#!/bin/sh\n");
    write("root/etc/default/earlyoom", "EARLYOOM_ARGS=\"-m 5\"\n");
    executable(&dir.path().join("setup.sh"), true);
    change(dir.path());
    let found = match Directory::load(dir.path()) {
        Ok(directory) => check(&directory),
        Err(LoadError::Invalid(invalid)) => invalid.diagnostics,
        Err(error) => panic!("{error}"),
    };
    let shown = found
        .iter()
        .map(|problem| format!("{}[{}]: {}", problem.rule.level, problem.rule.id, problem.message));
    shown.collect()
}

fn executable(path: &Path, is: bool) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(if is { 0o755 } else { 0o644 })).expect("chmod");
}

#[test]
fn a_sound_policy_has_no_problems() {
    assert_eq!(problems(FINE, |_| {}), Vec::<String>::new());
}

#[rstest]
#[case::an_unknown_user(
    "ssh = \"alice\"",
    "ssh = \"alcie\"",
    "error[unknown-name]: there is no [[user]] called `alcie`"
)]
#[case::a_number_of_packages(
    "uid  = 1001",
    "uid = 101",
    "error[user-of-the-system]: 101 is a number of the system's"
)]
#[case::a_number_of_systemds("uid  = 1001", "uid = 61184", "error[user-of-the-system]: 61184 is a number")]
#[case::a_name_of_a_package(
    "name = \"alice\"",
    "name = \"sshd\"",
    "error[user-of-the-system]: `sshd` is a user of the system"
)]
#[case::a_user_twice(
    "[tree.ssh]",
    "[[user]]\nname = \"alice\"\nuid = 1002\n[tree.ssh]",
    "error[duplicate-name]: two users are called `alice`"
)]
#[case::a_number_twice(
    "[tree.ssh]",
    "[[user]]\nname = \"bob\"\nuid = 1001\n[tree.ssh]",
    "error[duplicate-name]: two users have the number 1001"
)]
#[case::one_cgroup_twice(
    "\"/batch.slice/batch-night.slice\"",
    "\"docker-containers.slice\"",
    "error[trees-share-a-cgroup]: the trees `docker` and `batch` are the same cgroup"
)]
#[case::one_cgroup_by_name_and_by_path(
    "cgroup = \"docker-containers.slice\"",
    "cgroup = \"batch-night.slice\"",
    "error[trees-share-a-cgroup]: the trees `docker` and `batch` are the same cgroup"
)]
#[case::a_template_for_a_tree(
    "cgroup = \"server@alice.service\"",
    "cgroup = \"server@.service\"",
    "error[template-without-instance]: `server@.service` is a template"
)]
#[case::a_template_to_enter(
    "instance = \"server@alice.service\"",
    "instance = \"server@.service\"",
    "error[template-without-instance]: `server@.service` is a template"
)]
#[case::a_template_to_enable(
    "enable = [\"docker.service\"",
    "enable = [\"docker@.service\"",
    "error[template-without-instance]: `docker@.service` is a template"
)]
#[case::an_instance_of_nothing(
    "instance = \"server@alice.service\"",
    "instance = \"server.service\"",
    "error[no-instance]: `server.service` is no instance of a template"
)]
#[case::a_login_beside_the_tree(
    "cgroup = \"user-1001.slice\"",
    "cgroup = \"user-1002.slice\"",
    "error[entrance-leads-elsewhere]: a login of `alice` runs below user-1001.slice, not in user-1002.slice"
)]
#[case::a_scope_beside_the_tree(
    "scope = \"batch-night.slice\"",
    "scope = \"batch.slice\"",
    "error[entrance-leads-elsewhere]: a scope in `batch.slice` runs below batch.slice, not in /batch.slice/batch-night.slice"
)]
#[case::another_service(
    "cgroup = \"database.slice\"",
    "cgroup = \"other.service\"",
    "error[entrance-leads-elsewhere]: `database.service` does not run in `other.service`"
)]
#[case::a_unit_twice(
    "stub   = [\"database.service\",",
    "stub = [\"database.service\", \"database.service\",",
    "error[duplicate-name]: `database.service` is named twice"
)]
#[case::a_slice_that_sleeps(
    "\"vendor-agent@.service\"",
    "\"vendor.slice\"",
    "error[wrong-type]: `vendor.slice` cannot be a service that sleeps"
)]
#[case::a_unit_of_the_harness(
    "\"docker-containers.slice\"\nenter",
    "\"bulkhead.slice\"\nenter",
    "error[unit-of-the-harness]: `bulkhead.slice` is a unit of the harness"
)]
#[case::a_script_that_is_not_there(
    "./setup.sh",
    "./set-up.sh",
    "error[install-missing]: there is no file `./set-up.sh`"
)]
#[case::a_script_outside(
    "./setup.sh",
    "../setup.sh",
    "error[install-missing]: there is no file `../setup.sh`"
)]
#[case::known_on_no_tree(
    "hard-cap-kill@ssh",
    "hard-cap-kill@shs",
    "error[unknown-name]: there is no [tree.shs] in this policy"
)]
#[case::known_twice(
    "hard-cap-kill/swap-allowed@docker",
    "hard-cap-kill@ssh",
    "error[duplicate-name]: `hard-cap-kill@ssh` is known twice"
)]
#[case::known_without_a_finding(
    "[\"killed-by-its-own-cap\"]",
    "[]",
    "error[no-finding-known]: `hard-cap-kill@ssh` is known to fail without a finding"
)]
#[case::no_such_day("\"2026-12-31\"", "\"2026-02-31\"", "error[malformed-value]: `2026-02-31` is not a day")]
#[case::no_such_day_in_toml(
    "= \"2026-12-31\"",
    "= 2026-02-28T00:00:00Z",
    "error[malformed-value]: `2026-02-28T00:00:00Z` is not a day"
)]
#[case::half_a_case(
    "hard-cap-kill@ssh",
    "hard-cap-kill",
    "error[malformed-value]: `hard-cap-kill` is not a case"
)]
#[case::no_way_in("{ docker = true }", "{}", "error[exactly-one]: `enter` names no way in")]
#[case::two_ways_in(
    "{ docker = true }",
    "{ docker = true, ssh = \"alice\" }",
    "error[exactly-one]: a tree has one entrance"
)]
#[case::a_way_that_is_none(
    "docker = true",
    "docker = false",
    "error[malformed-value]: `docker = false` is no way in"
)]
#[case::a_service_for_a_slice(
    "scope = \"batch-night.slice\"",
    "scope = \"batch.service\"",
    "error[wrong-type]: `scope` takes a .slice, and `batch.service` is a service"
)]
#[case::an_unknown_role(
    "role   = \"protected\"",
    "role = \"protect\"",
    "error[unknown-word]: `protect` is not a role"
)]
#[case::an_unknown_backstop(
    "killer = \"earlyoom\"",
    "killer = \"nohang\"",
    "error[unknown-word]: `nohang` is not a backstop"
)]
#[case::a_misspelt_key(
    "cgroup = \"user-1001.slice\"",
    "cgruop = \"user-1001.slice\"",
    "error[unknown-key]: [tree.ssh] has no key `cgruop`"
)]
#[case::an_unsafe_name(
    "name = \"alice\"",
    "name = \"al ice\"",
    "error[malformed-value]: `al ice` is not a user's name"
)]
#[case::a_machine_without_memory("memory = \"24G\"\n", "", "error[missing-key]: [machine] has no `memory`")]
#[case::the_root_for_a_tree(
    "\"database.slice\"",
    "\"-.slice\"",
    "error[malformed-value]: `-.slice` is the root"
)]
#[case::a_backstop_without_files(
    "killer = \"earlyoom\"",
    "killer = \"systemd-oomd\"",
    "warning[backstop-without-files]: systemd-oomd is the backstop, and root/ has no setting of it"
)]
fn each_rule_is_broken_by_one_change(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    assert!(FINE.contains(from), "the case changes nothing");
    let mut text = FINE.replacen(from, to, 1);
    if expected.contains("backstop") {
        text = text.replace("install = [\"./setup.sh\", \"--quiet\"]\n", "");
    }
    let found = problems(&text, |_| {});
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:#?}");
}

#[test]
fn a_script_must_be_executable() {
    let found = problems(FINE, |dir| executable(&dir.join("setup.sh"), false));
    assert_eq!(found, ["error[install-missing]: `./setup.sh` cannot be executed"]);
}

#[test]
fn files_that_a_boot_takes_away_or_that_are_the_harnesss_are_told() {
    let found = problems(FINE, |dir| {
        for path in ["run/systemd/system/x.slice", "etc/systemd/system/bulkhead-agent.service.d/x.conf"] {
            let path = dir.join("root").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "").expect("written");
        }
    });
    assert_eq!(
        found,
        [
            "error[unit-of-the-harness]: /etc/systemd/system/bulkhead-agent.service.d/x.conf is a unit of the harness",
            "warning[lost-at-boot]: /run/systemd/system/x.slice is gone when the guest has booted",
        ]
    );
}

#[test]
fn a_size_above_the_machine_is_told_with_its_line() {
    let found = problems(FINE, |dir| {
        let path = dir.join("root/etc/systemd/system");
        fs::create_dir_all(&path).expect("made");
        fs::write(path.join("x.slice"), "[Slice]\nMemoryMax=32G\nMemorySwapMax=42G\nMemoryHigh=24G\n")
            .expect("written");
    });
    assert_eq!(found, ["warning[above-the-machine]: MemoryMax of 32G is above the machine's 24G"]);
}

#[test]
fn a_policy_of_nothing_is_told_to_prove_nothing() {
    let text = "schema = 1\ntitle = \"t\"\nsource = \"s\"\n[machine]\nmemory = \"1G\"\nswap = 0\ncpus = 1\n";
    let found = problems(text, |dir| fs::remove_dir_all(dir.join("root")).expect("removed"));
    assert_eq!(
        found,
        [
            "warning[no-work-tree]: no tree is for work: nothing is put under stress",
            "warning[nothing-installed]: the policy installs nothing",
        ]
    );
}

#[test]
fn a_unit_that_opts_in_is_a_setting_of_oomd() {
    let text = FINE
        .replace("\"earlyoom\"", "\"systemd-oomd\"")
        .replace("install = [\"./setup.sh\", \"--quiet\"]\n", "");
    let found = problems(&text, |dir| {
        let path = dir.join("root/etc/systemd/system/user.slice.d");
        fs::create_dir_all(&path).expect("made");
        fs::write(path.join("x.conf"), "[Slice]\nManagedOOMSwap=kill\n").expect("written");
    });
    assert_eq!(found, Vec::<String>::new());
}

/// What is wrong with the file and what is unsafe to install come together.
#[test]
fn all_problems_of_a_directory_come_at_once() {
    let found = problems(&FINE.replace("\"work\"", "\"wrk\""), |dir| {
        std::os::unix::fs::symlink("/root", dir.join("root/out")).expect("linked");
    });
    let ids: Vec<_> = found.iter().filter_map(|problem| problem.split([']', '[']).nth(1)).collect();
    assert_eq!(ids, ["unknown-word", "unknown-word", "unknown-word", "unknown-word", "link-out-of-root"]);
}
