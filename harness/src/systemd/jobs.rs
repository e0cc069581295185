//! The ends of systemd's jobs, as they are announced.
//!
//! A thread takes every `JobRemoved` signal off the connection, from before the first job is asked for, so that an end
//! that is announced before the reply to the call has been read is not missed, and a waiting caller has a real deadline.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::proxy::JobRemovedStream;

/// Ends kept for callers that have not asked yet. Other programs' jobs are announced too.
const KEPT: usize = 1024;

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// systemd's word: `done`, `failed`, …
    Announced(String),
    /// Not within the deadline.
    Late,
    /// The connection to systemd broke.
    Disconnected,
}

#[derive(Debug, Default)]
struct State {
    /// Object path of the job, and its result.
    ends: VecDeque<(String, String)>,
    closed: bool,
}

/// What has been announced so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Jobs(Arc<(Mutex<State>, Condvar)>);

impl Jobs {
    /// Takes signals off `stream` in a thread of its own until the connection is closed.
    pub(super) fn follow(mut stream: JobRemovedStream) -> std::io::Result<Self> {
        let jobs = Self::default();
        let announced = jobs.clone();
        std::thread::Builder::new().name("systemd-jobs".to_owned()).spawn(move || {
            while let Some(signal) = zbus::block_on(next(&mut stream)) {
                if let Ok(args) = signal.args() {
                    announced.announce(args.job.as_str(), args.result);
                }
            }
            announced.close();
        })?;
        Ok(jobs)
    }

    /// Waits until the job with the object path `job` has ended.
    pub(super) fn wait(&self, job: &str, timeout: Duration) -> End {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            if let Some(at) = state.ends.iter().position(|(path, _)| path == job) {
                return state.ends.remove(at).map_or(End::Late, |(_, result)| End::Announced(result));
            }
            if state.closed {
                return End::Disconnected;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return End::Late;
            }
            state = self.0.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn announce(&self, job: &str, result: &str) {
        let mut state = self.state();
        if state.ends.len() == KEPT {
            state.ends.pop_front();
        }
        state.ends.push_back((job.to_owned(), result.to_owned()));
        self.0.1.notify_all();
    }

    fn close(&self) {
        self.state().closed = true;
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn next(stream: &mut JobRemovedStream) -> Option<super::proxy::JobRemoved> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn an_end_announced_before_anybody_waits_is_not_missed() {
        let jobs = Jobs::default();
        jobs.announce("/job/1", "done");
        jobs.announce("/job/2", "failed");
        assert_eq!(jobs.wait("/job/2", NOW), End::Announced("failed".to_owned()));
        assert_eq!(jobs.wait("/job/1", NOW), End::Announced("done".to_owned()));
        assert_eq!(jobs.wait("/job/1", NOW), End::Late);
    }

    #[test]
    fn an_end_announced_while_waiting_wakes_the_caller() {
        let jobs = Jobs::default();
        let announcer = jobs.clone();
        let thread = std::thread::spawn(move || announcer.announce("/job/7", "done"));
        assert_eq!(jobs.wait("/job/7", Duration::from_secs(30)), End::Announced("done".to_owned()));
        thread.join().expect("announced");
    }

    #[test]
    fn a_broken_connection_ends_the_wait() {
        let jobs = Jobs::default();
        jobs.close();
        assert_eq!(jobs.wait("/job/7", Duration::from_secs(30)), End::Disconnected);
    }

    #[test]
    fn old_ends_make_room_for_new_ones() {
        let jobs = Jobs::default();
        for number in 0..=KEPT {
            jobs.announce(&format!("/job/{number}"), "done");
        }
        assert_eq!(jobs.wait("/job/0", NOW), End::Late);
        assert_eq!(jobs.wait("/job/1", NOW), End::Announced("done".to_owned()));
    }
}
