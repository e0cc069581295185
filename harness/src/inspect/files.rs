//! The directories of units of PID 1 → what lies in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::readback::Found;
use crate::unit_file::Manager;

/// No unit file is larger.
const LARGEST: u64 = 1 << 20;

/// Units and drop-ins, by their paths. What cannot be read is not there.
pub(super) fn unit_files() -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    for directory in Manager::System.directories().iter().map(Path::new) {
        // `/lib` is a link on a merged system: its units are those of `/usr/lib`.
        if fs::canonicalize(directory).is_ok_and(|real| real == directory) {
            read(directory, &mut found);
        }
    }
    found
}

fn read(directory: &Path, found: &mut BTreeMap<String, Found>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let (Some(name), Ok(kind)) = (path.to_str(), entry.file_type()) else { continue };
        if kind.is_dir() {
            if name.ends_with(".d") {
                read(&path, found);
            }
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map(|target| target.to_string_lossy().into_owned());
            found.extend(target.map(|target| (name.to_owned(), Found::Link(target))));
        } else if entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST) {
            let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            found.extend(text.map(|text| (name.to_owned(), Found::Text(text))));
        }
    }
}
