//! What systemd-oomd and earlyoom say of themselves, and kills in order.

use harness::kmsg::oom::Scope;
use harness::record::Event;
use harness::record::event::{ActorEnd, UnitState, When};
use reports::number::{Number, Unit};
use reports::outcome::Verdict::{self, Fail, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{CANARY, HOG, Run, finding, running, verdict_of};

const OOMD: &str = "systemd-oomd.service";
const WATCHES: &str = "\n[[expect]]\nid = \"armed\"\noomd = { watches = \"work\", trigger = \"swap\" }\n";
pub(crate) const ORDER: &str = "\n[[expect]]\nid = \"order\"\nkill-order = [\"hog\", \"canary\"]\n";
pub(crate) const CHOOSES: &str = r#"
[earlyoom]
dry-run = true
term-memory = 50
kill-memory = 1
term-swap = 100
kill-swap = 100

[[expect]]
id = "chooses"
earlyoom = { selects = ["hog"], never = ["canary"], signals = ["SIGTERM"] }
"#;

/// A dump in the words of 257, with these paths watched for swap use.
fn dump(dry: &str, paths: &[&str]) -> String {
    let list: String = paths.iter().map(|path| format!("\tPath: {path}\n\t\tSwap Usage: 0B\n")).collect();
    format!(
        "Dry Run: {dry}\nSwap Monitored CGroups:\n{list}Memory Pressure Monitored CGroups:\n\tPath: WORK\n"
    )
}

#[rstest]
#[case::armed_and_watching(vec![dump("no", &["WORK"]), dump("no", &["WORK"])], Pass)]
#[case::among_others(vec![dump("no", &["/x.slice", "WORK"]), dump("no", &["WORK"])], Pass)]
#[case::not_asked_again(vec![dump("no", &["WORK"])], Inconclusive)]
#[case::a_dry_run(vec![dump("yes", &["WORK"])], Fail)]
#[case::watching_it_for_something_else(vec![dump("no", &[])], Fail)]
#[case::watching_a_neighbour(vec![dump("no", &["WORK-2"])], Fail)]
#[case::watching_it_no_longer(vec![dump("no", &["WORK"]), dump("no", &[])], Fail)]
#[case::only_in_the_end(vec![dump("no", &[]), dump("no", &["WORK"])], Fail)]
#[case::no_dump(vec![], Inconclusive)]
#[case::a_dump_of_nothing(vec!["Failed to connect to bus".into()], Inconclusive)]
fn oomd_is_a_backstop_only_where_its_own_dump_says_so(#[case] dumps: Vec<String>, #[case] verdict: Verdict) {
    let mut run = Run::claiming(WATCHES);
    let work = run.work();
    for (at, text) in [2_900_000, 6_450_000].into_iter().zip(dumps) {
        run.add(at, Event::OomdDump { text: text.replace("WORK", &work) });
    }
    run.heard(OOMD, 0);
    run.column("systemd-oomd.service:cpu.usage", |at| Some(at / 1000));
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "armed"), verdict, "{}", finding(&judgement, "armed").observed);
}

/// The unit of the scenario's own earlyoom.
pub(crate) fn own_earlyoom(run: &Run) -> String {
    run.plan().daemons.iter().find(|daemon| daemon.start.is_some()).expect("an earlyoom").unit.to_string()
}

fn chose(signal: &str, pid: u32) -> String {
    format!("sending {signal} to process {pid} uid 0 \"x\": oom_score 884, VmRSS 51 MiB, cmdline \"x\"")
}

/// The lines before a choice: what is left, and the threshold it is below.
fn short(left: &str, signal: &str, limit: &str) -> [String; 2] {
    [
        format!("mem avail:   900 of  2000 MiB ({left}%), swap free:    0 of    0 MiB ( 0.00%)"),
        format!("low memory! at or below {signal} limits: mem {limit}%, swap 100.00%"),
    ]
}

#[rstest]
#[case::whom_it_should(&[chose("SIGTERM", HOG)], Pass)]
#[case::again_and_again(&[chose("SIGTERM", HOG), chose("SIGTERM", HOG)], Pass)]
#[case::whom_it_must_not(&[chose("SIGTERM", HOG), chose("SIGTERM", CANARY)], Fail)]
#[case::a_stranger(&[chose("SIGTERM", 300)], Fail)]
#[case::with_another_signal(&[chose("SIGKILL", HOG)], Fail)]
#[case::nobody(&["mem avail: 300 of 2000 MiB (15.00%)".to_owned()], Fail)]
#[case::it_said_nothing(&[], Inconclusive)]
fn earlyoom_chooses_whom_it_should(#[case] lines: &[String], #[case] verdict: Verdict) {
    let mut run = Run::claiming(CHOOSES);
    let unit = own_earlyoom(&run);
    run.heard(&unit, lines.len() as u64);
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("sending ") {
            run.earlyoom_says(5_350_000 + at as u64, &short("45.00", "SIGTERM", "50.00"));
        }
        run.earlyoom_says(5_350_000 + at as u64, std::slice::from_ref(line));
    }
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "chooses"), verdict, "{}", finding(&judgement, "chooses").observed);
}

/// It was told 50 % for SIGTERM and 1 % for SIGKILL.
#[rstest]
#[case::as_it_was_told(&short("45.00", "SIGTERM", "50.00"), Pass)]
#[case::at_another_threshold(&short("45.00", "SIGTERM", "60.00"), Fail)]
#[case::above_its_threshold(&short("50.01", "SIGTERM", "50.00"), Fail)]
#[case::for_another_signal(&short("0.50", "SIGKILL", "1.00"), Inconclusive)]
#[case::without_a_word_of_what_was_left(&short("45.00", "SIGTERM", "50.00")[1..], Inconclusive)]
#[case::without_a_threshold(&short("45.00", "SIGTERM", "50.00")[..1], Inconclusive)]
#[case::without_a_reason(&[], Inconclusive)]
fn earlyoom_chooses_at_the_threshold_it_was_told(#[case] before: &[String], #[case] verdict: Verdict) {
    let mut run = Run::claiming(CHOOSES);
    run.add(5_900_000, Event::DaemonLogRead { lines: 1 });
    run.earlyoom_says(5_350_000, before);
    run.earlyoom_says(5_350_001, &[chose("SIGTERM", HOG)]);
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "chooses"), verdict, "{}", finding(&judgement, "chooses").observed);
}

/// A choice stands on its own threshold: that of an earlier one does not speak for it.
#[test]
fn each_choice_has_its_own_reason() {
    let mut run = Run::claiming(CHOOSES);
    run.add(5_900_000, Event::DaemonLogRead { lines: 1 });
    run.earlyoom_says(5_350_000, &short("45.00", "SIGTERM", "50.00"));
    run.earlyoom_says(5_350_001, &[chose("SIGTERM", HOG), chose("SIGTERM", HOG)]);
    assert_eq!(verdict_of(&run.judged(), "chooses"), Inconclusive);
}

#[test]
fn that_earlyoom_chose_nobody_is_known_only_from_a_log_read_to_its_end() {
    let mut run = Run::claiming(CHOOSES);
    run.earlyoom_says(5_350_000, &["mem avail: 300 of 2000 MiB (15.00%)".to_owned()]);
    assert_eq!(verdict_of(&run.judged(), "chooses"), Inconclusive);
}

/// The hog is seen dead at 5.4 s.
#[rstest]
#[case::after_the_hog(Some((5_600_000, ActorEnd::Signalled(9))), Pass)]
#[case::before_the_hog(Some((5_200_000, ActorEnd::Signalled(9))), Fail)]
#[case::not_at_all(None, Fail)]
fn actors_die_in_the_claimed_order(#[case] canary: Option<(u64, ActorEnd)>, #[case] verdict: Verdict) {
    let mut run = Run::claiming(ORDER);
    if let Some((at, end)) = canary {
        run.drop(|event| matches!(event, Event::ActorAlive { .. }));
        run.add(at, Event::ActorEnded { actor: "canary".into(), end });
        run.logged_kill_at(at - 50_000, Scope::Global, CANARY, "bystander");
        run.counts("system.slice:memory.events.oom_kill", 1);
    }
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "order"), verdict, "{}", finding(&judgement, "order").observed);
}

/// Both are found dead in one look around, the hog first; the kernel says that the canary went before it.
#[test]
fn the_kernels_times_decide_where_two_died_within_one_beat() {
    let mut run = Run::claiming(ORDER);
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    run.add(5_400_001, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Signalled(9) });
    run.logged_kill_at(5_200_000, Scope::Global, CANARY, "bystander");
    run.counts("system.slice:memory.events.oom_kill", 1);
    let judgement = run.judged();
    assert_eq!(finding(&judgement, "order").observed, "canary, then hog");
    assert_eq!(verdict_of(&judgement, "order"), Fail);
}

#[test]
fn an_order_is_open_while_one_of_them_was_seen_neither_dead_nor_alive() {
    let mut run = Run::claiming(ORDER);
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    assert_eq!(verdict_of(&run.judged(), "order"), Inconclusive);
}

/// The scenario's own earlyoom was told 50 % for SIGTERM and 1 % for SIGKILL; it may have any reason to act at its edge.
#[rstest]
#[case::at_its_edge(&["SIGTERM"], &[short("50.00", "SIGTERM", "50.00").to_vec(), vec![chose("SIGTERM", HOG)]].concat(), Pass)]
#[case::at_the_edge_for_sigkill(&["SIGKILL"], &[short("1.00", "SIGKILL", "1.00").to_vec(), vec![chose("SIGKILL", HOG)]].concat(), Pass)]
#[case::sigkill_at_the_edge_for_sigterm(&["SIGKILL"], &[short("0.50", "SIGKILL", "50.00").to_vec(), vec![chose("SIGKILL", HOG)]].concat(), Fail)]
#[case::any_signal_where_none_is_claimed(&[], &[short("1.00", "SIGKILL", "1.00").to_vec(), vec![chose("SIGKILL", HOG)]].concat(), Pass)]
#[case::sigkill_where_sigterm_had_no_effect(&["SIGTERM", "SIGKILL"], &[short("50.00", "SIGTERM", "50.00").to_vec(), vec![chose("SIGTERM", HOG), ESCALATES.to_owned()]].concat(), Pass)]
#[case::sigterm_that_had_an_effect(&["SIGTERM", "SIGKILL"], &[short("50.00", "SIGTERM", "50.00").to_vec(), vec![chose("SIGTERM", HOG)]].concat(), Fail)]
#[case::sigkill_at_once(&["SIGTERM", "SIGKILL"], &[short("1.00", "SIGKILL", "1.00").to_vec(), vec![chose("SIGKILL", HOG), ESCALATES.to_owned()]].concat(), Fail)]
fn earlyoom_sends_the_claimed_signals_at_their_thresholds(
    #[case] signals: &[&str],
    #[case] lines: &[String],
    #[case] verdict: Verdict,
) {
    let signals = if signals.is_empty() { String::new() } else { format!(", signals = {signals:?}") };
    let mut run = Run::claiming(&CHOOSES.replace(", signals = [\"SIGTERM\"]", &signals));
    run.add(5_900_000, Event::DaemonLogRead { lines: 1 });
    run.earlyoom_says(5_350_000, lines);
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "chooses"), verdict, "{}", finding(&judgement, "chooses").observed);
}

const ESCALATES: &str = "escalating to SIGKILL after 10.0 seconds";

/// Memory and swap alike must be at or below the threshold; the machine's own was told what nobody here knows.
#[rstest]
#[case::at_both("10.00", "10.00", Pass)]
#[case::swap_left("10.00", "10.01", Fail)]
#[case::memory_left("10.01", "10.00", Fail)]
fn earlyoom_acts_when_memory_and_swap_are_short(
    #[case] memory: &str,
    #[case] swap: &str,
    #[case] verdict: Verdict,
) {
    let mut run = Run::claiming(CHOOSES);
    let claims = run.plan_mut().expectations.iter_mut();
    for expectation in claims {
        if let harness::plan::claim::Claim::Earlyoom(claim) = &mut expectation.claim {
            claim.thresholds = None;
        }
    }
    run.add(5_900_000, Event::DaemonLogRead { lines: 1 });
    run.earlyoom_says(
        5_350_000,
        &[
            format!("mem avail:   900 of  2000 MiB ({memory}%), swap free:  90 of  200 MiB ({swap}%)"),
            "low memory! at or below SIGTERM limits: mem 10.00%, swap 10.00%".into(),
            chose("SIGTERM", HOG),
        ],
    );
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "chooses"), verdict, "{}", finding(&judgement, "chooses").observed);
}

/// Somebody else's earlyoom speaks only where the scenario has none of its own.
#[rstest]
#[case::its_own(true, "OWN", Fail)]
#[case::a_stranger_beside_its_own(true, "earlyoom.service", Pass)]
#[case::the_machines(false, "earlyoom.service", Fail)]
#[case::any_of_the_machines(false, "earlyoom-2.service", Fail)]
fn only_the_earlyoom_that_is_meant_is_asked(#[case] own: bool, #[case] unit: &str, #[case] verdict: Verdict) {
    let mut run = Run::claiming(CHOOSES);
    let unit = unit.replace("OWN", &own_earlyoom(&run));
    if !own {
        for daemon in &mut run.plan_mut().daemons {
            (daemon.unit, daemon.start) = ("earlyoom.service".parse().expect("a unit"), None);
        }
    }
    run.add(5_900_000, Event::DaemonLogRead { lines: 1 });
    run.earlyoom_says(
        5_350_000,
        &[short("45.00", "SIGTERM", "50.00").to_vec(), vec![chose("SIGTERM", HOG)]].concat(),
    );
    let line = chose("SIGTERM", CANARY);
    run.add(5_360_000, Event::DaemonLine { daemon: "earlyoom".into(), unit: Some(unit), line });
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "chooses"), verdict, "{}", finding(&judgement, "chooses").observed);
}

/// The words name the worst choice, the first reason, and whether anybody was killed at all.
#[rstest]
#[case::of_two_wrong_ones_the_forbidden(
    &[chose("SIGTERM", 300), chose("SIGTERM", CANARY)], "2 of 2 choices wrong: SIGTERM to x (pid 216)"
)]
#[case::nobody(
    &["mem avail: 300".to_owned(), "mem avail: 200".to_owned()], "chose nobody; its last line: mem avail: 200"
)]
#[case::for_real(
    &[short("45.00", "SIGTERM", "50.00").to_vec(), vec![chose("SIGTERM", HOG)]].concat(),
    "1 choices, first SIGTERM to x (pid 215), with 45 % of memory and 0 % of swap left (threshold 50 % and 100 %)"
)]
#[case::in_a_dry_run(
    &[vec!["dryrun mode enabled, will not kill anything".to_owned()], short("45.00", "SIGTERM", "50.00").to_vec(),
        vec![chose("SIGTERM", HOG)], short("40.00", "SIGTERM", "50.00").to_vec(), vec![chose("SIGTERM", HOG)]].concat(),
    "dry run, 2 choices, first SIGTERM to x (pid 215), with 45 % of memory and 0 % of swap left (threshold 50 % and 100 %)"
)]
fn what_earlyoom_did_is_said_in_short(#[case] lines: &[String], #[case] words: &str) {
    let mut run = Run::claiming(CHOOSES);
    let unit = own_earlyoom(&run);
    run.heard(&unit, 1);
    run.earlyoom_says(5_350_000, lines);
    let judgement = run.judged();
    let found = finding(&judgement, "chooses");
    assert_eq!(found.observed, words);
    assert_eq!(found.expected, "chooses hog, never canary, with SIGTERM");
}

#[test]
fn what_is_not_claimed_of_earlyoom_is_not_said() {
    let judgement =
        Run::claiming(&CHOOSES.replace(", never = [\"canary\"], signals = [\"SIGTERM\"]", "")).judged();
    assert_eq!(finding(&judgement, "chooses").expected, "chooses hog");
}

/// Beside the words stand the numbers of the first threshold that was crossed, once it is known what was left.
#[test]
fn what_was_left_at_the_first_threshold_is_told_in_numbers() {
    let mut run = Run::claiming(CHOOSES);
    run.earlyoom_says(5_350_000, &short("45.00", "SIGTERM", "50.00")[1..]);
    run.earlyoom_says(5_350_001, &short("44.00", "SIGTERM", "50.00"));
    run.earlyoom_says(5_350_002, &short("0.50", "SIGKILL", "1.00"));
    let judgement = run.judged();
    let numbers: Vec<_> =
        finding(&judgement, "chooses").numbers.iter().map(|number| (number.value, number.bound)).collect();
    assert_eq!(numbers, [(Some(44.0), 50.0), (Some(0.0), 100.0)]);
}

/// The kernel first speaks of the hog at 5.3 s by its own clock.
#[rstest]
#[case::after_it(5_550_000, 250_000.0)]
#[case::before_it(5_150_000, -150_000.0)]
fn the_time_from_kill_to_kill_is_told_in_numbers(#[case] canary: u64, #[case] us: f64) {
    let mut run = Run::claiming(ORDER);
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    let end = ActorEnd::Signalled(9);
    run.add(canary + 50_000, Event::ActorEnded { actor: "canary".into(), end });
    run.logged_kill_at(canary, Scope::Global, CANARY, "bystander");
    run.counts("system.slice:memory.events.oom_kill", 1);
    let judgement = run.judged();
    let what = "from the end of hog to that of canary";
    let number = Number::at_least(what, Unit::Microseconds, Some(us), 0.0);
    assert_eq!(finding(&judgement, "order").numbers, [number]);
}

#[rstest]
#[case::by_itself(ActorEnd::Exited(0), Fail)]
#[case::by_nobody_knows_whom(ActorEnd::Signalled(9), Inconclusive)]
fn an_order_is_one_of_kills(#[case] canary: ActorEnd, #[case] verdict: Verdict) {
    let mut run = Run::claiming(ORDER);
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    run.add(5_600_000, Event::ActorEnded { actor: "canary".into(), end: canary });
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "order"), verdict, "{}", finding(&judgement, "order").observed);
}

/// It looks around every second. The stress lasts from 3 to 20 s; it uses the processor but for the time in between.
#[rstest]
#[case::for_as_long_as_it_may(5_000_000, 10_000_000, Pass, 5.0)]
#[case::for_longer(5_000_000, 10_500_000, Inconclusive, 5.5)]
#[case::from_the_beginning(1_000_000, 8_000_000, Pass, 5.0)]
#[case::from_the_beginning_for_longer(1_000_000, 8_500_000, Inconclusive, 5.5)]
#[case::to_the_end_for_longer(14_500_000, 21_000_000, Inconclusive, 5.5)]
fn an_oomd_that_does_nothing_is_no_backstop(
    #[case] rests: u64,
    #[case] works: u64,
    #[case] verdict: Verdict,
    #[case] seconds: f64,
) {
    let mut run = Run::claiming(WATCHES);
    let text = dump("no", &["WORK"]).replace("WORK", &run.work());
    for at in [2_900_000, 6_450_000] {
        run.add(at, Event::OomdDump { text: text.clone() });
    }
    run.heard(OOMD, 0);
    let ticks: Vec<u64> = (2..=41).map(|half| half * 500_000).collect();
    let usage = |at: u64| Some(if (rests..=works).contains(&at) { rests } else { at });
    run.sampled_until(20_000_000, &ticks, &[("systemd-oomd.service:cpu.usage", &usage)]);
    let judgement = run.judged();
    let found = finding(&judgement, "armed");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
    let what = "longest time without any use of the processor";
    assert_eq!(found.numbers, [Number::at_most(what, Unit::Microseconds, Some(seconds * 1e6), 5e6)]);
}

fn changed(change: impl Fn(&mut UnitState)) -> Option<UnitState> {
    let mut state = running("running", "success");
    change(&mut state);
    Some(state)
}

/// Its dumps agree; but whoever made them was not there for all of the stress.
#[rstest]
#[case::it_was(changed(|_| ()), changed(|_| ()), Pass, "armed")]
#[case::it_stopped(
    changed(|_| ()),
    changed(|oomd| oomd.active = "inactive".into()),
    Inconclusive,
    "was active before the stress and inactive after it"
)]
#[case::it_started(
    changed(|oomd| oomd.active = "inactive".into()),
    changed(|_| ()),
    Inconclusive,
    "was inactive before the stress and active after it"
)]
#[case::it_started_again(
    changed(|_| ()),
    changed(|oomd| oomd.invocation_id = Some("0".repeat(32))),
    Inconclusive,
    "was restarted during the stress"
)]
#[case::it_is_another_process(
    changed(|_| ()),
    changed(|oomd| oomd.main_pid = Some(9)),
    Inconclusive,
    "was restarted during the stress"
)]
#[case::it_is_gone(changed(|_| ()), None, Inconclusive, "was not seen before and after the stress")]
fn an_oomd_is_armed_as_one_and_the_same_process(
    #[case] before: Option<UnitState>,
    #[case] after: Option<UnitState>,
    #[case] verdict: Verdict,
    #[case] words: &str,
) {
    let mut run = Run::claiming(WATCHES);
    let text = dump("no", &["WORK"]).replace("WORK", &run.work());
    for at in [2_900_000, 6_450_000] {
        run.add(at, Event::OomdDump { text: text.clone() });
    }
    for (when, state) in [(When::Before, before), (When::After, after)] {
        run.unit(OOMD, when, state);
    }
    run.column("systemd-oomd.service:cpu.usage", |at| Some(at / 1000));
    let judgement = run.judged();
    let found = finding(&judgement, "armed");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
    assert!(found.observed.contains(words), "{}", found.observed);
}
