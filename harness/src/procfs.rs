//! The host's memory, swap, pressure and blocked tasks: `/proc` becomes one row of numbers.
//!
//! These counters include everybody on the machine. They say how the host felt, not who did it.
//!
//! Source: `proc_meminfo(5)`, `proc_vmstat(5)`, `proc_stat(5)`, kernel `Documentation/accounting/psi.rst`.

use std::io;
use std::path::{Path, PathBuf};

use crate::kernfile::{self, KernFile};
use crate::psi;

/// The metrics of the host in the order in which [`HostReader::read`] fills a row. Bytes for `memory.*` and `swap.*`;
/// microseconds since boot for `pressure.*`; hundredths for `load.1`; `procs.blocked` is a number of tasks; the others are
/// counts since boot, as are `swap.out` and `swap.in`, in bytes, which include what zswap took.
pub const COLUMNS: &[&str] = &[
    "memory.available",
    "memory.free",
    "memory.total",
    "swap.used",
    "swap.out",
    "swap.in",
    "oom_kill",
    "pgmajfault",
    "pressure.memory.some",
    "pressure.memory.full",
    "pressure.io.some",
    "pressure.io.full",
    "pressure.cpu.some",
    "procs.blocked",
    "load.1",
];

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

/// The files of `/proc` behind [`COLUMNS`], held open.
#[derive(Debug)]
pub struct HostReader {
    meminfo: Option<KernFile>,
    vmstat: Option<KernFile>,
    stat: Option<KernFile>,
    loadavg: Option<KernFile>,
    /// memory, io, cpu.
    pressure: [Option<KernFile>; 3],
    page_size: u64,
    buffer: Vec<u8>,
}

impl HostReader {
    /// Opens the files below `root` (normally `/`).
    ///
    /// # Errors
    /// When a file exists and cannot be opened. A file that does not exist (no PSI) is no error.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let proc = root.join("proc");
        let file = |name: &str| {
            let path = proc.join(name);
            KernFile::open(&path).map_err(|source| Error { path, source })
        };
        Ok(Self {
            meminfo: file("meminfo")?,
            vmstat: file("vmstat")?,
            stat: file("stat")?,
            loadavg: file("loadavg")?,
            pressure: [file("pressure/memory")?, file("pressure/io")?, file("pressure/cpu")?],
            page_size: page_size(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Fills one value for each of [`COLUMNS`]; allocates nothing. What cannot be read is `None`.
    ///
    /// # Panics
    /// When `row` is shorter than [`COLUMNS`].
    pub fn read(&mut self, row: &mut [Option<u64>]) {
        let row = &mut row[..COLUMNS.len()];
        row.fill(None);
        let [available, free, total, used] = self.memory();
        row[..4].copy_from_slice(&[available, free, total, used]);
        let [out, into, kills, faults] = self.vmstat();
        row[4..8].copy_from_slice(&[out, into, kills, faults]);
        for (index, file) in self.pressure.iter().enumerate() {
            let pressure = psi::parse(text(file.as_ref(), &mut self.buffer));
            let at = 8 + 2 * index;
            row[at] = pressure.some.map(|stall| stall.total_us);
            // `full` of cpu is always 0 for the whole machine, and no column.
            if at < 12 {
                row[at + 1] = pressure.full.map(|stall| stall.total_us);
            }
        }
        let mut blocked = [None];
        kernfile::keyed(text(self.stat.as_ref(), &mut self.buffer), &["procs_blocked"], &mut blocked);
        row[13] = blocked[0];
        let load = text(self.loadavg.as_ref(), &mut self.buffer).split(|byte| *byte == b' ').next();
        row[14] = load.and_then(psi::centi).map(u64::from);
    }

    /// Available, free, total, swap used; in bytes.
    fn memory(&mut self) -> [Option<u64>; 4] {
        const KEYS: &[&str] = &["MemAvailable", "MemFree", "MemTotal", "SwapTotal", "SwapFree"];
        let mut kib = [None; KEYS.len()];
        kernfile::keyed(text(self.meminfo.as_ref(), &mut self.buffer), KEYS, &mut kib);
        let [available, free, total, swap_total, swap_free] =
            kib.map(|kib| kib.and_then(|kib: u64| kib.checked_mul(1024)));
        let used = swap_total.zip(swap_free).and_then(|(total, free)| total.checked_sub(free));
        [available, free, total, used]
    }

    /// Swapped out, swapped in (bytes), OOM kills, major faults.
    fn vmstat(&mut self) -> [Option<u64>; 4] {
        const KEYS: &[&str] = &["pswpout", "zswpout", "pswpin", "zswpin", "oom_kill", "pgmajfault"];
        let mut counts = [None; KEYS.len()];
        kernfile::keyed(text(self.vmstat.as_ref(), &mut self.buffer), KEYS, &mut counts);
        let [out, zswap_out, into, zswap_in, kills, faults] = counts;
        // Pages that zswap takes never reach pswpout; a kernel built without zswap has no such counter.
        let bytes = |pages: Option<u64>, zswap: Option<u64>| {
            pages?.checked_add(zswap.unwrap_or(0))?.checked_mul(self.page_size)
        };
        [bytes(out, zswap_out), bytes(into, zswap_in), kills, faults]
    }
}

fn text<'b>(file: Option<&KernFile>, buffer: &'b mut [u8]) -> &'b [u8] {
    file.and_then(|file| file.read_all(buffer).ok()).unwrap_or_default()
}

/// Bytes in a page of this machine.
pub(crate) fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("proc/pressure")).expect("mkdir");
        for (file, text) in files {
            std::fs::write(root.path().join("proc").join(file), text).expect("write");
        }
        root
    }

    fn known(root: &Path) -> Vec<(&'static str, u64)> {
        let mut row = vec![Some(99); COLUMNS.len()];
        HostReader::open(root).expect("open").read(&mut row);
        COLUMNS.iter().zip(row).filter_map(|(name, value)| value.map(|value| (*name, value))).collect()
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
        assert_eq!(known(root.path()), COLUMNS.iter().copied().zip(expected).collect::<Vec<_>>());
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
