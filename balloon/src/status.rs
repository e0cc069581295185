//! The status page: what an actor tells its harness, in one 4096-byte page of shared memory.
//!
//! The harness creates the page as a file on tmpfs, the actor maps the same file, and because the file
//! outlives the mapping, the last words of an actor are readable after its SIGKILL. All cells are atomics, so
//! neither side locks, waits for or allocates on behalf of the other. Cells are read one by one: a snapshot of
//! a living actor is not one instant, and nothing here pretends it is. Nothing here judges the numbers.
//!
//! # Layout, version 1 (little endian; offsets in bytes; times are `CLOCK_MONOTONIC` in nanoseconds)
//!
//! | offset | cell | meaning |
//! |---|---|---|
//! | 0 | `magic` u64 | `BHSTATUS` |
//! | 8 | `version` u32 | 1 |
//! | 12 | `kind` u32 | see [`Kind`] |
//! | 16 | `pid` u32 | the actor's own pid, in its pid namespace |
//! | 20 | `phase` u32 | see [`Phase`] |
//! | 24 | `release` u32 | futex word: 0 = wait, 1 = go |
//! | 28 | `errno` u32 | of the last failure, 0 = none |
//! | 32 | `touched` u64 | bytes held by the actor's own account |
//! | 40 | `total` u64 | bytes it means to hold |
//! | 48 | `steps` u64 | finished pieces of work |
//! | 56, 64, 72 | `step_last_ns`, `step_max_ns`, `step_recent_max_ns` u64 | how long steps took; recent = the last 1 to 2 s |
//! | 80 | `step_started_ns` u64 | when the step in progress began, 0 = between steps |
//! | 88 | `wakeups` u64 | returns from sleep |
//! | 96, 104 | `minor_faults`, `major_faults` u64 | `getrusage` |
//! | 112 | `started_ns` u64 | when work began (after the release) |
//! | 120 | `reached_ns` u64 | when `total` was first held, 0 = not yet |
//! | 128 | `updated_ns` u64 | last sign of life |
//! | 136 | `gap_max_ns` u64 | largest value ever put into `gaps` |
//! | 144 | `gaps` 64 × u64 | see [`Histogram`]: lateness of wake-ups (bystanders), duration of steps (balloon) |
//! | 656 | `accepted` u64 | connections answered |
//! | 664 | `resident_checked` u64 | bytes the kernel says are resident, at the last self-check |
//! | 672, 676, 680 | `children`, `children_ended`, `children_killed` u32 | processes forked, ended by themselves, ended by a signal |
//! | 684 | `port` u32 | TCP port that is listened on |
//! | 688 | `pids` 64 × u32 | pids of the children |
//! | 944 | `touched_by` 64 × u64 | `touched`, child by child; kept after a child's death |
//! | 1456 | `text` 256 × u8 | last error, UTF-8, zero-padded |
//! | 1712 | | zero up to 4096 |

mod histogram;
mod layout;
mod page;

pub use histogram::{BUCKETS, Histogram, bound, bucket};
pub use layout::{CHILDREN, Kind, Phase, Snapshot, TEXT};
pub use page::{DecodeError, Page, PageError, decode, encode, read};

/// Bytes of a status page, on every machine.
pub const PAGE_SIZE: usize = 4096;

/// First eight bytes of a status page.
pub const MAGIC: u64 = u64::from_le_bytes(*b"BHSTATUS");

/// The layout that this crate reads and writes.
pub const VERSION: u32 = 1;
