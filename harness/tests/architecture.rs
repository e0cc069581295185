//! The code map lists every source file, and no tracked file speaks of the machine it was written on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The Rust files below a directory, as paths from the root of the source tree.
fn sources(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(root()).expect("below the root");
            found.insert(path.to_str().expect("UTF-8").to_owned());
        }
    }
}

#[test]
fn the_code_map_lists_every_source_file_and_no_other() {
    let mut there = BTreeSet::new();
    for part in ["balloon", "reports", "ci", "harness"] {
        sources(&root().join(part).join("src"), &mut there);
    }
    let text = fs::read_to_string(root().join("harness/ARCHITECTURE.md")).expect("the code map");
    let entry = |line: &str| line.strip_prefix("- `")?.split_once("`: ").map(|(path, _)| path.to_owned());
    let entries: Vec<String> = text.lines().filter_map(entry).filter(|path| path.ends_with(".rs")).collect();
    let listed: BTreeSet<String> = entries.iter().cloned().collect();
    assert_eq!(listed.len(), entries.len(), "a file is listed twice");
    let missing: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(missing.is_empty(), "not in harness/ARCHITECTURE.md: {missing:#?}");
    assert!(gone.is_empty(), "in harness/ARCHITECTURE.md, but not there: {gone:#?}");
}

/// What the judge finds is not yet how it is told: it knows the words for findings and no report.
#[test]
fn the_judge_knows_no_report() {
    for path in files_of("judge") {
        let text = fs::read_to_string(root().join(&path)).expect("a source file");
        assert!(!text.contains("reports::report"), "{path}");
    }
}

/// What people write is read without knowing what it means, and a notation without knowing where it stands.
#[rstest]
#[case::notation("notation", &[])]
#[case::reading("reading", &["notation"])]
#[case::allowance("allowance", &["notation", "reading"])]
#[case::metric("metric", &["kernfile", "notation", "psi", "reading"])]
#[case::property("property", &["cgroupfs", "notation", "reading"])]
#[case::scenario("scenario", &["killer", "metric", "notation", "property", "reading"])]
fn a_part_knows_only_what_it_stands_on(#[case] part: &str, #[case] known: &[&str]) {
    let mut found = Vec::new();
    for name in files_of(part) {
        let text = fs::read_to_string(root().join(&name)).expect("read");
        let words = text.split("crate::").skip(1);
        let words = words
            .map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or(rest));
        found.extend(
            words.filter(|word| *word != part && !known.contains(word)).map(|word| format!("{name}: {word}")),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Whether a run is admitted follows from the plan, the facts and what the owner allows, which others have read.
#[test]
fn the_guard_opens_no_file() {
    for name in files_of("guard") {
        let text = fs::read_to_string(root().join(&name)).expect("read");
        assert!(!text.contains("std::fs") && !text.contains("File::open"), "{name}");
    }
}

/// The files of a module of the harness.
fn files_of(part: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    sources(&root().join("harness/src"), &mut all);
    let (file, directory) = (format!("harness/src/{part}.rs"), format!("harness/src/{part}/"));
    all.retain(|path| *path == file || path.starts_with(&directory));
    assert!(!all.is_empty(), "{part} is gone");
    all
}

/// Every dependency has its reason in the architecture page.
#[test]
fn every_dependency_has_a_reason() {
    let manifest: toml::Table =
        fs::read_to_string(root().join("Cargo.toml")).expect("read").parse().expect("TOML");
    let text = fs::read_to_string(root().join("harness/ARCHITECTURE.md")).expect("the architecture page");
    let (_, reasons) = text.split_once("# Dependencies").expect("a section for them");
    let own = ["balloon", "reports", "ci"];
    let names = manifest["workspace"]["dependencies"].as_table().expect("a table").keys();
    for name in names.filter(|name| !own.contains(&name.as_str())) {
        assert!(reasons.contains(&format!("`{name}`")), "{name} has no reason");
    }
}

/// Split, so that this file does not find itself.
const FOREIGN: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/tmp", "/bh"),
    ("deb.deb", "ian.org"),
    ("security.deb", "ian.org"),
    ("crates", ".io"),
    ("index.cra", "tes"),
    ("/ro", "ot/.cargo"),
    ("/ho", "me/"),
];

#[test]
fn no_tracked_file_names_paths_or_registries_of_the_machine_it_was_written_on() {
    let listed = Command::new("git").arg("ls-files").current_dir(root()).output().expect("git");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let mut found = Vec::new();
    for name in String::from_utf8(listed.stdout).expect("UTF-8").lines() {
        // The lock file names the registry of each package: that is what it is for.
        if name == "Cargo.lock" {
            continue;
        }
        let Ok(bytes) = fs::read(root().join(name)) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for (line, words) in text.lines().enumerate() {
            for (head, tail) in FOREIGN {
                if words.contains(&format!("{head}{tail}")) {
                    found.push(format!("{name}:{}: {head}{tail}", line + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
