//! `bulkhead policy show`: a policy, installed and booted → each of its controls from the file to the kernel, and what is wrong.

use std::time::Duration;

use anyhow::{Context, bail};
use ci::{CloneOptions, Command, Lab, Stream};

use super::Ready;
use crate::case::vm::Bundle;
use crate::cli::PolicyShow;
use crate::commands::stdout::print;
use crate::display::Display;
use crate::exit_code::ExitCode;
use crate::notation::Bytes;
use crate::policy::{Policy, Root};
use crate::readback::finding::way_in;
use crate::readback::{Finding, Reading, Row, Task, findings, rows};
use crate::unit_file::{UnitFile, unit_file};

/// For all trees together, of which each has patience of its own.
const PATIENCE: Duration = Duration::from_secs(600);
/// Kept of what the program inside says for people.
const SAID_BYTES: usize = 64 << 10;

pub(in crate::commands) fn show(arguments: &PolicyShow) -> anyhow::Result<ExitCode> {
    let display = Display::of(0);
    let Some(ready) = super::read(&arguments.directory, arguments.guest_memory)? else {
        return Ok(ExitCode::Usage);
    };
    let lab = ready.install(arguments.guest, &display)?;
    let reading = ask(&lab, &task(&ready.directory.policy, &ready.scaled.root))?;
    drop(display);
    let found = findings(&ready.directory.policy, &ready.scaled.root, &reading);
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&json(&ready, &lab, &reading, &found))?))?;
    } else {
        print(&page(&ready, &reading, &found))?;
    }
    Ok(if found.is_empty() { ExitCode::Passed } else { ExitCode::Failed })
}

/// All trees, and of the policy's units those that can be verified by themselves: no templates.
fn task(policy: &Policy, root: &Root) -> Task {
    let own = root.files().filter_map(|path| match unit_file(path)?.1 {
        UnitFile::Fragment(unit) if !unit.is_template() => Some(unit.to_string()),
        _ => None,
    });
    let mut verify: Vec<String> = own.collect();
    verify.extend(policy.trees.iter().filter_map(|tree| tree.cgroup.unit()).map(ToString::to_string));
    verify.sort();
    verify.dedup();
    Task { trees: policy.trees.clone(), verify }
}

/// Has the same program look around in a clone.
fn ask(lab: &Lab, task: &Task) -> anyhow::Result<Reading> {
    let bundle = Bundle::pack()?;
    let vm = lab.spawn(&CloneOptions { files: Some(bundle.tar()), ..CloneOptions::new("policy-show") })?;
    let command = Command::new("/opt/bulkhead/bulkhead").arg("inspect").told().timeout(PATIENCE);
    let mut running = vm.start(&command)?;
    running.tell(serde_json::to_string(task)? + "\n")?;
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let exit = running.wait(&mut |stream, bytes| match stream {
        Stream::Stdout => out.extend_from_slice(bytes),
        Stream::Stderr if said.len() < SAID_BYTES => said.extend_from_slice(bytes),
        Stream::Stderr => {}
    })?;
    if !exit.success() {
        bail!("the guest could not be read ({exit}): {}", String::from_utf8_lossy(&said).trim());
    }
    serde_json::from_slice(&out).context("the guest did not answer with a reading")
}

fn json(ready: &Ready, lab: &Lab, reading: &Reading, found: &[Finding]) -> serde_json::Value {
    let policy = &ready.directory.policy;
    let sizes = ready.scaled.sizes.iter().map(|size| {
        serde_json::json!({
            "place": size.place.to_string(),
            "of": size.of,
            "written": size.written,
            "bytes": size.bytes.0,
            "modelled": size.modelled.0,
        })
    });
    let trees = policy.trees.iter().filter_map(|tree| {
        let read = reading.trees.get(&*tree.id)?;
        Some(serde_json::json!({
            "id": tree.id,
            "role": tree.role,
            "cgroup": read.cgroup,
            "entered": read.entered.as_ref().ok(),
            "controls": rows(reading, read),
        }))
    });
    serde_json::json!({
        "title": policy.title,
        "source": policy.source,
        "guest": lab.guest().to_string(),
        "systemd": reading.systemd,
        "memory": { "policy": policy.machine.memory.0, "guest": reading.memory },
        "scale": ready.scale.to_string(),
        "sizes": sizes.collect::<Vec<_>>(),
        "trees": trees.collect::<Vec<_>>(),
        "findings": found,
    })
}

fn page(ready: &Ready, reading: &Reading, found: &[Finding]) -> String {
    let policy = &ready.directory.policy;
    let mut page = format!("{}\n", policy.title);
    page += &format!("for a machine of {}, scale {}\n", policy.machine.memory, ready.scale);
    for size in &ready.scaled.sizes {
        page += &format!("  {} {}: {size}\n", size.place, size.of);
    }
    for tree in &policy.trees {
        let Some(read) = reading.trees.get(&*tree.id) else { continue };
        let role = crate::reading::word(tree.role);
        page += &format!("\n{} ({role}): {}\n", tree.id, tree.cgroup);
        let way = way_in(&tree.enter);
        page += &match &read.entered {
            Ok(cgroup) => format!("  {way} leads into {cgroup}\n"),
            Err(why) => format!("  {way}: {why}\n"),
        };
        page += &table(&rows(reading, read));
    }
    page += if found.is_empty() { "\nNothing found.\n" } else { "\nFindings:\n" };
    for one in found {
        let kind: &str = one.kind.into();
        let tree = one.tree.as_ref().map(|tree| format!(" {tree}:")).unwrap_or_default();
        page += &format!("  {kind}:{tree} {}\n", one.message);
        page += &one.place.as_ref().map(|place| format!("    at {place}\n")).unwrap_or_default();
    }
    page
}

/// A line for each control, in columns.
fn table(rows: &[Row]) -> String {
    let dash = || "-".to_owned();
    let mut lines: Vec<[String; 7]> =
        vec![["unit", "control", "declared", "loaded", "effective", "kernel", "file"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let shown = |text: &Option<String>| text.as_deref().map_or_else(dash, |text| readable(row, text));
        let effective = row.effective.as_ref().map(|one| {
            let value = readable(row, &one.value);
            if one.of == row.unit { value } else { format!("{value} of {}", one.of) }
        });
        [
            row.unit.clone(),
            row.directive.to_owned(),
            row.declared.clone(),
            shown(&row.loaded),
            effective.unwrap_or_else(dash),
            shown(&row.kernel),
            row.place.clone(),
        ]
    }));
    if lines.len() == 1 {
        return "  no file sets a control of it\n".to_owned();
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let show = |line: &[String; 7]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(show).collect()
}

/// A size in systemd's notation, where it is one.
fn readable(row: &Row, text: &str) -> String {
    let bytes = text.parse().ok().filter(|_| row.directive.starts_with("Memory"));
    bytes.map_or_else(|| text.to_owned(), |bytes| Bytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readback::row::Effective;

    #[test]
    fn a_limit_of_a_unit_above_names_it_and_sizes_are_in_systemds_notation() {
        let row = Row {
            unit: "a-b.slice".into(),
            directive: "MemoryMax",
            declared: "1G".into(),
            place: "/etc/systemd/system/a-b.slice:2".into(),
            loaded: Some("1073741824".into()),
            effective: Some(Effective { value: "536870912".into(), of: "a.slice".into() }),
            kernel: None,
            difference: None,
        };
        let expected = [
            "  unit       control    declared  loaded  effective        kernel  file\n",
            "  a-b.slice  MemoryMax  1G        1G      512M of a.slice  -       /etc/systemd/system/a-b.slice:2\n",
        ];
        assert_eq!(table(&[row]), expected.concat());
        assert_eq!(table(&[]), "  no file sets a control of it\n");
    }
}
