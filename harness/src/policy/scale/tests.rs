//! What is scaled, what stays, and what is refused.

use std::path::PathBuf;

use rstest::rstest;

use super::*;
use crate::policy::Policy;

const POLICY: &str = include_str!("../../../tests/fixtures/policies/every-key/policy.toml");
const USERS: &str = "/etc/systemd/system/user-.slice.d/50-memory.conf";
const OTHERS: &str = "/etc/systemd/system/vendor.service";

fn directory(files: &[(&str, &str)]) -> Directory {
    let mut root = Root::default();
    for (path, text) in files {
        root.entries.insert((*path).to_owned(), Entry::File { bytes: text.as_bytes().into(), mode: 0o644 });
    }
    let policy = Policy::parse("policy.toml", POLICY).expect("a policy");
    Directory { path: PathBuf::from("policies/x"), policy, root, beside: Root::default() }
}

const ONE_TO_12: Scale = Scale::new(Bytes(24 << 30), Bytes(2 << 30));

fn one(files: &[(&str, &str)], by: Scale) -> (String, Vec<String>) {
    let scaled = scale(&directory(files), by).unwrap_or_else(|refused| panic!("{refused}"));
    let text = String::from_utf8(scaled.root.file(files[0].0).expect("a file").to_vec()).expect("UTF-8");
    (text, scaled.sizes.iter().map(|size| format!("{}: {}={size}", size.place.line, size.of)).collect())
}

#[test]
fn both_numbers_are_told() {
    let (text, told) = one(
        &[(USERS, "[Slice]\n# the cap\nMemoryMax = 16G  \nMemorySwapMax=0\nMemoryHigh=90%\n")],
        ONE_TO_12,
    );
    // 16 GiB / 12 is 1431655765.3 bytes; the pages of it are 1431654400.
    assert_eq!(text, "[Slice]\n# the cap\nMemoryMax = 1398100K  \nMemorySwapMax=0\nMemoryHigh=90%\n");
    assert_eq!(told, ["3: MemoryMax=16G, modelled as 1.33 GiB, 1:12"]);
}

#[rstest]
#[case::small(1 << 10)]
#[case::odd(123_456_789)]
#[case::large(1 << 40)]
fn a_scaled_size_is_whole_pages_and_never_more(#[case] bytes: u64) {
    let scaled = ONE_TO_12.of(Bytes(bytes)).0;
    assert_eq!(scaled % 4096, 0);
    assert!(scaled == 4096 || scaled <= bytes / 12, "{scaled}");
}

#[rstest]
#[case(24, 2, "1:12")]
#[case(16, 2, "1:8")]
#[case(15, 2, "1:7.5")]
#[case(24, 24, "1:1")]
#[case(2, 24, "1:1")]
#[case(64, 3, "1:21.3")]
fn a_scale_is_shown_as_one_to_so_many(#[case] policy: u64, #[case] guest: u64, #[case] shown: &str) {
    assert_eq!(Scale::new(Bytes(policy << 30), Bytes(guest << 30)).to_string(), shown);
}

#[test]
fn a_scale_of_one_changes_no_byte() {
    let directory = directory(&[
        (USERS, "[Slice]\r\nMemoryMax=1G500M\r\n"),
        ("/etc/default/earlyoom", "EARLYOOM_ARGS=\"-M 4096\""),
    ]);
    for guest in [24, 48] {
        let scaled = scale(&directory, Scale::new(Bytes(24 << 30), Bytes(guest << 30))).expect("scaled");
        assert_eq!((&scaled.root, scaled.sizes.len()), (&directory.root, 0));
    }
}

#[test]
fn every_file_with_sizes_is_scaled_and_what_surrounds_them_stays() {
    let args = "EARLYOOM_ARGS=\"-m 5 -M 409600,204800 --avoid '^sshd$'\" # why\n";
    let (text, told) = one(&[("/etc/default/earlyoom", args)], ONE_TO_12);
    assert_eq!(text, "EARLYOOM_ARGS=\"-m 5 -M 34132,17064 --avoid '^sshd$'\" # why\n");
    assert_eq!(told[0], "1: -M=409600 KiB, modelled as 33.33 MiB, 1:12");
    let (text, _) =
        one(&[("/etc/docker/daemon.json", "{\"default-shm-size\": \"768M\", \"icc\": true}")], ONE_TO_12);
    assert_eq!(text, "{\"default-shm-size\": \"67108864\", \"icc\": true}");
    let (text, _) = one(&[(OTHERS, "[Service]\nMemoryMax=12 \\\n  G\nMemoryMin=2G\n")], ONE_TO_12);
    assert_eq!(text, "[Service]\nMemoryMax=1G\nMemoryMin=174760K\n");
}

/// A small daemon needs as much on a small machine: only what is a tree's is put under stress.
#[test]
fn the_cap_of_what_is_no_tree_is_not_scaled_below_the_floor() {
    let (text, told) = one(&[(OTHERS, "[Service]\nMemoryMax=512M\nMemoryHigh=32M\n")], ONE_TO_12);
    assert_eq!(text, "[Service]\nMemoryMax=64M\nMemoryHigh=32M\n");
    assert_eq!(told[0], "2: MemoryMax=512M, modelled as 64.00 MiB, not scaled below its floor");
}

/// error[cap-below-floor]: the message and what would be enough.
#[rstest]
#[case::by_a_prefix(USERS)]
#[case::by_a_slice_around_it("/etc/systemd/system/user.slice")]
#[case::by_a_path("/etc/systemd/system/batch.slice")]
#[case::by_all_slices("/usr/lib/systemd/system/slice.d/a.conf")]
fn a_trees_cap_below_the_floor_is_refused(#[case] path: &str) {
    let refused = scale(&directory(&[(path, "[Slice]\nMemoryMax=512M\n")]), ONE_TO_12).expect_err("refused");
    let shown = refused.to_string();
    assert!(
        shown.starts_with(
            "error[cap-below-floor]: MemoryMax=512M of a tree would be 43688 KiB, 1:12: less than 64M"
        ),
        "{shown}"
    );
    assert!(shown.contains(&format!("--> policies/x/root{path}:2:11")), "{shown}");
    assert!(shown.contains("--guest-memory 3G is enough for it"), "{shown}");
}
