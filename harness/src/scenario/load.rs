//! Paths → scenarios: single files and whole directories.

use std::path::{Path, PathBuf};

use super::Scenario;
use crate::notation::suggest::nearest;
use crate::reading::diagnostic::{Diagnostic, Invalid};

/// Why scenarios could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or directory could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the files say is wrong.
    #[error("{0}")]
    Invalid(Invalid),
    /// Two files have the same name, which is the id of both.
    #[error("{}", twice(id, first, second))]
    Twice {
        /// The id.
        id: String,
        /// The file that came first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// No file has that name.
    #[error("there is no scenario `{name}` in {}{}", directory.display(), did_you_mean(.near.as_deref()))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
        /// The nearest name that is there.
        near: Option<String>,
    },
}

impl LoadError {
    /// The places in files that are wrong; empty when the file could not be read at all.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid(invalid) => &invalid.diagnostics,
            Self::Read { .. } | Self::Twice { .. } | Self::Unknown { .. } => &[],
        }
    }
}

fn twice(id: &str, first: &Path, second: &Path) -> String {
    if first == second {
        return format!("{} is selected twice: name it once, `run --runs 2` runs it twice", first.display());
    }
    format!(
        "two scenarios are called `{id}`: {} and {}; their records and reports could not be told apart: rename one, or \
         select one",
        first.display(),
        second.display()
    )
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

pub(super) fn load(path: &Path) -> Result<Scenario, LoadError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    Scenario::parse(&path.to_string_lossy(), &text).map_err(LoadError::Invalid)
}

/// Loads files, and for each directory all its `*.toml` files in order of their names. Directories inside, such as
/// `policies`, are not entered.
///
/// # Errors
/// The first file that cannot be read, two of one name, otherwise everything that is wrong in all of them at once.
pub fn load_all<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Scenario>, LoadError> {
    let mut all = Vec::new();
    for path in paths {
        let path = path.as_ref();
        all.extend(if path.is_dir() { files(path)? } else { vec![path.to_owned()] });
    }
    each_name_once(&all)?;
    let mut scenarios = Vec::new();
    let mut diagnostics = Vec::new();
    for file in all {
        match load(&file) {
            Ok(scenario) => scenarios.push(scenario),
            Err(LoadError::Invalid(invalid)) => diagnostics.extend(invalid.diagnostics),
            Err(error) => return Err(error),
        }
    }
    if diagnostics.is_empty() { Ok(scenarios) } else { Err(LoadError::Invalid(Invalid { diagnostics })) }
}

/// The name of a file is the id of its scenario, wherever it lies.
fn each_name_once(files: &[PathBuf]) -> Result<(), LoadError> {
    for (index, second) in files.iter().enumerate() {
        if let Some(first) = files[..index].iter().find(|first| first.file_stem() == second.file_stem()) {
            let id = second.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Err(LoadError::Twice { id, first: first.clone(), second: second.clone() });
        }
    }
    Ok(())
}

/// Loads the scenarios of `directory` that `names` selects, in the order of the names. A name is an id
/// (`hard-cap-kill`), or a path to a file, which need not be in the directory. No names select all.
///
/// # Errors
/// A name that no file has, and everything that [`load_all`] reports.
pub fn find<S: AsRef<str>>(directory: &Path, names: &[S]) -> Result<Vec<Scenario>, LoadError> {
    if names.is_empty() {
        return load_all(&[directory]);
    }
    let paths: Result<Vec<_>, _> = names.iter().map(|name| path_of(directory, name.as_ref())).collect();
    load_all(&paths?)
}

fn path_of(directory: &Path, name: &str) -> Result<PathBuf, LoadError> {
    let as_path = Path::new(name);
    if as_path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(as_path.to_owned());
    }
    let known = files(directory)?;
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if let Some(path) = known.iter().find(|path| stem(path).as_deref() == Some(name)) {
        return Ok(path.clone());
    }
    let names: Vec<_> = known.iter().filter_map(stem).collect();
    let near = nearest(name, names.iter().map(String::as_str));
    Err(LoadError::Unknown { name: name.to_owned(), directory: directory.to_owned(), near })
}

/// The `*.toml` files of a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |source| LoadError::Read { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_scenario_finds_its_neighbour() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("hard-cap-kill.toml"), "").unwrap();
        let error = find(directory.path(), &["hard-cap-kil"]).unwrap_err();
        assert!(error.to_string().ends_with("did you mean `hard-cap-kill`?"), "{error}");
    }

    #[test]
    fn the_problems_of_all_files_come_at_once() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.toml", "b.toml", "not-a-scenario.txt"] {
            std::fs::write(directory.path().join(name), "schema = \"x\"").unwrap();
        }
        let error = load_all(&[directory.path()]).unwrap_err();
        let mut paths: Vec<_> = error.diagnostics().iter().map(|problem| &*problem.source.path).collect();
        paths.dedup();
        assert_eq!(paths.len(), 2, "{error}");
    }

    #[test]
    fn two_files_of_one_name_are_both_named() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a/same.toml", "b/same.toml"].map(|path| directory.path().join(path));
        for path in &paths {
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let error = load_all(&paths).unwrap_err().to_string();
        assert!(error.starts_with("two scenarios are called `same`: "), "{error}");
        assert!(paths.iter().all(|path| error.contains(&path.display().to_string())), "{error}");
        let same = load_all(&[&paths[0], &paths[0]]).unwrap_err().to_string();
        assert!(
            same.ends_with("a/same.toml is selected twice: name it once, `run --runs 2` runs it twice"),
            "{same}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load_all(&["/nowhere/x.toml"]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/x.toml");
        assert!(error.diagnostics().is_empty());
    }
}
