//! Samples are taken while the machine is out of memory, so a sample must not ask for any. One test alone in its program,
//! so that nothing else allocates meanwhile.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use harness::cgroupfs::{CgroupDir, Presence};
use harness::metric::{SubjectKind, columns};
use harness::procfs::HostReader;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator can be watched only by being one")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System`, by way of `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_sample_of_a_cgroup_and_of_the_host_allocates_nothing() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("work.scope");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::create_dir_all(root.path().join("proc/pressure")).expect("mkdir");
    let pressure =
        "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=8\n";
    for (file, text) in [
        ("work.scope/memory.current", "4096\n"),
        ("work.scope/memory.events", "low 0\nhigh 0\nmax 1\noom 1\noom_kill 1\n"),
        ("work.scope/memory.stat", "anon 4096\nfile 0\n"),
        ("work.scope/memory.pressure", pressure),
        ("work.scope/cpu.stat", "usage_usec 7\n"),
        ("proc/meminfo", "MemTotal: 2 kB\nMemAvailable: 1 kB\n"),
        ("proc/vmstat", "pswpin 1\npswpout 2\n"),
        ("proc/stat", "procs_blocked 1\n"),
        ("proc/loadavg", "0.10 0.00 0.00 1/2 3\n"),
        ("proc/pressure/memory", pressure),
    ] {
        fs::write(root.path().join(file), text).expect("write");
    }
    let mut cgroup = CgroupDir::open(root.path(), &"/work.scope".parse().expect("a path")).expect("open");
    let mut host = HostReader::open(root.path()).expect("open");
    let mut cgroup_row = vec![None; columns(SubjectKind::Cgroup).count()];
    let mut host_row = vec![None; columns(SubjectKind::Host).count()];

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let presence = cgroup.read(&mut cgroup_row);
    host.read(&mut host_row);
    let after = ALLOCATIONS.load(Ordering::Relaxed);

    assert_eq!(after - before, 0);
    assert_eq!(presence, Presence::Present);
    assert_eq!((cgroup_row[0], host_row[2]), (Some(4096), Some(2048)));
    // The counter does count.
    drop(vec![0u8; 100]);
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > after);
}
