//! The cells of the status page, once as atomics ([`Fields`]) and once as plain values ([`Snapshot`]), made from
//! one list so that the two cannot drift apart. Does not map, open or check anything.

use super::histogram::{BUCKETS, Histogram};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Children that fit in the page.
pub const CHILDREN: usize = 64;
/// Bytes of error text that fit in the page.
pub const TEXT: usize = 256;

/// An atomic, or an array of them, and its plain twin.
trait Cell {
    type Plain: Copy;
    fn get(&self) -> Self::Plain;
    fn put(&self, value: Self::Plain);
}

macro_rules! cell {
    ($($atomic:ty => $plain:ty),*) => { $(
        impl Cell for $atomic {
            type Plain = $plain;
            fn get(&self) -> $plain { self.load(Relaxed) }
            fn put(&self, value: $plain) { self.store(value, Relaxed); }
        }
    )* };
}
cell!(AtomicU8 => u8, AtomicU32 => u32, AtomicU64 => u64);

impl<A: Cell, const N: usize> Cell for [A; N] {
    type Plain = [A::Plain; N];
    fn get(&self) -> Self::Plain {
        std::array::from_fn(|index| self[index].get())
    }
    fn put(&self, values: Self::Plain) {
        self.iter().zip(values).for_each(|(cell, value)| cell.put(value));
    }
}

macro_rules! page {
    ($($(#[$doc:meta])+ $name:ident: $plain:ty = $cell:ty,)*) => {
        /// The page as it lies in shared memory.
        #[derive(Debug)]
        #[repr(C)]
        pub(crate) struct Fields { $(pub(crate) $name: $cell,)* }

        /// The page as plain values, copied cell by cell. Taking one allocates nothing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Snapshot { $($(#[$doc])+ pub $name: $plain,)* }

        impl Fields {
            pub(crate) fn load(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)* }
            }

            pub(crate) fn store(&self, snapshot: &Snapshot) {
                $(self.$name.put(snapshot.$name);)*
            }
        }
    };
}

page! {
    /// [`super::MAGIC`].
    magic: u64 = AtomicU64,
    /// [`super::VERSION`].
    version: u32 = AtomicU32,
    /// Number of a [`Kind`]; 0 until the actor has opened the page.
    kind: u32 = AtomicU32,
    /// The actor's pid as it sees itself.
    pid: u32 = AtomicU32,
    /// Number of a [`Phase`].
    phase: u32 = AtomicU32,
    /// Futex word: 1 lets the actor go.
    release: u32 = AtomicU32,
    /// `errno` of the last failure; 0 = none.
    errno: u32 = AtomicU32,
    /// Bytes held by the actor's own account.
    touched: u64 = AtomicU64,
    /// Bytes it means to hold.
    total: u64 = AtomicU64,
    /// Finished pieces of work: chunks touched, beats, fsyncs, reads, forks.
    steps: u64 = AtomicU64,
    /// Duration of the last step in ns. With several processes: of the one that stepped last.
    step_last_ns: u64 = AtomicU64,
    /// Longest step in ns.
    step_max_ns: u64 = AtomicU64,
    /// Longest step of the last 1 to 2 s in ns. With several processes: of the one that stepped last.
    step_recent_max_ns: u64 = AtomicU64,
    /// When the step in progress began; 0 = between steps. A throttled actor stands inside a step for seconds.
    step_started_ns: u64 = AtomicU64,
    /// Returns from sleep.
    wakeups: u64 = AtomicU64,
    /// Page faults without I/O, as counted by `getrusage(2)`.
    minor_faults: u64 = AtomicU64,
    /// Page faults that waited for I/O.
    major_faults: u64 = AtomicU64,
    /// When work began, after the release; 0 = not yet.
    started_ns: u64 = AtomicU64,
    /// When `total` was first held; 0 = not yet.
    reached_ns: u64 = AtomicU64,
    /// Last sign of life.
    updated_ns: u64 = AtomicU64,
    /// The largest value ever counted in `gaps`.
    gap_max_ns: u64 = AtomicU64,
    /// Counts by [`super::bucket`].
    gaps: [u64; BUCKETS] = [AtomicU64; BUCKETS],
    /// Connections answered.
    accepted: u64 = AtomicU64,
    /// Bytes that the kernel says are resident, at the last self-check.
    resident_checked: u64 = AtomicU64,
    /// Processes forked, all in all.
    children: u32 = AtomicU32,
    /// Of these: ended by themselves.
    children_ended: u32 = AtomicU32,
    /// Of these: ended by a signal.
    children_killed: u32 = AtomicU32,
    /// TCP port that is listened on.
    port: u32 = AtomicU32,
    /// Pids of the children; 0 = unused.
    pids: [u32; CHILDREN] = [AtomicU32; CHILDREN],
    /// `touched`, child by child; kept after a child's death, while `touched` itself drops.
    touched_by: [u64; CHILDREN] = [AtomicU64; CHILDREN],
    /// Last error, UTF-8, zero-padded.
    text: [u8; TEXT] = [AtomicU8; TEXT],
}

const _: () = assert!(size_of::<Fields>() == 1712);

/// Bytes of the page that carry cells.
pub(crate) const USED: usize = size_of::<Fields>();

impl Fields {
    /// Cells with the values of a saved page.
    pub(crate) fn from_bytes(bytes: &[u8; USED]) -> Self {
        #[expect(unsafe_code, reason = "reads integers out of bytes without listing all cells again")]
        // SAFETY: the array has the size of `Fields`, which is made of integers only: every pattern is valid.
        unsafe {
            std::ptr::read_unaligned(bytes.as_ptr().cast())
        }
    }

    /// The bytes of the cells, as they would lie in the page.
    pub(crate) fn to_bytes(&self) -> [u8; USED] {
        #[expect(unsafe_code, reason = "reads bytes out of integers without listing all cells again")]
        // SAFETY: same size, no padding (asserted above: 1712 is the sum of the cells), and `self` is not shared.
        unsafe {
            std::ptr::read(std::ptr::from_ref(self).cast())
        }
    }
}

/// What kind of actor writes the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are the command line's own")]
pub enum Kind {
    Anon = 1,
    Shmem = 2,
    File = 3,
    Heartbeat = 16,
    TcpServer = 17,
    Spinner = 18,
    Writer = 19,
    Reader = 20,
    Forker = 21,
    Sleeper = 22,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Anon,
        Self::Shmem,
        Self::File,
        Self::Heartbeat,
        Self::TcpServer,
        Self::Spinner,
        Self::Writer,
        Self::Reader,
        Self::Forker,
        Self::Sleeper,
    ];

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u32 == number)
    }
}

/// How far an actor has come. It only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Phase {
    /// The page exists; the actor has not opened it, or is setting itself up.
    Starting = 0,
    /// Ready, and waiting for the release word.
    Waiting = 1,
    /// Balloon: on the way to `total` for the first time.
    Climbing = 2,
    /// Balloon: has held `total`. Bystander: at its work.
    Holding = 3,
    /// Ended as it was meant to.
    Done = 4,
    /// Gave up; `text` and `errno` say why.
    Failed = 5,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Starting, Self::Waiting, Self::Climbing, Self::Holding, Self::Done, Self::Failed];

    /// The phase with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&phase| phase as u32 == number)
    }

    /// The phase in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Climbing => "climbing",
            Self::Holding => "holding",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Snapshot {
    /// The page of an actor that has not started.
    #[must_use]
    pub fn fresh() -> Self {
        let mut fresh = Fields::from_bytes(&[0; USED]).load();
        fresh.magic = super::MAGIC;
        fresh.version = super::VERSION;
        fresh
    }

    /// The phase; `None` when something has written over the page.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        Phase::from_number(self.phase)
    }

    /// The kind of actor; `None` until the actor has opened the page.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }

    /// Gaps (bystanders) or step durations (balloon) counted so far.
    #[must_use]
    pub const fn gaps(&self) -> Histogram {
        Histogram { counts: self.gaps }
    }

    /// A quantile of the gaps in ns, never more than the largest gap ever seen. `None` when nothing was counted.
    #[must_use]
    pub fn p(&self, quantile: f64) -> Option<u64> {
        self.gaps().p(quantile).map(|ns| ns.min(self.gap_max_ns))
    }

    /// The last error in words; empty when there was none.
    #[must_use]
    pub fn text(&self) -> &str {
        let end = self.text.iter().position(|&byte| byte == 0).unwrap_or(TEXT);
        let bytes = &self.text[..end];
        std::str::from_utf8(bytes)
            .unwrap_or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default())
    }

    /// Pids of the children that were forked.
    pub fn children(&self) -> impl Iterator<Item = u32> + '_ {
        self.pids.iter().copied().filter(|&pid| pid != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::mem::offset_of;

    #[rstest]
    #[case(offset_of!(Fields, kind), 12)]
    #[case(offset_of!(Fields, release), 24)]
    #[case(offset_of!(Fields, touched), 32)]
    #[case(offset_of!(Fields, steps), 48)]
    #[case(offset_of!(Fields, step_started_ns), 80)]
    #[case(offset_of!(Fields, minor_faults), 96)]
    #[case(offset_of!(Fields, started_ns), 112)]
    #[case(offset_of!(Fields, gaps), 144)]
    #[case(offset_of!(Fields, accepted), 656)]
    #[case(offset_of!(Fields, children), 672)]
    #[case(offset_of!(Fields, pids), 688)]
    #[case(offset_of!(Fields, touched_by), 944)]
    #[case(offset_of!(Fields, text), 1456)]
    fn a_cell_lies_where_the_table_says(#[case] offset: usize, #[case] documented: usize) {
        assert_eq!(offset, documented);
    }

    #[test]
    fn text_that_was_cut_inside_a_character_ends_before_it() {
        let mut snapshot = Snapshot::fresh();
        snapshot.text[..4]
            .copy_from_slice("aé".as_bytes().iter().chain(&[0xc3]).copied().collect::<Vec<_>>().as_slice());
        assert_eq!(snapshot.text(), "aé");
    }

    #[test]
    fn a_quantile_is_never_longer_than_the_longest_gap() {
        let mut snapshot = Snapshot::fresh();
        snapshot.gaps[super::super::bucket(1_000_000)] = 1;
        snapshot.gap_max_ns = 1_000_000;
        assert_eq!(snapshot.p(0.99), Some(1_000_000));
    }
}
