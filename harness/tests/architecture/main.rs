//! What `harness/ARCHITECTURE.md` promises: a line for every file and a reason for every dependency, who imports whom, which
//! rooms stay pure. And no tracked file speaks of the machine it was written on.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::Imports;

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

fn imports() -> Imports {
    let mut files = BTreeSet::new();
    let src = root().join("harness/src");
    sources(&src, &mut files);
    Imports::read(&src, &files)
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// "- `judge`: `plan`, `record`" of the section on imports → `judge` and what it may import.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("harness/ARCHITECTURE.md")).expect("the architecture page");
    let (_, section) = text.split_once("## Who imports whom").expect("a section on imports");
    let section =
        section.split("\n## ").next().and_then(|section| section.split("\n# ").next()).unwrap_or(section);
    let words = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let lines = section.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    let rows = lines.flat_map(|(rooms, may)| {
        let may: BTreeSet<String> = words(may).into_iter().collect();
        words(rooms).into_iter().map(move |room| (room, may.clone()))
    });
    rows.collect()
}

#[test]
fn every_room_imports_exactly_what_its_line_says() {
    let imports = imports();
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in imports.modules() {
        let others = imports.of(module).into_iter().map(room).filter(|other| *other != room(module));
        there.entry(room(module).to_owned()).or_default().extend(others.map(str::to_owned));
    }
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (room, there) in &there {
        let allowed = allowed.get(room).cloned().unwrap_or_default();
        wrong.extend(
            there
                .difference(&allowed)
                .map(|other| format!("{room} imports {other}, which its line does not say")),
        );
        wrong.extend(
            allowed
                .difference(there)
                .map(|other| format!("{room} does not import {other}, as its line says")),
        );
    }
    wrong.extend(
        allowed.keys().filter(|room| !there.contains_key(*room)).map(|room| format!("{room} is not there")),
    );
    assert!(wrong.is_empty(), "{wrong:#?}\n{there:#?}");
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    let imports = imports();
    let circles = imports.circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Rooms that only compute, and what none of their files may name. Scenarios, policies and records are files of the user's,
/// which the finders read.
#[test]
fn rooms_that_only_compute_touch_no_machine() {
    const PURE: &[&str] = &[
        "guard",
        "install",
        "judge",
        "notation",
        "plan",
        "policy",
        "readback",
        "reading",
        "report",
        "requirement",
        "scenario",
        "unit_file",
    ];
    const FINDERS: [&str; 4] = ["policy::load", "policy::root", "report::invocation", "scenario::load"];
    const TOUCHES: &[&[&str]] = &[
        &["std", "fs"],
        &["std", "process", "Command"],
        &["std", "net", "TcpStream"],
        &["std", "env"],
        &["std", "time", "Instant"],
        &["std", "time", "SystemTime"],
        &["std", "thread"],
        &["nix"],
        &["rustix"],
        &["libc", "open"],
        &["zbus"],
    ];
    let imports = imports();
    let mut found = Vec::new();
    for module in imports.modules().filter(|module| PURE.contains(&room(module)) && !FINDERS.contains(module))
    {
        let touched = TOUCHES.iter().filter(|path| imports.names(module, path));
        found.extend(touched.map(|path| format!("{module} names {}", path.join("::"))));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What the judge finds is not yet how it is told: it knows the words for findings and no report.
#[test]
fn the_judge_knows_no_report() {
    let imports = imports();
    let judges = imports.modules().filter(|module| room(module) == "judge");
    let found: Vec<_> = judges.filter(|module| imports.names(module, &["reports", "report"])).collect();
    assert!(found.is_empty(), "{found:?}");
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
