//! The host's memory, swap, pressure and blocked tasks: `/proc` becomes one row of numbers.
//!
//! These counters include everybody on the machine. They say how the host felt, not who did it.
//!
//! Source: `proc_meminfo(5)`, `proc_vmstat(5)`, `proc_stat(5)`, kernel `Documentation/accounting/psi.rst`.

use std::io;
use std::path::{Path, PathBuf};

use crate::kernfile::KernFile;
use crate::metric::{self, Field, SubjectKind};

/// Holds `/proc/stat` of a machine with thousands of interrupts; only the part that the kernel fills is ever touched.
const BUFFER: usize = 256 * 1024;

/// Why the host could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {path}")]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    source: io::Error,
}

/// The files behind the metrics of the host, held open; those that this machine does not have are missing.
#[derive(Debug)]
pub struct HostReader {
    files: Vec<(Option<KernFile>, Vec<Field>)>,
    buffer: Vec<u8>,
}

impl HostReader {
    /// Opens the files below `root` (normally `/`).
    ///
    /// # Errors
    /// When a file exists and cannot be opened. A file that does not exist (no PSI) is no error.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let open = |(name, fields): (&str, _)| {
            let path = root.join(name.trim_start_matches('/'));
            match KernFile::open(&path) {
                Ok(file) => Ok((file, fields)),
                Err(source) => Err(Error { path, source }),
            }
        };
        let files = metric::files(SubjectKind::Host).into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { files, buffer: vec![0; BUFFER] })
    }

    /// Fills one value for each column of the host ([`metric::columns`]); allocates nothing. What cannot be read is `None`.
    ///
    /// # Panics
    /// When `row` is shorter than that.
    pub fn read(&mut self, row: &mut [Option<u64>]) {
        let mut rest = row;
        for (file, fields) in &self.files {
            let (cells, after) = rest.split_at_mut(fields.len());
            rest = after;
            let text =
                file.as_ref().and_then(|file| file.read_all(&mut self.buffer).ok()).unwrap_or_default();
            cells.iter_mut().zip(fields).for_each(|(cell, field)| *cell = field.value(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernfile::page_size;

    fn columns() -> impl Iterator<Item = &'static str> {
        metric::columns(SubjectKind::Host).map(|info| info.name)
    }

    fn proc_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("proc/pressure")).expect("mkdir");
        for (file, text) in files {
            std::fs::write(root.path().join("proc").join(file), text).expect("write");
        }
        root
    }

    fn known(root: &Path) -> Vec<(&'static str, u64)> {
        let mut row = vec![Some(99); columns().count()];
        HostReader::open(root).expect("open").read(&mut row);
        columns().zip(row).filter_map(|(name, value)| Some((name, value?))).collect()
    }

    #[test]
    fn each_value_lands_in_its_own_column() {
        let root = proc_with(&[
            (
                "meminfo",
                "MemTotal: 2000 kB\nMemFree: 1000 kB\nMemAvailable: 1500 kB\nSwapTotal: 512 kB\nSwapFree: 500 kB\n",
            ),
            ("vmstat", "pgmajfault 40\npswpin 1\npswpout 2\noom_kill 3\nzswpin 4\nzswpout 5\n"),
            ("stat", "cpu  1 2 3\nintr 9 0 0\nprocs_running 2\nprocs_blocked 7\n"),
            ("loadavg", "1.05 0.50 0.10 1/200 1234\n"),
            (
                "pressure/memory",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n",
            ),
            (
                "pressure/io",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=13\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=14\n",
            ),
            (
                "pressure/cpu",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=15\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            ),
        ]);
        let page = page_size();
        let expected = [1500 * 1024, 1000 * 1024, 2000 * 1024, 12 * 1024, 7 * page, 5 * page, 3, 40]
            .into_iter()
            .chain([11, 12, 13, 14, 15, 7, 105]);
        assert_eq!(known(root.path()), columns().zip(expected).collect::<Vec<_>>());
    }

    #[test]
    fn a_host_without_pressure_and_zswap_leaves_them_unknown() {
        let root = proc_with(&[("vmstat", "pswpin 0\npswpout 2\n"), ("meminfo", "MemTotal: 1 kB\n")]);
        assert_eq!(
            known(root.path()),
            [("memory.total", 1024), ("swap.out", 2 * page_size()), ("swap.in", 0)]
        );
    }

    #[test]
    fn the_last_line_of_a_very_long_stat_is_found() {
        let stat = format!("intr 1{}\nprocs_blocked 3\n", " 0".repeat(50_000));
        assert_eq!(known(proc_with(&[("stat", &stat)]).path()), [("procs.blocked", 3)]);
    }
}
