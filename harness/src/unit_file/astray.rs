//! A directive that does not act on a unit → the assignments to it that look as if they did, each with the reason why not.

use super::files::{Files, Manager, UnitFile, unit_file};
use super::syntax;
use super::unit::{Fate, Place, Unit};

/// An assignment that acts neither on a unit nor on a slice around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// Where.
    pub place: Place,
    /// The key as written.
    pub key: String,
    /// The value as written.
    pub text: String,
    /// Why it does not act there, as a lower-case sentence.
    pub why: String,
}

/// Why `directive` is not in force on a unit or on a slice around it, which `chain` holds as
/// [`with_slices`](super::with_slices) gives them: first what they read, then what they do not, of the files given. Give a
/// policy's own files: a distribution's are for many units.
#[must_use]
pub fn astray(files: &Files, chain: &[Unit], directive: &str) -> Vec<Astray> {
    let near = |fate: &Fate| matches!(fate, Fate::Unknown(near) if *near == directive);
    let read = chain.iter().flat_map(|unit| &unit.assigned);
    let lost = read.filter(|one| one.value().is_none() && (one.key == directive || near(&one.fate)));
    let mut found: Vec<Astray> = lost
        .map(|one| {
            let (place, key, text) = (one.place.clone(), one.key.clone(), one.text.clone());
            Astray { place, key, text, why: one.fate.to_string() }
        })
        .collect();
    let known = |path: &str| {
        chain.iter().any(|unit| {
            let passed_over = unit.passed_over.iter().map(|one| &*one.path);
            let mut read = unit.fragment.path().into_iter().chain(unit.dropins.iter().map(String::as_str));
            read.any(|read| read == path) || passed_over.into_iter().any(|other| other == path)
        })
    };
    let manager = chain.first().map_or(Manager::System, |unit| unit.manager);
    for (path, _) in files.iter().filter(|(path, _)| !known(path)) {
        let Some(why) = unit_file(path).map(|(of, kind)| why(manager, of, &kind)) else { continue };
        let text = files.read(path).map(syntax::parse).unwrap_or_default();
        for one in text.assignments.into_iter().filter(|one| one.key == directive) {
            let place = Place { path: path.to_owned(), line: one.line };
            found.push(Astray { place, key: one.key, text: one.value, why: why.clone() });
        }
    }
    found
}

/// Why a file is not read for the unit.
fn why(manager: Manager, of: Manager, kind: &UnitFile) -> String {
    match (kind, of) {
        (UnitFile::Unread(why), _) => format!("systemd does not read the file: {why}"),
        (_, Manager::User) if manager == Manager::System => {
            "only the managers of users read the file".to_owned()
        }
        (_, Manager::System) if manager == Manager::User => "only PID 1 reads the file".to_owned(),
        (UnitFile::Fragment(unit), _) => format!("the file is for {unit} alone"),
        (UnitFile::DropIn(of), _) => match of.rsplit_once('.') {
            None => format!("the file is for units of the type {of}"),
            Some((stem, unit_type)) if stem.ends_with('-') && stem != "-" => {
                format!("the file is for each {unit_type} whose name begins with {stem}")
            }
            Some((stem, unit_type)) if stem.ends_with('@') => {
                format!("the file is for each instance of {stem}.{unit_type}")
            }
            Some(_) => format!("the file is for {of} alone"),
        },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::unit_file::{Node, with_slices};

    /// The mistakes that no file shows by itself.
    #[rstest]
    #[case::of_each_in_place_of_all(
        "ETC/user@.service.d/a.conf",
        "[Service]\nMemoryMax=4G",
        "2: the file is for each instance of user@.service"
    )]
    #[case::another_users(
        "ETC/user-1002.slice.d/a.conf",
        "[Slice]\nMemoryMax=4G",
        "2: the file is for user-1002.slice alone"
    )]
    #[case::a_name_with_its_type_twice(
        "ETC/user.slice.slice",
        "[Slice]\nMemoryMax=4G",
        "2: the file is for user.slice.slice alone"
    )]
    #[case::other_names(
        "ETC/users-.slice.d/a.conf",
        "[Slice]\nMemoryMax=4G",
        "2: the file is for each slice whose name begins with users-"
    )]
    #[case::a_file_for_nobody(
        "ETC/user-.slice",
        "[Slice]\nMemoryMax=4G",
        "2: systemd does not read the file: no slice can be called so"
    )]
    #[case::not_a_drop_in(
        "ETC/user-.slice.d/a.txt",
        "[Slice]\nMemoryMax=4G",
        "2: systemd does not read the file: a drop-in's name ends in .conf"
    )]
    #[case::of_another_manager(
        "/etc/systemd/user/slice.d/a.conf",
        "[Slice]\nMemoryMax=4G",
        "2: only the managers of users read the file"
    )]
    #[case::a_section_of_services(
        "ETC/user-.slice.d/a.conf",
        "[Service]\nMemoryMax=4G",
        "2: it stands in [Service]: a slice has its resource controls in [Slice]"
    )]
    #[case::a_value_that_is_none(
        "ETC/user-.slice.d/a.conf",
        "[Slice]\nMemoryMax=4GB",
        "2: systemd refuses it: `4GB` is not a size: systemd writes it 4G"
    )]
    #[case::a_misspelt_key(
        "ETC/user-.slice.d/a.conf",
        "[Slice]\nMemoryMaxx=4G",
        "2: systemd knows no such directive; MemoryMax is near"
    )]
    fn a_limit_that_does_not_act_is_found_with_the_reason(
        #[case] path: &str,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        let mut files = Files::default();
        files.insert(path.replace("ETC", "/etc/systemd/system"), Node::File(text.as_bytes().into()));
        let chain = with_slices(&files, Manager::System, &"user-1001.slice".parse().expect("a unit"));
        assert!(chain.iter().all(|unit| unit.value("MemoryMax").is_none()));
        let found = astray(&files, &chain, "MemoryMax");
        let told: Vec<_> = found.iter().map(|one| format!("{}: {}", one.place.line, one.why)).collect();
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    }

    #[test]
    fn a_cap_that_a_later_drop_in_takes_back_names_that_one() {
        let mut files = Files::default();
        for (name, value) in [("50-cap.conf", "4G"), ("90-late.conf", "")] {
            let text = format!("[Slice]\nMemoryMax={value}\n");
            files.insert(
                format!("/etc/systemd/system/user-.slice.d/{name}"),
                Node::File(text.as_bytes().into()),
            );
        }
        let chain = with_slices(&files, Manager::System, &"user-1001.slice".parse().expect("a unit"));
        let found = astray(&files, &chain, "MemoryMax");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].why, "/etc/systemd/system/user-.slice.d/90-late.conf:2 comes later");
    }
}
