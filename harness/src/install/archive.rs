//! Files of a policy → a tar that depends on nothing but them: owned by root, of no date, in the order of their paths.

use std::io;

use tar::{Builder, EntryType, Header};

use super::BESIDE;
use crate::notation::UnitName;
use crate::policy::{Directory, Entry, Root};

/// Where a unit of the distribution's own would lie.
const UNITS: &str = "/usr/lib/systemd/system";

/// What takes the place of a service that the guest does not have.
const STUB: &str = "[Unit]
Description=Takes the place of a service that this machine does not have

[Service]
Type=exec
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
";

/// The stubs first: a policy may have drop-ins, or a whole file, for a unit that it has stubbed.
pub(super) fn tar(directory: &Directory, root: &Root) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for unit in &directory.policy.units.stub {
        stub(&mut tar, unit)?;
    }
    add(&mut tar, "", root)?;
    add(&mut tar, BESIDE, &directory.beside)?;
    tar.into_inner()
}

fn stub(tar: &mut Builder<Vec<u8>>, unit: &UnitName) -> io::Result<()> {
    file(tar, &format!("{UNITS}/{unit}"), STUB.as_bytes(), 0o644)
}

/// Directories with something in them are implied: tar makes those that are missing, leaves those of the guest with the modes
/// that they have, and goes through what is a link there (`/lib`).
fn add(tar: &mut Builder<Vec<u8>>, at: &str, files: &Root) -> io::Result<()> {
    for (path, entry) in &files.entries {
        let full = format!("{at}{path}");
        match entry {
            Entry::File { bytes, mode } => file(tar, &full, bytes, *mode)?,
            Entry::Link { target } => {
                let mut header = header(EntryType::Symlink, 0o777);
                tar.append_link(&mut header, relative(&full), target)?;
            }
            Entry::Directory { mode } if is_empty(files, path) && full.matches('/').count() > 1 => {
                let mut header = header(EntryType::Directory, *mode);
                tar.append_data(&mut header, relative(&full), io::empty())?;
            }
            Entry::Directory { .. } => {}
        }
    }
    Ok(())
}

fn file(tar: &mut Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, relative(path), bytes)
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn is_empty(files: &Root, directory: &str) -> bool {
    let within = format!("{directory}/");
    !files.entries.range(within.clone()..).next().is_some_and(|(path, _)| path.starts_with(&within))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::PathBuf;

    use super::*;
    use crate::policy::Policy;

    const POLICY: &str = include_str!("../../tests/fixtures/policies/every-key/policy.toml");

    fn root(entries: &[(&str, Entry)]) -> Root {
        Root { entries: entries.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).collect() }
    }

    fn text(text: &str, mode: u32) -> Entry {
        Entry::File { bytes: text.as_bytes().into(), mode }
    }

    fn packed(entries: &[(&str, Entry)], beside: &[(&str, Entry)]) -> Vec<u8> {
        let policy = Policy::parse("policy.toml", POLICY).expect("a policy");
        let directory =
            Directory { path: PathBuf::from("x"), policy, root: Root::default(), beside: root(beside) };
        tar(&directory, &root(entries)).expect("a tar")
    }

    /// `TYPE MODE OWNER DATE PATH = CONTENT`, an entry each.
    fn listed(tar: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            let (header, path) = (entry.header(), entry.path().expect("a path"));
            let link = entry.link_name().expect("a link").map(|target| target.display().to_string());
            format!(
                "{:?} {:o} {}:{} {} {} = {}",
                header.entry_type(),
                header.mode().expect("a mode"),
                header.uid().expect("a number"),
                header.gid().expect("a number"),
                header.mtime().expect("a date"),
                path.display(),
                link.unwrap_or_else(|| text.lines().next().unwrap_or_default().to_owned()),
            )
        });
        entries.collect()
    }

    #[test]
    fn files_keep_their_modes_and_lie_where_the_guest_looks_for_them() {
        let directory = Entry::Directory { mode: 0o775 };
        let tar = packed(
            &[
                ("/etc", directory.clone()),
                ("/etc/a.conf", text("one", 0o640)),
                ("/etc/systemd/system/b.service", Entry::Link { target: "/dev/null".into() }),
                ("/srv", directory.clone()),
                ("/srv/queue", directory),
            ],
            &[("/setup.sh", text("#!/bin/sh", 0o755))],
        );
        assert_eq!(
            listed(&tar),
            [
                "Regular 644 0:0 0 usr/lib/systemd/system/database.service = [Unit]",
                "Regular 644 0:0 0 usr/lib/systemd/system/vendor-agent@.service = [Unit]",
                "Regular 640 0:0 0 etc/a.conf = one",
                "Symlink 777 0:0 0 etc/systemd/system/b.service = /dev/null",
                "Directory 775 0:0 0 srv/queue = ",
                "Regular 755 0:0 0 opt/bulkhead-policy/setup.sh = #!/bin/sh",
            ]
        );
    }

    #[test]
    fn the_same_files_make_the_same_bytes_and_long_paths_fit() {
        let long = format!("/etc/{}/{}.conf", "a".repeat(120), "b".repeat(120));
        let files = [(&*long, text("x", 0o644))];
        assert_eq!(packed(&files, &[]), packed(&files, &[]));
        assert!(listed(&packed(&files, &[]))[2].contains(long.trim_start_matches('/')));
        assert_ne!(packed(&files, &[]), packed(&[(&*long, text("y", 0o644))], &[]));
    }
}
