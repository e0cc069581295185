//! Keys → directories that are built once and shared by every run on the machine.
//!
//! An entry appears by a rename when it is complete, is built by one process at a time, and stays as long as somebody
//! holds it. Scratch directories belong to one run; those of runs that died are removed by the next.

use std::env;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::LabError;
use crate::event::{Event, Listener};

/// How many entries of a kind outlive a newer one: switching between two versions of the source builds nothing anew.
const KEEP: usize = 2;

/// The cache directory.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// An entry that nobody removes while this exists.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    _lock: File,
}

impl Held {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether an entry was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Cached,
    Built,
}

impl Cache {
    /// `$BULKHEAD_CACHE`, `$XDG_CACHE_HOME/bulkhead` or `~/.cache/bulkhead`.
    pub(crate) fn open() -> Result<Self, LabError> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("BULKHEAD_CACHE")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("bulkhead")))
            .or_else(|| Some(set("HOME")?.join(".cache/bulkhead")))
            .ok_or(LabError::NoCache)?;
        Self::at(&root)
    }

    /// A cache in a given directory.
    pub(crate) fn at(root: &Path) -> Result<Self, LabError> {
        fs::create_dir_all(root.join("run")).map_err(LabError::file("create", root))?;
        // Paths in it are handed to QEMU, which runs elsewhere.
        let root = root.canonicalize().map_err(LabError::file("find", root))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The entry `KIND-KEY`; built by `build` into the directory it is given if it is not there.
    pub(crate) fn obtain(
        &self,
        kind: &str,
        key: &str,
        on: Listener<'_>,
        build: impl FnOnce(&Path) -> Result<(), LabError>,
    ) -> Result<(Held, Found), LabError> {
        let entry = format!("{kind}-{key}");
        let path = self.root.join(&entry);
        let lock_path = self.root.join(format!("{entry}.lock"));
        let lock = File::create(&lock_path).map_err(LabError::file("create", &lock_path))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock_shared() {
            on(Event::Waiting { entry: &entry });
            lock.lock_shared().map_err(LabError::file("lock", &lock_path))?;
        }
        if path.is_dir() {
            // Its age is the time of its last use.
            let _ = lock.set_modified(SystemTime::now());
            return Ok((Held { path, _lock: lock }, Found::Cached));
        }
        lock.unlock().map_err(LabError::file("unlock", &lock_path))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            on(Event::Waiting { entry: &entry });
            lock.lock().map_err(LabError::file("lock", &lock_path))?;
        }
        let found = if path.is_dir() {
            Found::Cached
        } else {
            self.build(&entry, &path, build)?;
            Found::Built
        };
        // flock turns an exclusive lock into a shared one by letting go for a moment. Nobody removes the entry in it:
        // it is the newest of its kind.
        lock.lock_shared().map_err(LabError::file("lock", &lock_path))?;
        self.forget_old(kind, &entry);
        Ok((Held { path, _lock: lock }, found))
    }

    fn build(
        &self,
        entry: &str,
        path: &Path,
        build: impl FnOnce(&Path) -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        // The lock is ours, so what lies here is the rest of a build that was interrupted.
        let unfinished = self.root.join(format!(".{entry}"));
        remove(&unfinished)?;
        fs::create_dir(&unfinished).map_err(LabError::file("create", &unfinished))?;
        let built = build(&unfinished)
            .and_then(|()| fs::rename(&unfinished, path).map_err(LabError::file("rename", &unfinished)));
        if built.is_err() {
            remove(&unfinished)?;
        }
        built
    }

    /// Removes the oldest entries of a kind that nobody holds. What cannot be removed now stays for the next time.
    fn forget_old(&self, kind: &str, current: &str) {
        let Ok(files) = fs::read_dir(&self.root) else { return };
        let mut old: Vec<_> = files
            .filter_map(|file| {
                let file = file.ok()?;
                let name = file.file_name().into_string().ok()?;
                let entry = name.strip_suffix(".lock")?.to_owned();
                let of_this_kind = entry.strip_prefix(kind)?.starts_with('-');
                let is_old = of_this_kind && entry != current && self.root.join(&entry).is_dir();
                is_old.then_some((file.metadata().ok()?.modified().ok()?, entry))
            })
            .collect();
        old.sort();
        old.reverse();
        for (_, entry) in old.into_iter().skip(KEEP - 1) {
            let lock_path = self.root.join(format!("{entry}.lock"));
            // The empty lock file stays: somebody may have opened it to build the entry anew.
            if let Ok(lock) = File::open(&lock_path)
                && lock.try_lock().is_ok()
            {
                let _ = fs::remove_dir_all(self.root.join(&entry));
            }
        }
    }

    /// A directory for one machine, gone with the value, or with the next [`sweep`](Self::sweep) after a `kill -9`.
    pub(crate) fn scratch(&self) -> Result<Scratch, LabError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Two containers that share the cache may both have this process id.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let name = format!("{}-{}-{now:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = self.root.join("run").join(&name);
        let lock_path = path.with_extension("lock");
        // The lock comes first: a directory without one does not exist at any time.
        let lock = loop {
            let lock = File::create(&lock_path).map_err(LabError::file("create", &lock_path))?;
            lock.lock().map_err(LabError::file("lock", &lock_path))?;
            // Somebody who sweeps may have come in between, and removed the file.
            if lock.metadata().map(|held| held.ino()).ok()
                == lock_path.metadata().map(|there| there.ino()).ok()
            {
                break lock;
            }
        };
        fs::create_dir(&path).map_err(LabError::file("create", &path))?;
        Ok(Scratch { path, lock_path, _lock: lock })
    }

    /// Removes the scratch directories of runs that are no more.
    pub(crate) fn sweep(&self) -> Result<(), LabError> {
        let run = self.root.join("run");
        for file in fs::read_dir(&run).map_err(LabError::file("list", &run))? {
            let lock_path = file.map_err(LabError::file("list", &run))?.path();
            let is_lock = lock_path.extension().is_some_and(|extension| extension == "lock");
            // The kernel lets go of a dead owner's lock.
            if is_lock
                && let Ok(lock) = File::open(&lock_path)
                && lock.try_lock().is_ok()
            {
                remove(&lock_path.with_extension(""))?;
                let _ = fs::remove_file(&lock_path);
            }
        }
        Ok(())
    }
}

/// A directory of one machine.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is swept by the next run.
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn remove(path: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        (directory, cache)
    }

    fn write(path: &Path) -> Result<(), LabError> {
        fs::write(path.join("file"), "built").map_err(LabError::file("write", path))
    }

    #[test]
    fn an_entry_is_built_once_also_by_two_at_a_time() {
        let (_directory, cache) = cache();
        let builds = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (held, _) = cache
                        .obtain("base-trixie", "1", &|_| {}, |path| {
                            builds.fetch_add(1, Ordering::Relaxed);
                            write(path)
                        })
                        .unwrap();
                    assert_eq!(fs::read_to_string(held.path().join("file")).unwrap(), "built");
                });
            }
        });
        assert_eq!(builds.into_inner(), 1);
        assert_eq!(cache.obtain("base-trixie", "1", &|_| {}, write).unwrap().1, Found::Cached);
    }

    #[test]
    fn a_build_that_fails_leaves_no_entry() {
        let (directory, cache) = cache();
        let failed = cache.obtain("base", "1", &|_| {}, |path| {
            write(path)?;
            Err(LabError::NoCache)
        });
        assert!(matches!(failed, Err(LabError::NoCache)));
        assert!(!directory.path().join("base-1").exists());
        assert!(!directory.path().join(".base-1").exists());
        assert_eq!(cache.obtain("base", "1", &|_| {}, write).unwrap().1, Found::Built);
    }

    #[test]
    fn old_entries_go_except_the_last_one_and_those_in_use() {
        let (directory, cache) = cache();
        let in_use = cache.obtain("base", "1", &|_| {}, write).unwrap();
        for key in ["2", "3", "4"] {
            drop(cache.obtain("base", key, &|_| {}, write).unwrap());
        }
        drop(cache.obtain("base-of-other-kind", "1", &|_| {}, write).unwrap());
        let left: Vec<_> = ["1", "2", "3", "4"]
            .into_iter()
            .filter(|key| directory.path().join(format!("base-{key}")).exists())
            .collect();
        assert_eq!(left, ["1", "3", "4"]);
        drop(in_use);
        assert!(directory.path().join("base-of-other-kind-1").exists());
    }

    #[test]
    fn scratch_goes_with_its_owner_and_that_of_a_dead_one_is_swept() {
        let (directory, cache) = cache();
        let alive = cache.scratch().unwrap();
        let dropped = cache.scratch().unwrap().path().to_owned();
        assert!(!dropped.exists());

        let dead = directory.path().join("run/1-0");
        fs::create_dir(&dead).unwrap();
        File::create(directory.path().join("run/1-0.lock")).unwrap();
        cache.sweep().unwrap();
        assert!(!dead.exists());
        assert!(alive.path().exists());
    }
}
