//! A whole tick of the sampler allocates nothing: rows are taken while the machine is out of memory.
//!
//! Allocations are counted for the thread that measures, so that the tests may run side by side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use balloon::status::Page;
use harness::plan::Watched;
use harness::record::samples::write_row;
use harness::run::sampler::Watch;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has no counter any more, and nothing to measure.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator can be watched only by being one")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System`, by way of `alloc` or `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Two cgroups with every file, one actor, and the real `/proc`.
fn watch(dir: &Path) -> Watch {
    let pressure =
        "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=8\n";
    let events = "low 0\nhigh 0\nmax 1\noom 1\noom_kill 1\noom_group_kill 0\n";
    for name in ["work", "run"] {
        let cgroup = dir.join(name);
        fs::create_dir(&cgroup).expect("mkdir");
        for (file, text) in [
            ("memory.current", "4096\n"),
            ("memory.peak", "8192\n"),
            ("memory.events", events),
            ("memory.events.local", events),
            ("memory.stat", "anon 4096\nfile 0\nshmem 0\nkernel 0\npgscan 1\npgsteal 1\n"),
            ("memory.pressure", pressure),
            ("memory.swap.current", "0\n"),
            ("memory.swap.peak", "0\n"),
            ("memory.swap.events", "high 0\nmax 0\nfail 0\n"),
            ("cpu.stat", "usage_usec 7\n"),
        ] {
            fs::write(cgroup.join(file), text).expect("write");
        }
    }
    let watched = ["work", "run"].map(|name| Watched {
        subject: name.parse().expect("a name"),
        cgroup: format!("/{name}").parse().expect("a path"),
    });
    let page = Arc::new(Page::create(&dir.join("hog.status")).expect("a status page"));
    Watch::open(dir, Path::new("/"), &watched, &[("hog".into(), page)]).expect("opened")
}

#[test]
fn a_tick_of_the_sampler_allocates_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut watch = watch(dir.path());
    let mut line = Vec::with_capacity((watch.columns().len() + 1) * 21 + 2);
    // A cgroup that is removed under the sampler is the usual end of a run: it must not allocate either.
    for gone in [false, true] {
        if gone {
            fs::remove_dir_all(dir.path().join("work")).expect("removed");
        }
        let before = ALLOCATIONS.get();
        for tick in 0..10 {
            let row = watch.tick();
            write_row(&mut line, tick, row);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "gone: {gone}");
    }
    let row: Vec<Option<u64>> = serde_json::from_slice(&line).expect("a JSON array");
    assert_eq!(row.len(), watch.columns().len() + 1);
    // The machine's own memory was really read.
    let total = watch.columns().iter().position(|name| name == "host:memory.total").expect("a column");
    assert!(row[total + 1].is_some_and(|bytes| bytes > 1 << 20), "{row:?}");
    let before = ALLOCATIONS.get();
    drop(vec![0u8; 100]);
    assert!(ALLOCATIONS.get() > before, "the counter does count");
}
