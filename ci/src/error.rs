//! What keeps a guest from being ready. Everything here is trouble of the VM and says nothing about any scenario.

use std::io;
use std::path::{Path, PathBuf};

use crate::vm::VmError;

/// Why there is no lab, or no clone.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program that builds or runs the guest is not installed.
    #[error("{program} is not installed; run `ci/install`")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// A program that builds the guest failed.
    #[error("{program} failed ({status}) while building the {step}:\n{output}")]
    Tool {
        /// Its name.
        program: &'static str,
        /// What it was to make.
        step: &'static str,
        /// Its exit status.
        status: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The package's kernel image is not one that can be unpacked.
    #[error("cannot unpack the kernel image {path}: {why}", path = path.display())]
    Kernel {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The static programs of the guest are not built.
    #[error("there is no {program} in {directory}; build it with `cargo build --release -p ci`, or name its directory in BULKHEAD_BIN_DIR", directory = directory.display())]
    Program {
        /// "agent" or "init".
        program: &'static str,
        /// The last place looked in.
        directory: PathBuf,
    },
    /// QEMU does not say which version it is.
    #[error("cannot parse QEMU's version: {0:?}")]
    QemuVersion(String),
    /// No cache directory can be made out.
    #[error("no place for the cache: set BULKHEAD_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
    /// The guest failed while it booted or was frozen, twice in a row.
    #[error("the VM failed, not what is under test: {stage} failed")]
    Vm {
        /// "boot", "template" or "clone".
        stage: &'static str,
        /// How.
        source: VmError,
    },
    /// The guest came up, but not as the recipe promises.
    #[error("the VM failed, not what is under test: the guest is not healthy after boot: {0}")]
    Unhealthy(String),
    /// A command of an installation failed; nothing of it is kept.
    #[error("{command} failed in the guest ({exit}) while {name} was installed:\n{output}")]
    Install {
        /// What is installed.
        name: String,
        /// The command, as its words.
        command: String,
        /// How it ended.
        exit: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A tar for a clone is larger than the disk it travels on.
    #[error("{path} has {bytes} bytes; at most {limit} fit on the disk for files", path = path.display())]
    FilesTooLarge {
        /// The tar.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The disk's size.
        limit: u64,
    },
}

impl LabError {
    /// For `map_err`: what was tried, with which file.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// For `map_err`: at which stage a machine failed.
    pub(crate) fn vm(stage: &'static str) -> impl FnOnce(VmError) -> Self {
        move |source| Self::Vm { stage, source }
    }
}
