//! A directory → the files to install, by the path at which they are installed; what is not safe to copy is refused.
//!
//! Nothing is followed: a link is its target's text. What is in the files is for others to read.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::LoadError;
use crate::notation::Bytes;
use crate::reading::diagnostic::{Diagnostic, Source};
use crate::reading::rule::{Rule, rules};
use crate::unit_file::{Files, Node};

rules! {
    Error UNSAFE_FILE = "unsafe-file",
        "The directory holds a device, a FIFO or a socket. A policy is files, directories and links: copying a device \
        would hand the guest a piece of the machine it came from, and reading a FIFO would wait for ever. Remove it; \
        what must be there at run time is made by a unit or by tmpfiles.d.";
    Error SET_ID_FILE = "set-id-file",
        "A file or directory has its set-user-ID or set-group-ID bit set. Installed as root's, it would hand root's \
        rights to whoever starts it, which is nothing that containment of memory needs. Take the bit away with \
        chmod a-s.";
    Error LINK_OUT = "link-out-of-root",
        "A link leads out of the directory. It would be installed and lead somewhere else in the guest than here, so \
        that the policy tested is not the policy written. Links stay inside; absolute ones may lead where systemd's \
        own do: below /usr/lib, /usr/local/lib, /lib, /usr/share and /etc, and to /dev/null, which masks a unit.";
    Error UNSAFE_NAME = "unsafe-file-name",
        "A file's name is not UTF-8, or has a control character in it. It could not be shown, written to a record or \
        matched with what systemd says of it. Rename it.";
    Error TOO_MANY_FILES = "too-many-files",
        "The directory holds more than 10,000 files or 64 MiB. It is copied into a guest before each first boot, and a \
        policy is small: something else lies in it. Move that elsewhere; what a machine needs besides is installed by \
        `install`.";
    Error KERNELS_OWN = "kernels-own-tree",
        "The file would lie in /proc, /sys or /dev, which the kernel fills when the machine boots: it would never be \
        seen. Say it in a file that is read at boot: sysctl.d, tmpfiles.d, udev rules, or a unit.";
}

/// More files than this are no policy.
const MAX_FILES: usize = 10_000;

/// More bytes than this are no policy.
const MAX_BYTES: u64 = 64 << 20;

/// Files by their absolute paths on the machine that they are installed on: `/etc/default/earlyoom`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// Every entry, directories included, parents before what is in them.
    pub entries: BTreeMap<String, Entry>,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory {
        /// Its permissions.
        mode: u32,
    },
    /// A file.
    File {
        /// What is in it.
        bytes: Arc<[u8]>,
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, as written in it.
        target: String,
    },
}

impl Root {
    /// What is in the file at `path`; none where there is no file, or a link.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(path)? {
            Entry::File { bytes, .. } => Some(bytes),
            Entry::Directory { .. } | Entry::Link { .. } => None,
        }
    }

    /// The paths of all files and links.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let files = self.entries.iter().filter(|(_, entry)| !matches!(entry, Entry::Directory { .. }));
        files.map(|(path, _)| path.as_str())
    }

    /// The files and links, to look for units in.
    #[must_use]
    pub fn unit_files(&self) -> Files {
        let mut files = Files::default();
        for (path, entry) in &self.entries {
            match entry {
                Entry::File { bytes, .. } => files.insert(path, Node::File(bytes.clone())),
                Entry::Link { target } => files.insert(path, Node::Link(target.clone())),
                Entry::Directory { .. } => {}
            }
        }
        files
    }

    /// Whether there is neither file nor link.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files().next().is_none()
    }
}

/// Walks the directory `base` without `skip`, which are names in it. `system` says that it is installed at the root of a
/// machine.
pub(super) fn walk(base: &Path, skip: &[&str], system: bool) -> Result<(Root, Vec<Diagnostic>), LoadError> {
    let mut walk = Walk { base, system, root: Root::default(), bytes: 0, problems: Vec::new() };
    walk.directory(base, "", skip)?;
    Ok((walk.root, walk.problems))
}

struct Walk<'b> {
    base: &'b Path,
    system: bool,
    root: Root,
    bytes: u64,
    problems: Vec<Diagnostic>,
}

impl Walk<'_> {
    fn refuse(&mut self, rule: &'static Rule, path: &str, message: String, help: &str) {
        let place = format!("{}{path}", self.base.display());
        let problem = Diagnostic::new(rule, &Source::plain(&place, ""), 0..0, message).help(help);
        self.problems.push(problem);
    }

    fn full(&self) -> bool {
        self.root.entries.len() > MAX_FILES || self.bytes > MAX_BYTES
    }

    /// Reads a directory, whose entries are installed below `above`.
    fn directory(&mut self, dir: &Path, above: &str, skip: &[&str]) -> Result<(), LoadError> {
        let failed = |source| LoadError::Read { path: dir.to_owned(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        names.sort();
        for name in names {
            let shown = name.to_string_lossy();
            let path = format!("{above}/{}", shown.escape_debug());
            if above.is_empty() && skip.contains(&&*shown) {
                continue;
            }
            if name.to_str().is_none_or(|name| name.chars().any(char::is_control)) {
                let message = "a file's name is not UTF-8, or has a control character in it".to_owned();
                self.refuse(UNSAFE_NAME, &path, message, "rename it");
                continue;
            }
            if self.system && above.is_empty() && ["proc", "sys", "dev"].contains(&&*shown) {
                let message = format!("{path} is filled by the kernel: nothing installed there is ever seen");
                self.refuse(KERNELS_OWN, &path, message, "use sysctl.d, tmpfiles.d, a udev rule or a unit");
                continue;
            }
            self.entry(&dir.join(&name), format!("{above}/{shown}"))?;
            if self.full() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn entry(&mut self, at: &Path, path: String) -> Result<(), LoadError> {
        let failed = |source| LoadError::Read { path: at.to_owned(), source };
        let metadata = fs::symlink_metadata(at).map_err(failed)?;
        if !metadata.is_symlink() && metadata.mode() & 0o6000 != 0 {
            let message = format!("{path} has its set-ID bit set (mode {:o})", metadata.mode() & 0o7777);
            self.refuse(SET_ID_FILE, &path, message, "take it away: chmod a-s");
            return Ok(());
        }
        let mode = metadata.mode() & 0o1777;
        if metadata.is_symlink() {
            let target = fs::read_link(at).map_err(failed)?;
            let target = target.to_string_lossy().into_owned();
            if leads_out(&path, &target) {
                let message = format!("{path} leads to {target}, out of the directory");
                self.refuse(LINK_OUT, &path, message, "install the file itself, or link to one below");
                return Ok(());
            }
            self.root.entries.insert(path, Entry::Link { target });
        } else if metadata.is_dir() {
            self.root.entries.insert(path.clone(), Entry::Directory { mode });
            self.directory(at, &path, &[])?;
        } else if metadata.is_file() {
            self.bytes += metadata.len();
            if !self.full() {
                let bytes = fs::read(at).map_err(failed)?.into();
                self.root.entries.insert(path, Entry::File { bytes, mode });
            }
        } else {
            self.refuse(UNSAFE_FILE, &path, format!("{path} is {}", kind(&metadata)), "remove it");
        }
        if self.full() && !self.problems.iter().any(|problem| problem.rule == TOO_MANY_FILES) {
            let most = format!("more than {MAX_FILES} files or {} here", Bytes(MAX_BYTES));
            self.refuse(TOO_MANY_FILES, "", most, "move away what is not the policy's");
        }
        Ok(())
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let file_type = metadata.file_type();
    match (file_type.is_fifo(), file_type.is_socket()) {
        (true, _) => "a FIFO",
        (_, true) => "a socket",
        _ => "a device",
    }
}

/// Where absolute links may lead: units, drop-ins and what they are enabled with.
const SYSTEMS: [&str; 5] = ["/usr/lib/", "/usr/local/lib/", "/lib/", "/usr/share/", "/etc/"];

/// Whether a link at `path` leads to where no policy's link does.
fn leads_out(path: &str, target: &str) -> bool {
    if let Some(absolute) = target.strip_prefix('/') {
        let within = SYSTEMS.iter().any(|system| target.starts_with(system)) || target == "/dev/null";
        return !within || absolute.split('/').any(|part| part == "..");
    }
    let mut depth = path.matches('/').count() - 1;
    for part in target.split('/') {
        match (part, depth) {
            ("..", 0) => return true,
            ("..", _) => depth -= 1,
            ("" | ".", _) => {}
            _ => depth += 1,
        }
    }
    target.is_empty() || target.contains('\0')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::stat::Mode;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_neighbour("/etc/a", "b", false)]
    #[case::up_and_down("/etc/systemd/a", "../../usr/b", false)]
    #[case::out("/etc/a", "../../b", true)]
    #[case::out_and_in_again("/etc/a", "../../etc/b", true)]
    #[case::a_vendors_unit("/etc/systemd/system/a.service", "/usr/lib/systemd/system/b.service", false)]
    #[case::a_mask("/etc/systemd/system/a.service", "/dev/null", false)]
    #[case::a_device("/etc/a", "/dev/sda", true)]
    #[case::a_home("/etc/a", "/root/.ssh/id", true)]
    #[case::absolute_with_a_way_out("/etc/a", "/etc/../root", true)]
    #[case::nowhere("/etc/a", "", true)]
    fn a_link_stays_inside_or_leads_where_systemds_do(
        #[case] path: &str,
        #[case] target: &str,
        #[case] out: bool,
    ) {
        assert_eq!(leads_out(path, target), out);
    }

    fn refused(make: impl FnOnce(&Path)) -> (Root, Vec<String>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        make(dir.path());
        let (root, problems) = walk(dir.path(), &[], true).expect("read");
        let base = dir.path().display().to_string();
        let shown = problems.iter().map(|problem| problem.render(false).replace(&base, "root"));
        (root, shown.collect())
    }

    #[test]
    fn files_directories_and_links_are_taken_as_they_are() {
        let (root, problems) = refused(|dir| {
            fs::create_dir_all(dir.join("etc/default")).expect("made");
            fs::write(dir.join("etc/default/earlyoom"), "x").expect("written");
            fs::set_permissions(dir.join("etc/default/earlyoom"), fs::Permissions::from_mode(0o640))
                .expect("chmod");
            symlink("earlyoom", dir.join("etc/default/other")).expect("linked");
        });
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(root.files().collect::<Vec<_>>(), ["/etc/default/earlyoom", "/etc/default/other"]);
        assert_eq!(root.file("/etc/default/earlyoom"), Some(&b"x"[..]));
        assert!(matches!(root.entries["/etc/default/earlyoom"], Entry::File { mode: 0o640, .. }));
        assert_eq!(root.entries["/etc/default/other"], Entry::Link { target: "earlyoom".to_owned() });
        assert!(matches!(root.entries["/etc"], Entry::Directory { .. }));
    }

    #[test]
    fn each_unsafe_file_is_named_with_its_mend() {
        let (root, problems) = refused(|dir| {
            nix::unistd::mkfifo(&dir.join("fifo"), Mode::S_IRWXU).expect("made");
            fs::write(dir.join("su"), "x").expect("written");
            fs::set_permissions(dir.join("su"), fs::Permissions::from_mode(0o4755)).expect("chmod");
            symlink("/root", dir.join("out")).expect("linked");
            fs::create_dir(dir.join("sys")).expect("made");
            fs::write(dir.join("a\nb"), "x").expect("written");
        });
        assert!(root.is_empty());
        insta::assert_snapshot!(problems.join("\n\n"));
    }

    #[test]
    fn a_directory_that_is_too_big_is_refused_once() {
        let (_, problems) = refused(|dir| {
            for name in ["a", "b"] {
                let file = fs::File::create(dir.join(name)).expect("made");
                file.set_len(MAX_BYTES + 1).expect("a hole");
            }
        });
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].starts_with("error[too-many-files]: more than 10000 files or 64M here"),
            "{problems:?}"
        );
    }
}
