//! A machine's files by path, and which of them are unit files: where each manager looks, in which order, and what a path means there.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::notation::UnitName;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File(Arc<[u8]>),
    /// A symbolic link, with its target as written in it.
    Link(String),
}

/// Files by their absolute paths. Directories are implied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    nodes: BTreeMap<String, Node>,
}

/// Links that lead to links longer than this are a circle: the kernel's `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

impl Files {
    /// Puts something at a path; what was there is gone.
    pub fn insert(&mut self, path: impl Into<String>, node: Node) {
        self.nodes.insert(path.into(), node);
    }

    /// Everything of `self`, and of `below` where `self` has nothing: a policy's files over a distribution's.
    #[must_use]
    pub fn over(mut self, below: Self) -> Self {
        for (path, node) in below.nodes {
            self.nodes.entry(path).or_insert(node);
        }
        self
    }

    /// What lies at a path, links not followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Every path with what lies there, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The names in a directory, in order; links to directories are not followed.
    pub fn names<'s>(&'s self, directory: &str) -> impl Iterator<Item = &'s str> + use<'s> {
        let start = format!("{directory}/");
        let length = start.len();
        let within = self.nodes.range(start.clone()..).take_while(move |(path, _)| path.starts_with(&start));
        let mut last = "";
        within.filter_map(move |(path, _)| {
            let name = path[length..].split('/').next().unwrap_or_default();
            (std::mem::replace(&mut last, name) != name).then_some(name)
        })
    }

    /// Where a path leads when every link on the way is followed: to a file here, or out to one that is not known. None for a
    /// circle.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at = String::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => {}
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                part => {
                    let next = format!("{at}/{part}");
                    let Some(Node::Link(target)) = self.get(&next) else {
                        at = next;
                        continue;
                    };
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(target.split('/').rev().map(str::to_owned));
                }
            }
        }
        Some(at)
    }

    /// The file that a path leads to, with its bytes.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        match self.get(&self.resolve(path)?)? {
            Node::File(bytes) => Some(bytes),
            Node::Link(_) => None,
        }
    }
}

/// Which manager reads the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// PID 1.
    System,
    /// `systemd --user`, of whoever is logged in.
    User,
}

/// `lookup_paths_init()` of systemd, for PID 1.
const SYSTEM: &[&str] = &[
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// And for the manager of a user, as far as it does not lie in their home.
const USER: &[&str] = &[
    "/etc/xdg/systemd/user",
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

impl Manager {
    /// The directories that it reads, the one that wins first.
    #[must_use]
    pub const fn directories(self) -> &'static [&'static str] {
        match self {
            Self::System => SYSTEM,
            Self::User => USER,
        }
    }
}

/// What a path is to a manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitFile {
    /// The file of a unit, or a link that gives it another name.
    Fragment(UnitName),
    /// A drop-in: the name of its directory without `.d`, which is a unit, a beginning of its name, or a unit type.
    DropIn(String),
    /// In a directory of units, and read by nobody: its name is no unit's, or a drop-in that does not end in `.conf`.
    Unread(&'static str),
}

/// What a path is to which manager; none where it lies in no directory of units.
#[must_use]
pub fn unit_file(path: &str) -> Option<(Manager, UnitFile)> {
    for manager in [Manager::System, Manager::User] {
        for directory in manager.directories() {
            let Some(rest) = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            return kind(rest).map(|kind| (manager, kind));
        }
    }
    None
}

fn kind(rest: &str) -> Option<UnitFile> {
    let Some((directory, name)) = rest.split_once('/') else {
        return Some(match rest.parse::<UnitName>() {
            // `user-.slice` is the beginning of a name, for drop-ins alone.
            Ok(unit) if unit.unit_type() == "slice" && crate::unit_name::slice_cgroup(&unit).is_err() => {
                UnitFile::Unread("no slice can be called so")
            }
            Ok(unit) => UnitFile::Fragment(unit),
            Err(_) => UnitFile::Unread("its name is not a unit's"),
        });
    };
    // What is enabled where: links in `x.wants/` say nothing about a unit itself.
    let of = directory.strip_suffix(".d")?;
    Some(match name {
        name if name.contains('/') => UnitFile::Unread("it lies in a directory below the drop-ins"),
        name if is_dropin(name) => UnitFile::DropIn(of.to_owned()),
        _ => UnitFile::Unread("a drop-in's name ends in .conf and does not begin with a dot"),
    })
}

/// Whether systemd reads a file of a drop-in directory.
pub(super) fn is_dropin(name: &str) -> bool {
    name.ends_with(".conf") && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn files(nodes: &[(&str, &str)]) -> Files {
        let mut files = Files::default();
        for (path, text) in nodes {
            let node = match text.strip_prefix("-> ") {
                Some(target) => Node::Link(target.to_owned()),
                None => Node::File(text.as_bytes().into()),
            };
            files.insert(*path, node);
        }
        files
    }

    #[test]
    fn the_names_in_a_directory_come_once_and_in_order() {
        let files = files(&[("/a/b/c", ""), ("/a/b/d", ""), ("/a/a", ""), ("/ab/x", "")]);
        assert_eq!(files.names("/a").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(files.names("/c").count(), 0);
    }

    #[rstest]
    #[case::a_file("/a/file", Some("x"))]
    #[case::beside("/a/beside", Some("x"))]
    #[case::absolute("/a/absolute", Some("x"))]
    #[case::through_a_directory("/linked/file", Some("x"))]
    #[case::up("/a/up", Some("x"))]
    #[case::out_of_what_is_known("/a/out", None)]
    #[case::a_circle("/a/circle", None)]
    fn links_are_followed(#[case] path: &str, #[case] text: Option<&str>) {
        let files = files(&[
            ("/a/file", "x"),
            ("/a/beside", "-> file"),
            ("/a/absolute", "-> /linked/./beside"),
            ("/linked", "-> a"),
            ("/a/up", "-> ../../../a/file"),
            ("/a/out", "-> /usr/x"),
            ("/a/circle", "-> circle"),
        ]);
        assert_eq!(files.read(path), text.map(str::as_bytes));
    }

    #[test]
    fn a_policys_files_lie_over_a_distributions() {
        let over = files(&[("/a", "policy")]).over(files(&[("/a", "vendor"), ("/b", "vendor")]));
        assert_eq!((over.read("/a"), over.read("/b")), (Some(&b"policy"[..]), Some(&b"vendor"[..])));
    }

    #[rstest]
    #[case("/etc/systemd/system/user-.slice.d/50-a.conf", "System DropIn(user-.slice)")]
    #[case("/etc/systemd/system.control/user-1000.slice.d/a.conf", "System DropIn(user-1000.slice)")]
    #[case("/usr/lib/systemd/user/slice.d/a.conf", "User DropIn(slice)")]
    #[case("/lib/systemd/system/docker.service", "System Fragment(docker.service)")]
    #[case("/etc/systemd/system/user-.slice", "System Unread(no slice can be called so)")]
    #[case(
        "/etc/systemd/system/user-.slice.d/a.txt",
        "System Unread(a drop-in's name ends in .conf and does not begin with a dot)"
    )]
    #[case("/etc/systemd/system/README", "System Unread(its name is not a unit's)")]
    #[case("/etc/systemd/system/multi-user.target.wants/docker.service", "none")]
    #[case("/etc/systemd/oomd.conf", "none")]
    fn a_path_means_something_to_a_manager(#[case] path: &str, #[case] expected: &str) {
        let shown = unit_file(path).map(|(manager, kind)| match kind {
            UnitFile::Fragment(unit) => format!("{manager:?} Fragment({unit})"),
            UnitFile::DropIn(of) => format!("{manager:?} DropIn({of})"),
            UnitFile::Unread(why) => format!("{manager:?} Unread({why})"),
        });
        assert_eq!(shown.as_deref().unwrap_or("none"), expected);
    }
}
