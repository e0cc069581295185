//! Live progress for people: bars on a terminal, one plain line every ten seconds elsewhere. On standard error only.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use reports::outcome::Verdict;
use reports::report::Case;
use reports::text;

use crate::run::progress::Progress;

/// Time between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Where progress is shown.
pub struct Display {
    bars: Option<MultiProgress>,
    began: Instant,
    /// Cases to come.
    cases: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    judged: usize,
    shown: BTreeMap<String, ProgressBar>,
    now: BTreeMap<String, String>,
    last_plain: Option<Instant>,
}

impl Display {
    /// For so many cases.
    #[must_use]
    pub fn of(cases: usize) -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, began: Instant::now(), cases, state: Mutex::default() }
    }

    /// Says what `who` (a guest or a case) is doing now.
    pub fn doing(&self, who: &str, what: &str) {
        let what = text::line(what);
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bars) = &self.bars {
            let bar = state.shown.entry(who.to_owned()).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new_spinner().with_prefix(who.to_owned()));
                let style = ProgressStyle::with_template("{spinner} {prefix:32!} {wide_msg} {elapsed:>4}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            bar.set_message(what.clone());
        }
        state.now.insert(who.to_owned(), what);
        self.plain(&mut state);
    }

    /// Says what a running case is doing, with its memory against the cap.
    pub fn case(&self, name: &str, progress: &Progress) {
        let phase = format!("{:?}", progress.phase).to_lowercase();
        let seconds = progress.elapsed_ms as f64 / 1e3;
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let memory = match progress.cap {
            Some(cap) if cap > 0 => format!(
                "{} {:.0} of {:.0} MiB",
                gauge(progress.current as f64 / cap as f64),
                mib(progress.current),
                mib(cap)
            ),
            _ => format!("{:.0} MiB", mib(progress.current)),
        };
        self.doing(name, &format!("{phase:<8} {memory}  {seconds:.1} s"));
    }

    /// Says that `who` is done, in one lasting line.
    pub fn done(&self, who: &str, what: &str) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.now.remove(who);
        let line = format!("{who:<34} {}", text::line(what));
        match (&self.bars, state.shown.remove(who)) {
            (Some(bars), Some(bar)) => {
                bar.finish_and_clear();
                let _ = bars.println(line);
            }
            (Some(bars), None) => {
                let _ = bars.println(line);
            }
            (None, _) => self.say(&line),
        }
    }

    /// Says that a case is done: how many are done by now, its verdict, and why it is not a pass.
    pub fn judged(&self, name: &str, case: &Case) {
        let number = {
            let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            state.judged += 1;
            state.judged
        };
        // One that is run again makes one more.
        let of = format!("{number}/{}", self.cases.max(number));
        let why = case.reason.as_ref().filter(|_| case.verdict != Verdict::Pass);
        let verdict = case.verdict;
        self.done(name, &format!("{of:>7} {verdict:<13} {}", why.unwrap_or(&case.headline)));
    }

    /// Where there is no terminal: who does what, every ten seconds.
    fn plain(&self, state: &mut State) {
        if self.bars.is_some() || state.last_plain.is_some_and(|last| last.elapsed() < PLAIN_EVERY) {
            return;
        }
        state.last_plain = Some(Instant::now());
        let words: Vec<String> = state.now.iter().map(|(who, what)| format!("{who}: {what}")).collect();
        self.say(&words.join("; "));
    }

    fn say(&self, line: &str) {
        // A closed standard error is no reason to stop a run.
        let _ = writeln!(std::io::stderr(), "[{:6.1} s] {line}", self.began.elapsed().as_secs_f64());
    }
}

/// Ten cells, filled by how much of the cap is used.
fn gauge(share: f64) -> String {
    let filled = (share.clamp(0.0, 1.0) * 10.0).round() as usize;
    format!("{}{}", "█".repeat(filled), "░".repeat(10 - filled))
}

#[cfg(test)]
mod tests {
    use super::gauge;
    use rstest::rstest;

    #[rstest]
    #[case(0.0, "░░░░░░░░░░")]
    #[case(0.54, "█████░░░░░")]
    #[case(1.2, "██████████")]
    fn a_gauge_has_ten_cells(#[case] share: f64, #[case] cells: &str) {
        assert_eq!(gauge(share), cells);
    }
}
