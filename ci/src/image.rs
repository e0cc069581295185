//! A recipe → a disk, a kernel and an initrd to boot, kept in the cache.
//!
//! Two steps with a key each: the distribution's packages (half a minute) depend on the package list and the suite;
//! the disk (two seconds) on those and on the files of this project, so that a new agent does not cost a new
//! bootstrap. Nothing in here starts a machine.

mod base;
mod initrd;
mod kernel;
mod programs;
mod recipe;
mod rootfs;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cache::{Cache, Found, Held};
use crate::digest::Digest;
use crate::event::{Event, Listener};
use crate::{Guest, LabError};

use programs::Programs;
use recipe::Recipe;

/// A bootable guest on disk.
#[derive(Debug)]
pub(crate) struct Image {
    entry: Held,
    /// Tells this disk from every other one, also from those of the same recipe.
    pub(crate) build: String,
}

impl Image {
    /// The image of a guest, from the cache or built.
    pub(crate) fn obtain(cache: &Cache, guest: Guest, on: Listener<'_>) -> Result<Self, LabError> {
        let start = Instant::now();
        let recipe = Recipe::of(guest);
        let programs = Programs::find()?;
        let key = Digest::new().field(recipe.key()).field(programs.key()?).to_string();
        let (entry, found) = cache.obtain(&format!("base-{guest}"), &key, on, |into| {
            let (packages, _) =
                cache.obtain(&format!("rootfs-{guest}"), &recipe.packages_key(), on, |into| {
                    rootfs::build(&recipe, into, on)
                })?;
            base::build(&recipe, &programs, packages.path(), into, on)
        })?;
        on(Event::ImageReady { guest, cached: found == Found::Cached, took: start.elapsed() });
        let build = entry.path().join("build");
        let build = fs::read_to_string(&build).map_err(LabError::file("read", &build))?;
        Ok(Self { entry, build })
    }

    /// The directory that all entries of the cache are in.
    pub(crate) fn parent(&self) -> &Path {
        self.entry.path().parent().unwrap_or(Path::new("/"))
    }

    /// The root file system: raw, never written to.
    pub(crate) fn disk(&self) -> PathBuf {
        self.entry.path().join("disk.raw")
    }

    /// The uncompressed kernel with its PVH entry point.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.entry.path().join("vmlinux")
    }

    pub(crate) fn initrd(&self) -> PathBuf {
        self.entry.path().join("initrd")
    }

    /// The first page of a swap device.
    pub(crate) fn swap_header(&self) -> PathBuf {
        self.entry.path().join("swap-header")
    }
}

/// The guest's kernel command line.
pub(crate) fn kernel_arguments() -> String {
    recipe::kernel_arguments()
}
