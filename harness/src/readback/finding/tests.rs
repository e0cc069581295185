//! One guest in which everything is as declared, and each finding by the smallest change to it.

use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::readback::Found;

const POLICY: &str = include_str!("../../../tests/fixtures/policies/contained/policy.toml");
const DROPIN: &str = "/etc/systemd/system/user-.slice.d/50-memory.conf";
const M: u64 = 1 << 20;

/// The tree of the ssh logins alone.
fn policy() -> Policy {
    let mut policy = Policy::parse("policy.toml", POLICY).expect("a policy");
    policy.trees.truncate(1);
    policy
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A slice with that MemoryMax, to systemd and to the kernel.
fn slice(name: &str, bytes: Option<u64>) -> UnitRead {
    let (loaded, kernel) = match bytes {
        Some(bytes) => (bytes.to_string(), bytes.to_string()),
        None => ("infinity".to_owned(), "max".to_owned()),
    };
    UnitRead {
        name: name.to_owned(),
        loaded: map(&[("MemoryMax", &loaded), ("MemoryHigh", "infinity")]),
        kernel: map(&[("memory.max", &kernel), ("memory.high", "max")]),
        ..UnitRead::default()
    }
}

/// A guest with these files, a cap on the user's slice, and one on that of all users.
fn reading(files: &[(&str, &str)], own: Option<u64>, all: Option<u64>) -> Reading {
    let units = vec![slice("user-1001.slice", own), slice("user.slice", all)];
    let read = TreeRead {
        cgroup: Some("/user.slice/user-1001.slice".parse().expect("a path")),
        entered: Ok("/user.slice/user-1001.slice/session-1.scope".parse().expect("a path")),
        after: units.clone(),
        before: units,
    };
    let text = |(path, text): &(&str, &str)| ((*path).to_owned(), Found::Text((*text).to_owned()));
    Reading {
        systemd: 257,
        memory: 2048 * M,
        files: files.iter().map(text).collect(),
        trees: [("ssh".to_owned(), read)].into(),
        ..Reading::default()
    }
}

fn good() -> Reading {
    reading(&[(DROPIN, "[Slice]\nMemoryMax=400M\n")], Some(400 * M), None)
}

fn found(reading: &Reading) -> Vec<(Kind, String, Option<String>)> {
    let found = findings(&policy(), &Root::default(), reading);
    found.into_iter().map(|one| (one.kind, one.message, one.place)).collect()
}

/// Exactly one finding.
#[track_caller]
fn only(reading: &Reading) -> (Kind, String, Option<String>) {
    let mut found = found(reading);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// A line that is about no cap does not stand for the cap that is missing.
#[rstest]
#[case::of_another_directive("IOWeigth=50", &[Kind::NotInForce, Kind::NoCap])]
#[case::of_the_cap("MemoryMx=400M", &[Kind::NotInForce])]
#[case::of_the_cap_by_its_old_name("MemoryLimt=400M", &[Kind::NotInForce])]
fn a_missing_cap_is_told_unless_its_cause_is(#[case] line: &str, #[case] kinds: &[Kind]) {
    let found = found(&reading(&[(DROPIN, &format!("[Slice]\n{line}\n"))], None, None));
    assert_eq!(found.iter().map(|one| one.0).collect::<Vec<_>>(), kinds, "{found:#?}");
}

#[test]
fn where_all_is_as_declared_nothing_is_found() {
    assert_eq!(found(&good()), []);
}

#[test]
fn a_cap_of_all_users_is_none_of_one_user() {
    let place = "/etc/systemd/system/user.slice.d/50-memory.conf";
    let (kind, message, at) = only(&reading(&[(place, "[Slice]\nMemoryMax=400M\n")], None, Some(400 * M)));
    assert_eq!((kind, at), (Kind::SharedCap, Some(format!("{place}:2"))));
    assert!(message.contains("user-1001.slice has no cap of its own: MemoryMax=400M"), "{message}");
}

#[rstest]
#[case::to_infinity("MemoryMax=infinity")]
#[case::by_an_empty_value("MemoryMax=")]
fn a_cap_that_a_later_file_takes_back_names_both(#[case] reset: &str) {
    let later = "/etc/systemd/system/user-1001.slice.d/90-more.conf";
    let files = [(DROPIN, "[Slice]\nMemoryMax=400M\n"), (later, &*format!("[Slice]\n{reset}\n"))];
    let (kind, message, at) = only(&reading(&files, None, None));
    assert_eq!((kind, at), (Kind::CapTakenBack, Some(format!("{DROPIN}:2"))));
    assert!(message.ends_with(&format!("is taken back by {reset} in {later}:2")), "{message}");
}

#[rstest]
#[case::section("[Service]\nMemoryMax=400M\n", "it stands in [Service]")]
#[case::value("[Slice]\nMemoryMax=400MB\n", "systemd writes it 400M")]
#[case::name("[Slice]\nMemoryMaximum=400M\n", "did you mean MemoryMax?")]
fn a_line_that_systemd_does_not_take_is_the_cause(#[case] text: &str, #[case] why: &str) {
    let (kind, message, at) = only(&reading(&[(DROPIN, text)], None, None));
    assert_eq!((kind, at), (Kind::NotInForce, Some(format!("{DROPIN}:2"))));
    assert!(message.contains(why), "{message}");
}

/// What a distribution's files say wrongly is no finding about a policy.
#[test]
fn only_files_of_the_policy_are_held_to_it() {
    let mut reading = good();
    let vendor = "/usr/lib/systemd/system/user-.slice.d/10-defaults.conf";
    reading.files.insert(vendor.into(), Found::Text("[Slice]\nMemoryMaximum=1\n".into()));
    assert_eq!(found(&reading), []);
}

#[test]
fn a_tree_without_any_cap_is_found() {
    let (kind, message, _) = only(&reading(&[], None, None));
    assert_eq!(kind, Kind::NoCap);
    assert!(message.starts_with("user-1001.slice has no memory cap"), "{message}");
}

/// It is to live beside the work, which alone may run away.
#[test]
fn what_is_protected_needs_no_cap() {
    let mut policy = policy();
    policy.trees[0].role = TreeRole::Protected;
    assert_eq!(findings(&policy, &Root::default(), &reading(&[], None, None)), []);
}

#[test]
fn a_cap_above_the_tree_is_one() {
    let files = [("/etc/systemd/system/user.slice", "[Slice]\nMemoryMax=400M\n")];
    let mut policy = policy();
    policy.trees[0].enter = Entrance::Docker;
    assert_eq!(findings(&policy, &Root::default(), &reading(&files, None, Some(400 * M))), []);
}

#[test]
fn a_way_in_that_leads_past_the_tree_says_where() {
    let mut reading = good();
    let elsewhere = "/system.slice/ssh.service";
    reading.trees.get_mut("ssh").expect("read").entered = Ok(elsewhere.parse().expect("a path"));
    let (kind, message, _) = only(&reading);
    assert_eq!(kind, Kind::EntranceElsewhere);
    assert_eq!(
        message,
        "a login of alice over ssh leads into /system.slice/ssh.service, which is not in /user.slice/user-1001.slice"
    );
}

#[test]
fn a_way_in_that_is_closed_gives_its_last_words() {
    let mut reading = good();
    reading.trees.get_mut("ssh").expect("read").entered = Err("Permission denied".into());
    let (kind, message, _) = only(&reading);
    assert_eq!(
        (kind, &*message),
        (Kind::EntranceClosed, "a login of alice over ssh is no way in: Permission denied")
    );
}

/// Changes the user's slice as it is read first.
fn first(reading: &mut Reading) -> &mut UnitRead {
    &mut reading.trees.get_mut("ssh").expect("read").before[0]
}

fn second(reading: &mut Reading) -> &mut UnitRead {
    &mut reading.trees.get_mut("ssh").expect("read").after[0]
}

#[test]
fn what_systemd_has_not_loaded_is_told_with_the_line_that_should_have_won() {
    let mut reading = good();
    for read in [first, second] {
        *read(&mut reading) = slice("user-1001.slice", Some(200 * M));
    }
    let (kind, message, at) = only(&reading);
    assert_eq!((kind, at), (Kind::NotLoaded, Some(format!("{DROPIN}:2"))));
    assert!(message.ends_with("is declared, and systemd has loaded 209715200"), "{message}");
}

#[test]
fn what_the_kernel_does_not_hold_is_told_with_both_values() {
    let mut reading = good();
    for read in [first, second] {
        read(&mut reading).kernel.insert("memory.max".into(), "max".into());
    }
    let (kind, message, _) = only(&reading);
    assert_eq!(kind, Kind::NotInKernel);
    assert!(message.contains("is 419430400 to systemd, and the kernel holds infinity"), "{message}");
}

#[test]
fn what_only_a_reload_brings_is_told_with_the_drop_in() {
    let mut reading = reading(&[], Some(400 * M), None);
    *second(&mut reading) = slice("user-1001.slice", Some(200 * M));
    second(&mut reading).dropins = vec![DROPIN.into()];
    let (kind, message, at) = only(&reading);
    assert_eq!((kind, at.as_deref()), (Kind::ChangedByReload, Some(DROPIN)));
    assert!(message.contains("419430400") && message.contains("209715200 (kernel: 209715200)"), "{message}");
}

#[test]
fn a_unit_that_failed_at_boot_is_found() {
    let mut reading = good();
    reading.failed.insert("server.service".into(), "exit-code".into());
    let (kind, message, _) = only(&reading);
    assert_eq!(kind, Kind::UnitFailed);
    assert!(message.starts_with("server.service failed at boot (exit-code)"), "{message}");
}

/// A complaint about a file of which something is known already says nothing new.
#[rstest]
#[case::of_the_policy("/etc/systemd/system/a.service:3: Unknown key 'X'", true)]
#[case::of_the_distribution("/usr/lib/systemd/system/b.service:3: Unknown key 'X'", false)]
#[case::known("/etc/systemd/system/user-.slice.d/50-memory.conf:1: Unknown section", false)]
fn a_complaint_counts_where_nothing_else_is_known(#[case] line: &str, #[case] counts: bool) {
    let mut reading = reading(&[(DROPIN, "[Service]\nMemoryMax=400M\n")], None, None);
    reading.complaints.push(line.into());
    let complaints = found(&reading).into_iter().filter(|one| one.0 == Kind::Complaint).count();
    assert_eq!(complaints, usize::from(counts));
}
