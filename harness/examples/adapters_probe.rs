//! Runs the adapters against the real systemd, cgroup tree and kernel log of a disposable machine, as root, and exits
//! with 0 when each did what it promises. What it does to the machine: a slice of its own with processes in it, one of
//! which is OOM-killed at a limit of 64 MiB, and markers in the kernel log.
//!
//! `tests/vm_adapters.rs` runs it in the guests.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use harness::cgroupfs::{self, CgroupDir, CgroupPath, Presence, cgroup_of};
use harness::host;
use harness::kmsg::oom::{OomEvent, OomRecord, Parser, Scope};
use harness::kmsg::{self, Item};
use harness::metric::{self, SubjectKind};
use harness::procfs::HostReader;
use harness::property::{Property, PropertyName};
use harness::systemd::{self, Bus, Manager, Unit, Value};
use harness::unit_name::slice_cgroup;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A name, and what is done and checked under it.
type Step = (&'static str, fn(&Bus) -> Result);

const PATIENCE: Duration = Duration::from_secs(20);
const SLICE: &str = "bulkheadprobe-r1.slice";
const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("member") {
        return member();
    }
    let steps: [Step; 7] = [
        ("facts of the machine", facts),
        ("kernel log: marker, cursor, clock", kernel_log),
        ("slice: limits, life without members, counters after an OOM kill", slice),
        ("scope: membership, kill, gone", scope),
        ("service: facts, restart of the name", service),
        ("errors in words", errors),
        ("nothing is left", leftovers),
    ];
    let bus = match Bus::connect(PATIENCE) {
        Ok(bus) => bus,
        Err(error) => {
            println!("FAILED connect: {error}: {:?}", error.source());
            return ExitCode::FAILURE;
        }
    };
    let mut failed = false;
    for (name, step) in steps {
        let started = Instant::now();
        match step(&bus) {
            Ok(()) => println!("ok {name} ({} ms)", started.elapsed().as_millis()),
            Err(error) => {
                failed = true;
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                println!("FAILED {name}: {error}{cause}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What the members of the probe's cgroups do: wait for a byte, take 256 MiB for each `h`, and wait for the end.
fn member() -> ExitCode {
    let mut taken = Vec::new();
    let mut byte = [0];
    while std::io::stdin().read_exact(&mut byte).is_ok() {
        taken.push(vec![byte[0]; 256 << 20]);
    }
    ExitCode::from(u8::from(taken.iter().any(Vec::is_empty)))
}

fn spawn_member() -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).arg("member").stdin(Stdio::piped()).spawn()?)
}

fn ensure(holds: bool, words: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(words().into()) }
}

/// Waits for a condition with a deadline.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        ensure(Instant::now() < deadline, || format!("not within {PATIENCE:?}: {what}"))?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn facts(bus: &Bus) -> Result {
    let facts = host::probe(Some(bus));
    println!("{}", serde_json::to_string(&facts)?);
    ensure(facts.systemd_version.is_some_and(|version| version >= 249), || "systemd is too old".into())?;
    ensure(facts.systemd_is_pid1 == Some(true), || "systemd is not PID 1".into())?;
    ensure(facts.cgroup2.as_ref().is_some_and(host::Cgroup2::has_memory), || "no memory controller".into())?;
    ensure(facts.psi == Some(true) && facts.kmsg_readable == Some(true), || "psi or kmsg unreadable".into())?;
    ensure(facts.kernel().is_some() && facts.boot_id.is_some(), || "no kernel release or boot id".into())?;
    ensure(facts.swaps.is_some() && facts.cpus.is_some(), || "no swaps or cpus".into())?;

    let columns = || metric::columns(SubjectKind::Host);
    let mut row = vec![None; columns().count()];
    HostReader::open(Path::new("/"))?.read(&mut row);
    let unknown: Vec<_> = columns().zip(&row).filter(|(_, value)| value.is_none()).collect();
    ensure(unknown.is_empty(), || format!("unknown on this host: {unknown:?}"))
}

fn kernel_log(_: &Bus) -> Result {
    let mut log = kmsg::Reader::open(Path::new(kmsg::PATH))?;
    let cursor = log.cursor();
    log.mark("probe, line one\nline two")?;
    ensure(log.poll(PATIENCE)?, || "no record after a mark".into())?;
    let Some(Item::Record(record)) = log.next_item()? else { return Err("no record".into()) };
    ensure(record.seq == cursor, || format!("expected {cursor}: {record:?}"))?;
    ensure(record.text == b"bulkhead: probe, line one line two", || format!("{record:?}"))?;
    ensure(!record.is_from_kernel(), || "user space passes for the kernel".into())?;
    let clock = log.calibrate()?;
    println!("kernel log clock: {clock:?}");
    ensure(clock.uncertainty_us < 1_000_000, || format!("{clock:?}"))?;
    for number in 0..2000 {
        log.mark(&format!("flood {number} {}", "x".repeat(800)))?;
    }
    let mut lost = 0;
    let mut read = 0;
    while let Some(item) = log.next_item()? {
        match item {
            Item::Lost { records } => lost += records,
            Item::Record(_) => read += 1,
        }
    }
    println!("flood: {read} read, {lost} lost");
    ensure(lost > 0 && log.cursor() == cursor + 1 + lost + read, || format!("{lost} + {read} do not add up"))
}

fn memory_max(cgroup: &CgroupPath) -> Result<u64> {
    let file = format!("{}{cgroup}/memory.max", cgroupfs::ROOT);
    Ok(std::fs::read_to_string(file)?.trim().parse()?)
}

fn slice(bus: &Bus) -> Result {
    let limits = ["MemoryMax=256M".parse()?, "Description=probe of the adapters".parse()?];
    bus.start_slice(SLICE, &limits)?;
    let root = Path::new(cgroupfs::ROOT);
    let path = slice_cgroup(SLICE)?;
    ensure(bus.unit(SLICE)?.control_group.as_ref() == Some(&path), || format!("{:?}", bus.unit(SLICE)))?;
    ensure(bus.property(SLICE, "MemoryMax")? == Some(Value::U64(256 * MIB)), || "read back".into())?;
    let mut dir = CgroupDir::open(root, &path)?;
    ensure(memory_max(&path)? == 256 * MIB, || "memory.max".into())?;
    ensure(!dir.populated()?, || "an empty slice is populated".into())?;

    let mut log = kmsg::Reader::open(Path::new(kmsg::PATH))?;
    let (mut child, scope) = start_member(bus, "bulkheadprobe-hog.scope", "continue")?;
    let pid = child.id();
    child.stdin.take().ok_or("no pipe")?.write_all(b"h")?;
    let status = child.wait()?;
    ensure(std::os::unix::process::ExitStatusExt::signal(&status) == Some(9), || format!("{status}"))?;
    let events = oom_events(&mut log, pid)?;
    expect_kill(&events, pid, &scope)?;

    until("the scope is gone", || Ok(!bus.unit("bulkheadprobe-hog.scope")?.is_active()))?;
    bus.reset_failed("bulkheadprobe-hog.scope")?;
    // What other units do must not take the slice away either.
    let outlived = Instant::now() + Duration::from_secs(3);
    until("three seconds of the slice alone", || {
        bus.start_service("bulkheadprobe-other.service", SLICE, &["/bin/true".into()], &[], &[])?;
        until("the other unit is gone", || Ok(!bus.unit("bulkheadprobe-other.service")?.exists()))?;
        Ok(Instant::now() > outlived)
    })?;
    let mut row = vec![None; metric::columns(SubjectKind::Cgroup).count()];
    ensure(dir.read(&mut row) == Presence::Present, || "the slice vanished with its last member".into())?;
    let at = |name: &str| metric::columns(SubjectKind::Cgroup).position(|info| info.name == name);
    let value = |name: &str| at(name).and_then(|at| row[at]);
    ensure(value("memory.events.oom_kill") == Some(1), || format!("{row:?}"))?;
    ensure(value("memory.events.local.oom_kill") == Some(0), || format!("{row:?}"))?;
    ensure(value("cpu.usage").is_some() && value("memory.pressure.full").is_some(), || format!("{row:?}"))?;
    ensure(bus.unit(SLICE)?.is_active(), || "the slice is not active".into())?;

    bus.stop(SLICE)?;
    until("the slice is unloaded", || Ok(!bus.unit(SLICE)?.is_active()))?;
    ensure(dir.read(&mut row) == Presence::Gone, || "a stopped slice still has its cgroup".into())
}

fn start_member(bus: &Bus, name: &str, oom_policy: &str) -> Result<(Child, CgroupPath)> {
    let child = spawn_member()?;
    let properties = [
        "MemoryMax=64M".parse()?,
        "MemorySwapMax=0".parse()?,
        format!("OOMPolicy={oom_policy}").parse()?,
        "RuntimeMaxSec=60s".parse()?,
        "TimeoutStopSec=1s".parse()?,
    ];
    bus.start_scope(name, SLICE, &[child.id()], &properties)?;
    let path = slice_cgroup(SLICE)?.join(name)?;
    let found = cgroup_of(Path::new("/proc"), child.id())?;
    ensure(found == path, || format!("{found} instead of {path}"))?;
    Ok((child, path))
}

fn oom_events(log: &mut kmsg::Reader, pid: u32) -> Result<Vec<OomRecord>> {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    until("the kill is logged", || {
        log.poll(Duration::from_secs(1))?;
        while let Some(item) = log.next_item()? {
            match item {
                Item::Record(record) => events.extend(parser.push(&record)),
                Item::Lost { records } => return Err(format!("{records} records lost").into()),
            }
        }
        Ok(events
            .iter()
            .any(|found| matches!(found.event, OomEvent::Killed { pid: killed, .. } if killed == pid)))
    })?;
    Ok(events)
}

fn expect_kill(events: &[OomRecord], pid: u32, scope: &CgroupPath) -> Result {
    let summary = events.iter().any(|found| {
        matches!(&found.event, OomEvent::Summary { oom_memcg, task_memcg, pid: victim, .. }
            if oom_memcg.as_ref() == Some(scope) && task_memcg == scope && *victim == pid)
    });
    let killed = events.iter().any(|found| {
        matches!(found.event, OomEvent::Killed { scope: Scope::Memcg, pid: victim, anon_kb, .. }
            if victim == pid && anon_kb > 32 * 1024)
    });
    ensure(summary && killed, || format!("{events:?}"))
}

fn scope(bus: &Bus) -> Result {
    bus.start_slice(SLICE, &[])?;
    let name = "bulkheadprobe-kill.scope";
    let (mut child, path) = start_member(bus, name, "stop")?;
    let unit = bus.unit(name)?;
    ensure(unit.is_active() && unit.slice.as_deref() == Some(SLICE), || format!("{unit:?}"))?;
    ensure(unit.oom_policy.as_deref() == Some("stop"), || format!("{unit:?}"))?;
    ensure(bus.list("bulkheadprobe-")?.iter().any(|unit| unit.name == name), || "not listed".into())?;
    let dir = CgroupDir::open(Path::new(cgroupfs::ROOT), &path)?;
    ensure(dir.procs()? == [child.id()] && dir.populated()?, || "members".into())?;
    dir.kill()?;
    // systemd removes it as soon as it is empty.
    until("the cgroup is empty after cgroup.kill", || match dir.populated() {
        Err(cgroupfs::Error::Gone { .. }) => Ok(true),
        populated => Ok(!populated?),
    })?;
    ensure(!child.wait()?.success(), || "it survived".into())?;
    until("the cgroup is gone", || Ok(matches!(dir.procs(), Err(cgroupfs::Error::Gone { .. }))))?;
    until("the unit is gone", || {
        bus.reset_failed(name)?;
        Ok(!bus.unit(name)?.exists())
    })?;
    ensure(bus.unit(name)? == Unit::absent(name), || "facts of a unit that is gone".into())?;
    ensure(bus.property(name, "Result")?.is_none(), || "a property of a unit that is gone".into())?;

    let (mut child, _) = start_member(bus, name, "stop")?;
    bus.kill(name, 9)?;
    ensure(!child.wait()?.success(), || "it survived".into())?;
    bus.stop(name)?;
    bus.stop(SLICE)?;
    Ok(())
}

fn service(bus: &Bus) -> Result {
    let name = "bulkheadprobe-s.service";
    let argv = ["/bin/sh".to_owned(), "-c".to_owned(), "test \"$A\" = 'b c' && exec sleep 1000".to_owned()];
    bus.start_service(name, SLICE, &argv, &["A=b c".to_owned()], &["OOMScoreAdjust=300".parse()?])?;
    let first = bus.unit(name)?;
    ensure(first.main_pid.is_some() && first.n_restarts == Some(0), || format!("{first:?}"))?;
    ensure(first.invocation_id.as_ref().is_some_and(|id| id.len() == 32), || format!("{first:?}"))?;
    let adjusted = bus.property(name, "OOMScoreAdjust")?;
    ensure(adjusted == Some(Value::I32(300)), || format!("{adjusted:?}"))?;
    bus.set_properties(name, &["MemoryMax=128M".parse()?])?;
    let path = first.control_group.clone().ok_or("no cgroup")?;
    ensure(memory_max(&path)? == 128 * MIB, || "memory.max".into())?;
    bus.kill(name, 9)?;
    until("the service has failed", || Ok(bus.unit(name)?.active_state.as_deref() == Some("failed")))?;
    let failed = bus.unit(name)?;
    ensure(failed.result.as_deref() == Some("signal"), || format!("{failed:?}"))?;
    ensure((failed.exec_main_code, failed.exec_main_status) == (Some(2), Some(9)), || format!("{failed:?}"))?;
    ensure(failed.main_pid.is_none(), || format!("{failed:?}"))?;
    bus.reset_failed(name)?;
    until("the service is forgotten", || Ok(!bus.unit(name)?.exists()))?;
    bus.stop(SLICE)?;
    Ok(())
}

fn errors(bus: &Bus) -> Result {
    let shown = |error: systemd::Error| {
        let text = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
        println!("  {text}");
        text
    };
    let text = bus.start_slice(SLICE, &[Property::bytes(PropertyName::MemoryMax, 0)]).map_err(shown).err();
    ensure(text.is_some_and(|text| text.contains("MemoryMax")), || "a limit of 0 was taken".into())?;
    let name = "bulkheadprobe-e.service";
    let text = bus.start_service(name, SLICE, &["/no/such/program".into()], &[], &[]).map_err(shown).err();
    ensure(text.is_some_and(|text| text.contains(name)), || {
        "a program that is not there was started".into()
    })?;
    bus.reset_failed(name)?;
    let text = bus.start_scope("bulkheadprobe-e.scope", SLICE, &[], &[]).map_err(shown).err();
    ensure(text.is_some(), || "a scope without processes was started".into())?;
    ensure(bus.kill("bulkheadprobe-none.scope", 9).map_err(shown).is_err(), || "killed nothing".into())?;
    bus.stop("bulkheadprobe-none.scope")?;
    bus.reset_failed("bulkheadprobe-none.scope")?;
    bus.stop(SLICE)?;
    let ssh = bus.unit("systemd-journald.service")?;
    ensure(ssh.is_active() && ssh.main_pid.is_some(), || format!("{ssh:?}"))?;
    ensure(bus.property("systemd-journald.service", "NoSuchProperty")?.is_none(), || "made up".into())
}

fn leftovers(bus: &Bus) -> Result {
    until("all units of the probe are gone", || {
        let left = bus.list("bulkheadprobe")?;
        Ok(left.iter().all(|unit| unit.name == "bulkheadprobe.slice" || unit.load == systemd::NOT_FOUND))
    })?;
    bus.stop("bulkheadprobe.slice")?;
    let path = slice_cgroup("bulkheadprobe.slice")?;
    until("its cgroup is gone", || Ok(CgroupDir::open(Path::new(cgroupfs::ROOT), &path).is_err()))
}
