//! The balloon: waits, becomes evictable or stays pinned, and then follows its profile until it has held the
//! total for long enough. One loop serves all profiles; how many bytes to hold when is the profile's business.

use crate::crew;
use crate::options::{BalloonOptions, HugePages, Memory};
use crate::order::Order;
use crate::pages::{PAGE, Region};
use crate::recorder::Recorder;
use crate::resident::Witness;
use crate::start::Life;
use crate::status::{Kind, Page, Phase};
use crate::trouble::Trouble;
use crate::{clock, start, text};
use nix::sys::prctl;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How often a balloon that has nothing to do gives a sign of life.
const IDLE: Duration = Duration::from_millis(100);
/// No profile is followed more closely than this.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// Time between two self-checks.
const CHECK_NS: u64 = 1_000_000_000;
/// A step that took longer than this met resistance.
const SLOW_NS: u64 = 100_000_000;

/// Runs a balloon from its command line to its end.
///
/// # Errors
///
/// [`Trouble`], already written into the status page if there is one.
pub fn run(options: &BalloonOptions) -> Result<(), Trouble> {
    let order = Order::new(options)?;
    let kind = match options.kind {
        Memory::Anon => Kind::Anon,
        Memory::Shmem => Kind::Shmem,
        Memory::File => Kind::File,
    };
    let life = if options.released { Life::Second } else { Life::First };
    start::with_page(&options.start, kind, life, |page| {
        page.fields().total.store(order.profile.total(), Relaxed);
        if !options.released {
            prepare(&order)?;
            start::wait(page, &options.start)?;
            if let Some(copy) = &order.text_copy {
                return Err(text::become_copy(copy));
            }
        }
        if order.ignore_sigterm {
            start::ignore_sigterm()?;
        }
        let began_ns = start::begin(page, Phase::Climbing);
        if order.processes == 1 {
            Balloon::new(&order, page, 0, began_ns)?.follow()?;
        } else {
            crew::run(&order, page, began_ns)?;
        }
        page.set_phase(Phase::Done);
        Ok(())
    })
}

/// What has to be in place before the first page, and allocates nothing that lasts.
fn prepare(order: &Order) -> Result<(), Trouble> {
    if order.huge == HugePages::Never {
        prctl::set_thp_disable(true)
            .map_err(|errno| Trouble::system("forbid huge pages (PR_SET_THP_DISABLE)", errno))?;
    }
    text::settle(order.text)
}

/// One process with its part of the memory.
pub(crate) struct Balloon<'a> {
    order: &'a Order,
    page: &'a Page,
    slot: usize,
    began_ns: u64,
    region: Region,
    recorder: Recorder<'a>,
    witness: Witness,
    touched: u64,
    /// Populate the next step in one call; else fault page by page.
    at_once: bool,
    reached_ns: Option<u64>,
    checked_ns: u64,
    retouched_ns: u64,
}

impl<'a> Balloon<'a> {
    pub(crate) fn new(order: &'a Order, page: &'a Page, slot: usize, began_ns: u64) -> Result<Self, Trouble> {
        let total = order.profile.total();
        let witness = Witness::new()?;
        let region = Region::new(&order.source, order.huge, order.mlock, order.pages, total)?;
        Ok(Self {
            order,
            page,
            slot,
            began_ns,
            region,
            recorder: Recorder::new(page),
            witness,
            touched: 0,
            at_once: order.profile.is_unpaced(),
            reached_ns: None,
            checked_ns: began_ns,
            retouched_ns: 0,
        })
    }

    /// Follows the profile until the total was held for long enough.
    pub(crate) fn follow(mut self) -> Result<(), Trouble> {
        while !self.is_over() {
            let target = self.target();
            if self.touched > target {
                self.shrink(target)?;
            } else if let Some(to) = self.next_step(target) {
                self.grow(to)?;
            } else if self.is_retouch_due() {
                self.retouch();
            } else {
                self.rest(target);
            }
            self.check_now_and_then()?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let (Some(reached), Some(hold)) = (self.reached_ns, self.order.hold) else { return false };
        clock::now_ns() >= reached.saturating_add(clock::ns(hold))
    }

    /// Whole units only.
    fn target(&self) -> u64 {
        let elapsed = Duration::from_nanos(clock::now_ns().saturating_sub(self.began_ns));
        let target = self.order.profile.target(elapsed);
        target / self.order.unit * self.order.unit
    }

    /// Where the next step ends, if one is due: a whole step, or what is left to the total.
    fn next_step(&self, target: u64) -> Option<u64> {
        let to = (self.touched + self.order.step).min(self.goal());
        (to > self.touched && to <= target).then_some(to)
    }

    fn goal(&self) -> u64 {
        if self.order.profile.is_endless() { u64::MAX } else { self.order.profile.total() }
    }

    fn grow(&mut self, to: u64) -> Result<(), Trouble> {
        let from = self.touched;
        self.region.reserve(to)?;
        self.recorder.begin();
        text::read();
        if self.at_once && self.region.populate(from, to).is_ok() {
            self.region.touch(from, to, || {});
            self.account(to - from);
        } else {
            // Where populating fails, ordinary faults meet what ordinary programs meet: the throttle one page at a time,
            // and an OOM killer that finds the task in a page fault.
            let (page, slot) = (self.page.fields(), self.slot);
            self.region.touch(from, to, || {
                page.touched.fetch_add(PAGE, Relaxed);
                page.touched_by[slot].fetch_add(PAGE, Relaxed);
            });
        }
        self.touched = to;
        let took = self.recorder.end_as_gap();
        // Populating a band between high and max would charge in larger batches than page faults do, and say nothing
        // for the whole step. So a slow step is followed by one that faults page by page, until that is quick again.
        self.at_once = self.order.profile.is_unpaced() && took < SLOW_NS;
        self.note_reached()
    }

    fn account(&self, bytes: u64) {
        let page = self.page.fields();
        page.touched.fetch_add(bytes, Relaxed);
        page.touched_by[self.slot].fetch_add(bytes, Relaxed);
    }

    fn note_reached(&mut self) -> Result<(), Trouble> {
        if self.reached_ns.is_none() && self.touched >= self.order.profile.total() {
            let now = clock::now_ns();
            self.reached_ns = Some(now);
            self.retouched_ns = now;
            let page = self.page.fields();
            if page.touched.load(Relaxed) >= page.total.load(Relaxed) {
                page.reached_ns.store(now, Relaxed);
                self.page.set_phase(Phase::Holding);
            }
            self.check()?;
        }
        Ok(())
    }

    fn shrink(&mut self, target: u64) -> Result<(), Trouble> {
        self.recorder.begin();
        self.region
            .release(target, self.touched)
            .map_err(|error| Trouble::system("give memory back", error))?;
        let page = self.page.fields();
        page.touched.fetch_sub(self.touched - target, Relaxed);
        page.touched_by[self.slot].store(target, Relaxed);
        self.touched = target;
        self.recorder.end_as_gap();
        Ok(())
    }

    fn is_retouch_due(&self) -> bool {
        let Some(pause) = self.order.retouch else { return false };
        self.reached_ns.is_some() && clock::now_ns() >= self.retouched_ns.saturating_add(clock::ns(pause))
    }

    fn retouch(&mut self) {
        let mut from = 0;
        while from < self.touched && !self.is_over() {
            let to = (from + self.order.step).min(self.touched);
            self.recorder.begin();
            text::read();
            self.region.touch_again(from, to);
            self.recorder.end_as_gap();
            from = to;
        }
        self.retouched_ns = clock::now_ns();
    }

    fn rest(&mut self, target: u64) {
        let mut wake = clock::now_ns() + clock::ns(self.pause(target));
        if let Some(pause) = self.order.retouch.filter(|_| self.reached_ns.is_some()) {
            wake = wake.min(self.retouched_ns.saturating_add(clock::ns(pause)));
        }
        if let (Some(reached), Some(hold)) = (self.reached_ns, self.order.hold) {
            wake = wake.min(reached.saturating_add(clock::ns(hold)));
        }
        clock::sleep_until(wake);
        self.recorder.woke();
        text::read();
    }

    /// Until the next step is due; at the top, until there is reason to look again.
    fn pause(&self, target: u64) -> Duration {
        let longest = IDLE.min(self.order.profile.patience()).max(SHORTEST_SLEEP);
        let missing = (self.touched + self.order.step).min(self.goal()).saturating_sub(target);
        if missing == 0 {
            return longest;
        }
        let climb = u128::from(missing) * 1_000_000_000 / u128::from(self.order.profile.speed().max(1));
        Duration::from_nanos(u64::try_from(climb).unwrap_or(u64::MAX)).clamp(SHORTEST_SLEEP, longest)
    }

    fn check_now_and_then(&mut self) -> Result<(), Trouble> {
        if clock::now_ns().saturating_sub(self.checked_ns) < CHECK_NS { Ok(()) } else { self.check() }
    }

    fn check(&mut self) -> Result<(), Trouble> {
        let resident = self.witness.check(&self.order.source, &self.region, self.touched)?;
        self.page.fields().resident_checked.store(resident, Relaxed);
        self.checked_ns = clock::now_ns();
        Ok(())
    }
}
