//! Reports to render in tests: all pass, one of everything that can go wrong, nothing at all, and one in which
//! every text is hostile.

use crate::finding::Finding;
use crate::kill::{Agreement, Kill, Witness};
use crate::number::{Number, Unit};
use crate::outcome::{Cleanup, Killer, Verdict};
use crate::report::{Case, Machine, Phase, Point, Report, Role, SCHEMA, Series, TargetKind, flaky};

const MIB: u64 = 1 << 20;

/// Texts that break formats: colour, cursor movement, forged lines, tables, HTML, fences, XML, reading direction.
pub(crate) const HOSTILE: [&str; 9] = [
    "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "a\nforged: line\r\nverdict pass\r",
    "x,pid=1,uid=0",
    "a|b||c\\|d\\",
    "`tick` ```fence\n```\n# head",
    "<img src=x onerror=alert(1)> &amp; </details></td> ]]> --> @team #1",
    "nul \0 bell \x07 del \x7f csi \u{9b}31m",
    "\u{202e}ssap\u{2066} \u{200b}\u{feff}\u{ffff}\u{2028}",
    "**bold** _it_ [a](javascript:b) ~~s~~ $x$",
];

pub(crate) fn empty() -> Report {
    Report {
        schema: SCHEMA,
        tool_version: "0.1.0".into(),
        started: 1_750_561_964,
        took_ms: 312,
        machines: Vec::new(),
        cases: Vec::new(),
        flaky: Vec::new(),
        trouble: Vec::new(),
        record_path: None,
        exit_code: 3,
        exit_meaning: "nothing ran".into(),
    }
}

fn trixie() -> Machine {
    Machine {
        name: "trixie".into(),
        target: TargetKind::Vm,
        guest: Some("trixie".into()),
        kernel: Some("6.12.41+deb13-amd64".into()),
        systemd: Some("257.8-1~deb13u2".into()),
        cpus: Some(2),
        memory_bytes: Some(2048 * MIB),
        swap_bytes: Some(512 * MIB),
        accel: Some("tcg".into()),
    }
}

fn memory(cap_mib: u64, top_mib: u64) -> Series {
    let climb = (0..40).map(|i| (i, (top_mib * i / 30).min(top_mib)));
    let points = climb
        .chain([(40, 4), (41, 2)])
        .map(|(i, mib)| Point { at_ms: i * 100, value: (i != 7).then_some((mib * MIB) as f64) });
    Series {
        metric: "work:memory.current".into(),
        unit: Unit::Bytes,
        cap: Some((cap_mib * MIB) as f64),
        points: points.collect(),
    }
}

fn finding(id: &str, claim: &str, verdict: Verdict, expected: &str, observed: &str) -> Finding {
    Finding {
        id: id.into(),
        claim: claim.into(),
        verdict,
        expected: expected.into(),
        observed: observed.into(),
        numbers: Vec::new(),
        required_red: false,
    }
}

/// The peak of work, which has to be within 2 % of 512 MiB.
fn at_its_cap(bytes: u64) -> Number {
    let cap = (512 * MIB) as f64;
    Number::within("peak of work at the kill", Unit::Bytes, Some(bytes as f64), cap, 0.02 * cap)
}

fn witness(name: &str, agrees: Agreement, says: &str) -> Witness {
    Witness { name: name.into(), says: says.into(), agrees }
}

fn hog_killed() -> Kill {
    Kill {
        actor: Some("hog".into()),
        pid: 812,
        comm: "balloon".into(),
        killer: Killer::Memcg,
        limit: Some("work".into()),
        at_bytes: Some(512 * MIB),
        after_ms: Some(2_410),
        latency_us: Some(1_840),
        victims: Vec::new(),
        witnesses: vec![
            witness(
                "kernel log",
                Agreement::Agrees,
                "constraint=CONSTRAINT_MEMCG oom_memcg=/bulkhead.slice/bulkhead-7f3a.slice/work pid=812",
            ),
            witness("memory.events", Agreement::Agrees, "oom_kill 0 → 1 in bulkhead-7f3a.slice"),
            witness("wait status", Agreement::Agrees, "ended by SIGKILL"),
            witness("systemd", Agreement::Agrees, "Result=oom-kill"),
        ],
    }
}

fn base() -> Case {
    Case {
        scenario: "hard-cap-kill".into(),
        title: "A runaway dies at its own ceiling, and nothing else notices".into(),
        source: "devvm 2026-06-22, stress test A".into(),
        role: Role::Base,
        machine: "trixie".into(),
        guest: Some("trixie".into()),
        policy: None,
        tree: None,
        run: 1,
        verdict: Verdict::Pass,
        raw_verdict: Verdict::Pass,
        reason: None,
        headline:
            "hog killed at 512.0 MiB by memcg limit work, 2.41 s; swap out 0; 4 protected units unchanged, \
                   sshd answered in 31 ms"
                .into(),
        findings: vec![
            Finding {
                numbers: vec![at_its_cap(511 * MIB)],
                ..finding(
                    "killed-by-its-own-cap",
                    "hog is killed by memcg, at the limit of work",
                    Verdict::Pass,
                    "memcg kill by limit work at 512.0 MiB ± 2 %",
                    "memcg kill by limit work at 511.0 MiB",
                )
            },
            finding(
                "swap-flat",
                "host swap out does not grow",
                Verdict::Pass,
                "at most 0 B more",
                "0 B more",
            ),
            finding("no-other-victim", "nobody but hog is killed", Verdict::Pass, "only hog", "only hog"),
        ],
        kills: vec![hog_killed()],
        phases: [
            ("setup", 0, 180),
            ("baseline", 180, 1_180),
            ("climb", 1_180, 3_590),
            ("cleanup", 3_590, 4_100),
        ]
        .map(|(name, start_ms, end_ms)| Phase { name: name.into(), start_ms, end_ms })
        .into(),
        series: vec![memory(512, 512)],
        took_ms: 8_410,
        record_path: Some("/var/lib/bulkhead/runs/20250622T031244Z/hard-cap-kill".into()),
        command: "bulkhead run hard-cap-kill --guest trixie".into(),
        warnings: Vec::new(),
        console: Vec::new(),
        cleanup: Cleanup::Proven,
    }
}

fn twin(id: &str, must_fail: &[&str], headline: &str) -> Case {
    let mut case = base();
    case.role =
        Role::Twin { id: id.into(), must_fail: must_fail.iter().map(|id| (*id).to_owned()).collect() };
    for finding in case.findings.iter_mut().filter(|finding| must_fail.contains(&finding.id.as_str())) {
        finding.required_red = true;
        finding.verdict = Verdict::Fail;
        finding.observed = headline.into();
        finding.numbers.clear();
    }
    case.raw_verdict = Verdict::Fail;
    case.headline = headline.into();
    case.command = format!("bulkhead run hard-cap-kill --twin {id} --guest trixie");
    case.took_ms = 6_200;
    case
}

pub(crate) fn all_pass() -> Report {
    let mut unkillable =
        twin("unkillable", &["killed-by-its-own-cap"], "oom 184, oom_kill 0; hog lives at 512.0 MiB");
    unkillable.kills.clear();
    let mut removed = twin("cap-removed", &["killed-by-its-own-cap"], "hog reached 614.4 MiB and lives");
    removed.kills.clear();
    removed.series = vec![memory(512, 614)];
    let cases =
        vec![base(), removed, twin("swap-allowed", &["swap-flat"], "swap out grew by 131.2 MiB"), unkillable];
    Report {
        took_ms: 41_300,
        machines: vec![trixie()],
        cases,
        record_path: Some("/var/lib/bulkhead/runs/20250622T031244Z".into()),
        exit_code: 0,
        exit_meaning: "every selected scenario passed, every twin that ran turned red where it must".into(),
        ..empty()
    }
}

/// A fail, a twin that stayed green, lost witnesses, inconclusive with a console, skipped, aborted and dirty, flaky.
pub(crate) fn mixed() -> Report {
    let mut cases = vec![wrong_killer(), stayed_green()];
    cases.push(twin("unkillable", &["killed-by-its-own-cap"], "oom 184, oom_kill 0; hog lives at 512.0 MiB"));
    cases.extend([panicked(), skipped(), aborted()]);
    cases.extend((1..=5).map(flickering));
    let mut bookworm = trixie();
    (bookworm.name, bookworm.guest) = ("bookworm".into(), Some("bookworm".into()));
    bookworm.kernel = Some("6.1.0-37-amd64".into());
    bookworm.systemd = Some("252.38-1~deb12u1".into());
    Report {
        took_ms: 192_000,
        machines: vec![trixie(), bookworm],
        flaky: flaky(&cases),
        cases,
        trouble: vec![
            "guest bookworm booted only at the second attempt: no answer from the agent in 60 s".into(),
        ],
        record_path: Some("/var/lib/bulkhead/runs/20250622T031244Z".into()),
        exit_code: 13,
        exit_meaning: "cleanup not proven, the machine may be dirty".into(),
        ..empty()
    }
}

fn wrong_killer() -> Case {
    let mut case = base();
    case.verdict = Verdict::Fail;
    case.raw_verdict = Verdict::Fail;
    case.headline = "hog killed at 498.2 MiB by a signal, not by memcg limit work; swap out 0".into();
    case.findings[0] = Finding {
        verdict: Verdict::Fail,
        observed: "SIGKILL at 498.2 MiB; oom_kill of work stayed 0".into(),
        numbers: vec![at_its_cap(498 * MIB + 200_000)],
        ..case.findings[0].clone()
    };
    case.kills = vec![Kill {
        killer: Killer::Signal,
        limit: None,
        at_bytes: Some(498 * MIB + 200_000),
        latency_us: None,
        victims: Vec::new(),
        witnesses: vec![
            witness("kernel log", Agreement::Missing, "12 records lost to an overrun of the ring"),
            witness("memory.events", Agreement::Contradicts, "oom_kill stayed 0 in bulkhead-7f3a.slice"),
            witness("wait status", Agreement::Agrees, "ended by SIGKILL"),
        ],
        ..hog_killed()
    }];
    case.series = vec![memory(512, 498)];
    case.warnings = vec!["12 kernel log records were lost between 3.1 s and 3.4 s".into()];
    case
}

fn stayed_green() -> Case {
    let mut case = twin("swap-allowed", &["swap-flat"], "swap out 0 although swap is allowed");
    case.verdict = Verdict::Fail;
    case.raw_verdict = Verdict::Pass;
    case.findings[1].verdict = Verdict::Pass;
    case.findings[1].observed = "0 B more".into();
    case.reason =
        Some("the twin must turn swap-flat red and did not: the scenario proves nothing about swap".into());
    case
}

fn panicked() -> Case {
    let mut case = base();
    case.scenario = "soft-cap-throttle".into();
    case.title = "A balloon pushed past MemoryHigh crawls and harms nobody outside".into();
    (case.machine, case.guest) = ("bookworm".into(), Some("bookworm".into()));
    case.verdict = Verdict::Inconclusive;
    case.raw_verdict = Verdict::Inconclusive;
    case.headline = String::new();
    case.reason =
        Some("the guest panicked 1.9 s after the stress began; nothing was observed after that".into());
    case.findings = vec![finding(
        "progress-after-high",
        "after high, hog advances at less than 5 % of its pace before",
        Verdict::Inconclusive,
        "less than 5 % of 812.4 MiB/s",
        "no sample after 1.9 s",
    )];
    case.kills.clear();
    case.series = vec![memory(512, 300)];
    case.console = vec![
        "[   12.418822] BUG: kernel NULL pointer dereference, address: 0000000000000008".into(),
        "[   12.420110] Kernel panic - not syncing: Fatal exception in interrupt".into(),
        "[   12.420533] ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---".into(),
    ];
    case.command = "bulkhead run soft-cap-throttle --guest bookworm".into();
    case
}

fn skipped() -> Case {
    let mut case = base();
    case.scenario = "oom-score-order".into();
    case.title = "Under a machine-wide OOM the cheap service goes first".into();
    case.verdict = Verdict::Skipped;
    case.raw_verdict = Verdict::Skipped;
    case.headline = String::new();
    case.reason = Some("destructive, and this machine does not say that it is disposable".into());
    case.findings.clear();
    case.kills.clear();
    case.phases.clear();
    case.series.clear();
    case.took_ms = 0;
    case.record_path = None;
    case.command = "bulkhead run oom-score-order --guest trixie".into();
    case.cleanup = Cleanup::NotNeeded;
    case
}

fn aborted() -> Case {
    let mut case = base();
    case.scenario = "uncontained-swap-thrash".into();
    case.title = "A runaway next to a throttled swap disk leaves the machine responsive".into();
    case.verdict = Verdict::Aborted;
    case.raw_verdict = Verdict::Aborted;
    case.headline =
        "stopped by the watchdog at 4.2 s: MemAvailable 48.1 MiB below the floor of 64.0 MiB".into();
    case.reason = Some("the watchdog stopped it: MemAvailable fell below its floor".into());
    case.findings.clear();
    case.kills.clear();
    case.cleanup = Cleanup::NotProven {
        left: vec!["bulkhead-7f3a-hog.scope still active".into(), "swap 212.0 MiB above the start".into()],
    };
    case
}

fn flickering(run: u32) -> Case {
    let mut case = base();
    case.scenario = "oomd-swap-path".into();
    case.title = "The swap-used trigger can never fire without swap".into();
    case.run = run;
    case.headline = "oomd listed 0 candidates by swap; no action in 60 s".into();
    case.command = "bulkhead run oomd-swap-path --guest trixie --runs 5".into();
    case.kills.clear();
    case.took_ms = 61_000 + u64::from(run) * 10;
    if run == 3 {
        case.verdict = Verdict::Fail;
        case.raw_verdict = Verdict::Fail;
        case.headline = "oomd killed reader by pressure".into();
        case.findings[2].verdict = Verdict::Fail;
        case.findings[2].expected = "nobody".into();
        case.findings[2].observed = "reader (pid 921)".into();
    }
    case
}

/// A failing case in which every text is `text`.
pub(crate) fn hostile(text: &str) -> Report {
    let text = || text.to_owned();
    let mut case = wrong_killer();
    (case.scenario, case.title, case.source, case.headline, case.command) =
        (text(), text(), text(), text(), text());
    (case.machine, case.guest, case.policy, case.tree) = (text(), Some(text()), Some(text()), Some(text()));
    (case.reason, case.record_path) = (Some(text()), Some(text()));
    (case.warnings, case.console) = (vec![text()], vec![text()]);
    case.cleanup = Cleanup::NotProven { left: vec![text()] };
    for finding in &mut case.findings {
        (finding.id, finding.claim, finding.expected, finding.observed) = (text(), text(), text(), text());
        finding.verdict = Verdict::Fail;
        finding.numbers = vec![Number { what: text(), ..at_its_cap(0) }; 2];
    }
    for kill in &mut case.kills {
        (kill.actor, kill.comm, kill.limit) = (Some(text()), text(), Some(text()));
        for witness in &mut kill.witnesses {
            (witness.name, witness.says) = (text(), text());
        }
    }
    case.phases[0].name = text();
    case.series[0].metric = text();
    let mut twin = case.clone();
    twin.role = Role::Twin { id: text(), must_fail: vec![text()] };
    let mut machine = trixie();
    (machine.name, machine.guest, machine.kernel, machine.accel) =
        (text(), Some(text()), Some(text()), Some(text()));
    Report {
        tool_version: text(),
        machines: vec![machine.clone(), machine],
        cases: vec![case, twin],
        trouble: vec![text()],
        record_path: Some(text()),
        exit_code: 13,
        exit_meaning: text(),
        ..empty()
    }
}
