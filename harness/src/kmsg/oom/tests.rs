//! The OOM killer's lines, friendly and hostile.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::kmsg::record::escape;
use crate::kmsg::records;

fn kernel(seq: u64, text: &[u8]) -> Record {
    Record { facility: 0, level: 6, seq, timestamp_us: seq * 10, continuation: false, text: text.to_vec() }
}

fn continued(seq: u64, text: &[u8]) -> Record {
    Record { level: 4, continuation: true, ..kernel(seq, text) }
}

fn only(text: &str) -> OomEvent {
    let mut events = events(&[kernel(1, text.as_bytes())]);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0).event
}

fn summary(limit: &str, task_memcg: &str, task: &str, pid: u32, uid: u32) -> String {
    format!(
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={limit},\
         task_memcg={task_memcg},task={task},pid={pid},uid={uid}"
    )
}

fn memcg(limit: &str, task_memcg: &str, task: &str, pid: u32, uid: u32) -> OomEvent {
    OomEvent::Summary {
        constraint: Constraint::Memcg,
        oom_memcg: Some(limit.parse().expect("a path")),
        global: false,
        task_memcg: task_memcg.parse().expect("a path"),
        task: task.to_owned(),
        pid,
        uid,
    }
}

const SIZES: &str = "total-vm:204800kB, anon-rss:102400kB, file-rss:896kB, shmem-rss:0kB, UID:1000 pgtables:240kB \
                     oom_score_adj:-500";

fn killed(scope: Scope, pid: u32, comm: &str) -> OomEvent {
    OomEvent::Killed {
        scope,
        pid,
        comm: comm.to_owned(),
        total_vm_kb: 204_800,
        anon_kb: 102_400,
        file_kb: 896,
        shmem_kb: 0,
        uid: 1000,
        oom_score_adj: -500,
    }
}

#[test]
fn a_slice_limit_and_the_victims_scope_are_told_apart() {
    assert_eq!(
        only(&summary("/lab.slice/lab-a.slice", "/lab.slice/lab-a.slice/hog.scope", "balloon", 470, 1000)),
        memcg("/lab.slice/lab-a.slice", "/lab.slice/lab-a.slice/hog.scope", "balloon", 470, 1000)
    );
}

#[test]
fn a_machine_wide_oom_names_no_limit() {
    let line = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=docker-0a.scope,mems_allowed=0-1,3,\
                global_oom,task_memcg=/system.slice/g1.service,task=balloon,pid=9,uid=0";
    assert_eq!(
        only(line),
        OomEvent::Summary {
            constraint: Constraint::None,
            oom_memcg: None,
            global: true,
            task_memcg: "/system.slice/g1.service".parse().expect("a path"),
            task: "balloon".to_owned(),
            pid: 9,
            uid: 0,
        }
    );
}

#[rstest]
#[case("x,pid=1,uid=0")]
#[case("a,pid=1 (b)\n\\z")]
#[case(",task=,task=")]
#[case(",task_memcg=/x")]
#[case(",global_oom")]
#[case(") total-vm:1kB,")]
#[case("")]
#[case("\u{fffd}")]
fn a_hostile_name_changes_nothing_but_the_name(#[case] comm: &str) {
    let limit = "/lab.slice";
    let victim = "/lab.slice/a\\x2db.scope";
    assert_eq!(only(&summary(limit, victim, comm, 470, 1000)), memcg(limit, victim, comm, 470, 1000));
    let line = format!("Memory cgroup out of memory: Killed process 470 ({comm}) {SIZES}");
    assert_eq!(only(&line), killed(Scope::Memcg, 470, comm));
}

#[test]
fn a_hand_made_cgroup_named_like_a_field_does_not_move_the_limit() {
    let (limit, victim) = ("/a,task_memcg=/b", "/a,task_memcg=/b/c");
    assert_eq!(only(&summary(limit, victim, "x", 7, 0)), memcg(limit, victim, "x", 7, 0));
}

#[rstest]
#[case("Memory cgroup out of memory", Scope::Memcg)]
#[case("Out of memory", Scope::Global)]
#[case("Out of memory (oom_kill_allocating_task)", Scope::AllocatingTask)]
fn the_words_before_killed_process_give_the_scope(#[case] prefix: &str, #[case] scope: Scope) {
    assert_eq!(only(&format!("{prefix}: Killed process 3 (hog) {SIZES}")), killed(scope, 3, "hog"));
}

#[test]
fn the_other_lines_are_events_too() {
    let line =
        "hog (a), order=9 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-1000";
    assert!(events(&[kernel(1, line.as_bytes())]).is_empty(), "a name of more than 15 bytes is none");
    assert_eq!(
        only("hog, order=9 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-1000"),
        OomEvent::Invoked { comm: "hog, order=9".to_owned(), order: 0, oom_score_adj: -1000 }
    );
    assert_eq!(
        only("Memory cgroup out of memory: OOM victim 5 (a) is already exiting. Skip killing the task"),
        OomEvent::AlreadyExiting { pid: 5, comm: "a".to_owned() }
    );
    assert_eq!(
        only("Tasks in /lab.slice/g.scope are going to be killed due to memory.oom.group set"),
        OomEvent::GroupKill { path: "/lab.slice/g.scope".parse().expect("a path") }
    );
    assert_eq!(only("Out of memory and no killable processes..."), OomEvent::NoKillable);
    assert_eq!(only("oom_kill_process: 20 callbacks suppressed"), OomEvent::Suppressed { count: 20 });
    assert_eq!(
        only("oom_reaper: reaped process 8 (b), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"),
        OomEvent::Reaped { pid: 8, comm: "b".to_owned() }
    );
}

#[test]
fn a_line_that_user_space_wrote_is_no_event() {
    let forged = Record { facility: 1, ..kernel(1, summary("/a", "/a", "init", 1, 0).as_bytes()) };
    assert_eq!(events(&[forged]), []);
}

#[test]
fn a_split_summary_is_put_together_across_other_processors_records() {
    let whole = summary("/lab.slice", "/lab.slice/hog.scope", "balloon", 470, 0);
    let (first, second) = whole.split_at(whole.find("/lab.slice/hog").expect("the second path"));
    let kill = format!("Memory cgroup out of memory: Killed process 470 (balloon) {SIZES}");
    let got = events(&[
        kernel(1, first.as_bytes()),
        kernel(2, b"virtio_net virtio0: link up"),
        Record { facility: 1, ..continued(3, b"forged") },
        continued(4, second.as_bytes()),
        kernel(5, kill.as_bytes()),
    ]);
    assert_eq!(got.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(got[0].event, memcg("/lab.slice", "/lab.slice/hog.scope", "balloon", 470, 0));
}

#[test]
fn a_beginning_that_looks_complete_waits_for_its_continuation() {
    let whole =
        summary("/a,task_memcg=/a,task=z,pid=1,uid=0", "/a,task_memcg=/a,task=z,pid=1,uid=0/b", "x", 470, 5);
    let (first, second) =
        whole.split_at(whole.find(",task_memcg=/a,task=z,pid=1,uid=0/b").expect("the second path"));
    let got = events(&[kernel(1, first.as_bytes()), continued(2, second.as_bytes())]);
    assert!(matches!(got[0].event, OomEvent::Summary { pid: 470, uid: 5, .. }), "{got:?}");
}

#[test]
fn a_continuation_of_another_line_is_taken_back() {
    let line = summary("/a", "/a/b", "x", 470, 5);
    let got = events(&[kernel(1, line.as_bytes()), continued(2, b" [somebody else's words]")]);
    assert_eq!(got[0].event, memcg("/a", "/a/b", "x", 470, 5));
}

#[test]
fn a_summary_whose_rest_was_lost_is_reported_as_unreadable() {
    let mut parser = Parser::default();
    let text = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a";
    assert_eq!(parser.push(&kernel(1, text.as_bytes())), []);
    let event = parser.finish().expect("it does not vanish").event;
    assert_eq!(event, OomEvent::Unreadable { text: text.to_owned() });
}

#[test]
fn a_summary_does_not_wait_for_ever() {
    let mut parser = Parser::default();
    assert_eq!(parser.push(&kernel(1, summary("/a", "/a/b", "x", 4, 5).as_bytes())), []);
    let done = (2..100).find(|seq| !parser.push(&kernel(*seq, b"something else")).is_empty());
    assert_eq!(done, Some(2 + u64::from(PATIENCE)));
}

proptest! {
    #[test]
    fn any_records_are_read_without_a_panic(
        lines in proptest::collection::vec((any::<bool>(), hostile(200)), 0..8)
    ) {
        let records: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(seq, (more, text))| Record { continuation: *more, ..kernel(seq as u64, text) })
            .collect();
        let _ = events(&records);
    }

    #[test]
    fn no_name_changes_pid_uid_or_cgroup(comm in hostile(15), pid in 1u32..4_194_304, uid in any::<u32>()) {
        let mut line = b"6,1,2,-;".to_vec();
        let head = summary("/lab.slice", "/lab.slice/hog.scope", "", pid, uid);
        let (before, after) = head.split_at(head.find(",task=,pid").expect("the name") + ",task=".len());
        line.extend(escape(&[before.as_bytes(), &comm, after.as_bytes()].concat()).bytes());
        line.extend(b"\n3,2,3,-;");
        let kill = format!("Memory cgroup out of memory: Killed process {pid} (");
        line.extend(escape(&[kill.as_bytes(), &comm, format!(") {SIZES}").as_bytes()].concat()).bytes());
        let records: Vec<_> = records(&line).collect();
        let name = String::from_utf8_lossy(&comm).into_owned();
        let got: Vec<_> = events(&records).into_iter().map(|event| event.event).collect();
        prop_assert_eq!(
            got,
            [memcg("/lab.slice", "/lab.slice/hog.scope", &name, pid, uid), killed(Scope::Memcg, pid, &name)]
        );
    }
}

/// Bytes rich in what the kernel's own lines are made of.
fn hostile(max: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_filter("names end at a zero byte", |byte| *byte != 0).prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            ",pid=",
            ",uid=",
            ",task=",
            ",task_memcg=/",
            ",oom_memcg=/",
            ",global_oom",
            ") total-vm:",
            " (",
            "kB, ",
            "1",
            "oom-kill:constraint=",
            "CONSTRAINT_MEMCG",
            ",nodemask=",
            "Tasks in /",
            "Out of memory: ",
            "Killed process ",
            " invoked oom-killer: gfp_mask=",
            "\\x2d",
            "\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(move |pieces| {
        let mut bytes = pieces.concat();
        bytes.truncate(max);
        bytes
    })
}
