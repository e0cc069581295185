//! A connection that is made anew when it is lost, once for each question; what cannot be asked is said at once.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long nobody tries again after the connection could not be renewed: whoever has many questions must not wait for
/// each of them.
const REST: Duration = Duration::from_secs(5);

/// A connection, and how to make another.
pub(super) struct Renewed<L> {
    open: Box<dyn Fn() -> zbus::Result<L> + Send + Sync>,
    state: Mutex<State<L>>,
}

struct State<L> {
    link: Option<Arc<L>>,
    /// When it could not be renewed, and why.
    refused: Option<(Instant, zbus::Error)>,
}

impl<L> std::fmt::Debug for Renewed<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewed").field("connected", &self.state().link.is_some()).finish()
    }
}

impl<L> Renewed<L> {
    /// A connection that stands, and how to make the next.
    pub(super) fn new(first: L, open: impl Fn() -> zbus::Result<L> + Send + Sync + 'static) -> Self {
        let state = State { link: Some(Arc::new(first)), refused: None };
        Self { open: Box::new(open), state: Mutex::new(state) }
    }

    /// Asks; when the connection turns out to be lost, once more on a new one. Only for what may be asked twice.
    pub(super) fn ask<T>(&self, call: impl Fn(&L) -> zbus::Result<T>) -> zbus::Result<T> {
        match self.ask_once(&call) {
            Err(error) if is_lost(&error) => self.ask_once(call),
            answered => answered,
        }
    }

    /// Asks once. A connection that turns out to be lost is not used again, nor is one that gave no answer in all its
    /// time: whether anybody is there is found out sooner on a new one.
    pub(super) fn ask_once<T>(&self, call: impl Fn(&L) -> zbus::Result<T>) -> zbus::Result<T> {
        let link = self.link()?;
        let answered = call(&link);
        if answered.as_ref().is_err_and(|error| is_lost(error) || is_late(error)) {
            let mut state = self.state();
            // Another thread may have renewed it meanwhile.
            if state.link.as_ref().is_some_and(|known| Arc::ptr_eq(known, &link)) {
                state.link = None;
            }
        }
        answered
    }

    /// The connection; a new one when it was lost.
    fn link(&self) -> zbus::Result<Arc<L>> {
        let mut state = self.state();
        if let Some(link) = &state.link {
            return Ok(Arc::clone(link));
        }
        if let Some((at, error)) = &state.refused
            && at.elapsed() < REST
        {
            return Err(error.clone());
        }
        match (self.open)() {
            Ok(link) => {
                let link = Arc::new(link);
                *state = State { link: Some(Arc::clone(&link)), refused: None };
                Ok(link)
            }
            Err(error) => {
                state.refused = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error says that nobody is at the other end: the bus closed the connection, or PID 1 is not on it. A slow
/// answer is none of it.
pub(super) fn is_lost(error: &zbus::Error) -> bool {
    use zbus::fdo::Error as Fdo;
    match error {
        zbus::Error::InputOutput(_) => !is_late(error),
        zbus::Error::Connection(..) => true,
        zbus::Error::FDO(error) => matches!(
            **error,
            Fdo::Disconnected(_) | Fdo::NoReply(_) | Fdo::NameHasNoOwner(_) | Fdo::ServiceUnknown(_)
        ),
        _ => false,
    }
}

fn is_late(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::InputOutput(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// What a connection says that was closed.
pub(super) fn lost() -> zbus::Error {
    zbus::Error::InputOutput(Arc::new(io::ErrorKind::BrokenPipe.into()))
}

/// Opens a connection within a time: a bus that accepts and says no word would keep its caller for ever.
pub(super) fn within<L: Send + 'static>(
    time: Duration,
    open: impl FnOnce() -> zbus::Result<L> + Send + 'static,
) -> zbus::Result<L> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let opening = std::thread::Builder::new().name("systemd-connect".to_owned());
    // Nobody waits for a thread that is late: what it opens then is closed at once.
    opening.spawn(move || sender.send(open()))?;
    let late = |_| zbus::Error::InputOutput(Arc::new(io::ErrorKind::TimedOut.into()));
    receiver.recv_timeout(time).map_err(late)?
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rstest::rstest;

    use super::*;

    /// A connection numbered 0, its successors numbered on; the first `refused` attempts at one fail.
    fn numbered(refused: u32) -> (Renewed<u32>, Arc<AtomicU32>) {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let open = move || {
            let attempt = counted.fetch_add(1, Ordering::Relaxed) + 1;
            if attempt <= refused { Err(lost()) } else { Ok(attempt) }
        };
        (Renewed::new(0, open), attempts)
    }

    /// What a connection says of which all up to `dead` are closed.
    fn closed_up_to(dead: u32) -> impl Fn(&u32) -> zbus::Result<u32> {
        move |link| if *link <= dead { Err(lost()) } else { Ok(*link) }
    }

    #[test]
    fn a_question_that_meets_a_lost_connection_is_asked_again_on_a_new_one() {
        let (bus, attempts) = numbered(0);
        assert_eq!(bus.ask(|link| Ok(*link)).ok(), Some(0));
        assert_eq!(bus.ask(closed_up_to(0)).ok(), Some(1));
        assert_eq!(bus.ask(|link| Ok(*link)).ok(), Some(1), "the new one is kept");
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_question_is_asked_twice_and_no_more() {
        let (bus, attempts) = numbered(0);
        assert!(bus.ask(closed_up_to(9)).is_err());
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_must_not_be_asked_twice_is_asked_once_and_the_next_question_finds_a_new_connection() {
        let (bus, attempts) = numbered(0);
        assert!(bus.ask_once(closed_up_to(0)).is_err());
        assert_eq!(attempts.load(Ordering::Relaxed), 0);
        assert_eq!(bus.ask_once(closed_up_to(0)).ok(), Some(1));
    }

    #[test]
    fn a_bus_that_is_gone_costs_one_attempt_for_many_questions() {
        let (bus, attempts) = numbered(u32::MAX);
        for _ in 0..100 {
            assert!(bus.ask(closed_up_to(0)).is_err_and(|error| is_lost(&error)));
        }
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_bus_that_does_not_answer_costs_its_time_once() {
        let (bus, attempts) = numbered(u32::MAX);
        let asked = AtomicU32::new(0);
        let late = |_: &u32| {
            asked.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(zbus::Error::InputOutput(Arc::new(io::ErrorKind::TimedOut.into())))
        };
        for _ in 0..100 {
            assert!(bus.ask(late).is_err());
        }
        assert_eq!((asked.load(Ordering::Relaxed), attempts.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn an_answer_that_is_an_error_is_no_reason_to_connect_anew() {
        let (bus, attempts) = numbered(0);
        let refused = |_: &u32| Err::<(), _>(zbus::Error::Failure("no such unit".into()));
        assert!(bus.ask(refused).is_err());
        assert_eq!(attempts.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_bus_that_says_nothing_does_not_keep_its_caller() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let silent = move || receiver.recv().map_err(|_| lost());
        let error = within(Duration::from_millis(20), silent).expect_err("late");
        assert!(matches!(&error, zbus::Error::InputOutput(error) if error.kind() == io::ErrorKind::TimedOut));
        drop(sender);
    }

    #[rstest]
    #[case::closed(lost(), true)]
    #[case::slow(zbus::Error::InputOutput(Arc::new(io::ErrorKind::TimedOut.into())), false)]
    #[case::restarting(zbus::fdo::Error::ServiceUnknown("systemd1".into()).into(), true)]
    #[case::gone_in_mid_answer(zbus::fdo::Error::NoReply("disconnected".into()).into(), true)]
    #[case::refused(zbus::fdo::Error::AccessDenied("no".into()).into(), false)]
    fn a_lost_connection_is_told_from_an_answer(#[case] error: zbus::Error, #[case] lost: bool) {
        assert_eq!(is_lost(&error), lost);
    }
}
