//! The throwaway systemd VM of bulkhead: a pristine Debian guest for every scenario, in a quarter of a second.
//!
//! [`Lab::prepare`] builds an image from distribution packages, boots it once, waits until it has settled and freezes
//! it. [`Lab::spawn`] clones that machine into a fresh QEMU; clones run side by side and see nothing of each other.
//! There is no network. Everything that lasts is in the cache directory (`$BULKHEAD_CACHE`, else
//! `$XDG_CACHE_HOME/bulkhead`, else `~/.cache/bulkhead`); QEMU ends with this process, also when that is killed.
//!
//! ```no_run
//! use ci::{CloneOptions, Command, Exit, Guest, Lab};
//!
//! let lab = Lab::prepare(Guest::Trixie, &|event| eprintln!("{event:?}"))?;
//! let mut options = CloneOptions::new("demo");
//! options.files = Some("files.tar".into());            // unpacked at / before spawn returns
//! let vm = lab.spawn(&options)?;
//!
//! let exit = vm.exec(&Command::new("systemctl").arg("is-system-running"), &mut |stream, bytes| {
//!     eprintln!("{stream:?}: {}", String::from_utf8_lossy(bytes));
//! })?;
//! assert_eq!(exit, Exit::Code(0));
//! let (exit, output) = vm.output(&Command::sh("swapon /dev/vdc && cat /proc/swaps"))?;
//!
//! let mut background = vm.start(&Command::new("sleep").arg("60"))?;
//! background.kill(nix::sys::signal::Signal::SIGTERM)?;
//! assert_eq!(background.wait(&mut |_, _| {})?, Exit::Signal(15));
//!
//! vm.fetch("/var/log".as_ref(), "logs".as_ref())?;    // a directory, verified
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In the guest
//!
//! | what | where |
//! |---|---|
//! | root disk; writes are private to the clone | `/dev/vda`, ext4, 4 GiB |
//! | the tar of [`CloneOptions::files`] | `/dev/vdb`, read-only |
//! | swap device of 1 GiB, formatted and off: `swapon /dev/vdc` | `/dev/vdc` |
//! | memory and processors | 2 GiB, 2 (1 under emulation on a QEMU before 10) |
//! | a word that this machine may be hurt | `/etc/bulkhead/host.toml` |
//! | running | systemd, dbus, logind, journald (volatile), systemd-oomd, ssh (`ssh root@127.0.0.1` works) |
//! | installed, to be started by a scenario | `earlyoom.service`, `docker.service` |
//! | not there | udev (so no `.device` units), network, timers |

mod accel;
mod agent;
mod cache;
mod console;
pub mod digest;
mod error;
mod event;
mod guest;
mod image;
mod lab;
mod process;
mod qemu;
mod qmp;
mod snapshot;
mod vm;
pub mod wire;

pub use accel::Verdict;
pub use error::LabError;
pub use event::{Event, Listener};
pub use guest::{Guest, UnknownGuest};
pub use lab::{CloneOptions, Installation, Lab};
pub use qemu::{Accelerator, MACHINE_BYTES, MEMORY_BYTES};
pub use qmp::QmpError;
pub use vm::{Command, HostShare, PULSE_DEADLINE, Running, Teller, Vm, VmError};
pub use wire::{Exit, Stream};
