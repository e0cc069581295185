//! Asks what must keep answering, again and again, from before the stress to after it.
//!
//! A probe connects and waits for the first bytes: an open port alone proves nothing, because the kernel accepts into
//! the backlog of a frozen server.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::clock::now_us;
use super::recorder::Recorder;
use crate::deadline;
use crate::error::chain;
use crate::plan::{PlannedAnswer, Question};
use crate::record::Event;
use crate::record::event::AnswerResult;

/// What the run tells its probers: that the climb has begun, and that the run is over.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rung {
    climb: bool,
    over: bool,
}

impl Bell {
    /// The climb begins: everybody asks at once, so that a probe lies in the stress however short it is.
    pub fn climb(&self) {
        self.ring(|rung| rung.climb = true);
    }

    /// The run is over: everybody asks once more, so that the end of the stress is covered, and ends.
    pub fn over(&self) {
        self.ring(|rung| rung.over = true);
    }

    fn ring(&self, set: impl FnOnce(&mut Rung)) {
        set(&mut self.rung.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn now(&self) -> Rung {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the time of the next probe, which comes at once when something has rung that the last one, begun at
    /// `known`, did not know.
    fn wait(&self, within: Duration, known: Rung) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |rung: &mut Rung| rung.climb == known.climb && rung.over == known.over;
        drop(self.changed.wait_timeout_while(rung, within, silent));
    }
}

/// Starts probing, until `bell` says that the run is over.
pub fn start(
    probe: usize,
    answer: &PlannedAnswer,
    recorder: Arc<Recorder>,
    bell: Arc<Bell>,
) -> JoinHandle<()> {
    let answer = answer.clone();
    thread::spawn(move || {
        let within = Duration::from_micros(answer.within_us);
        let every = Duration::from_micros(answer.every_us);
        loop {
            let known = bell.now();
            let (began, began_us) = (Instant::now(), Some(now_us()));
            let result = match answer.question {
                Question::TcpBanner => banner(answer.address, within),
                Question::SshLogin => login(answer.address, within),
            };
            recorder.record(Event::Answer { probe, target: answer.target.clone(), result, began_us });
            if known.over {
                return;
            }
            bell.wait(every.saturating_sub(began.elapsed()), known);
        }
    })
}

/// One fresh login: sshd forks, authenticates, opens a session and runs a program.
fn login(address: SocketAddr, within: Duration) -> AnswerResult {
    let began = Instant::now();
    let took = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
        // Cheap algorithms: the time is to be the machine's, not that of a post-quantum key exchange on its processor.
        .args(["-o", "KexAlgorithms=curve25519-sha256", "-o", "Ciphers=aes128-ctr", "-p"])
        .arg(address.port().to_string())
        .arg(format!("root@{}", address.ip()))
        .arg("true");
    match deadline::status(&mut ssh, within) {
        Ok(status) if status.success() => AnswerResult::Answered { took_us: took() },
        Ok(status) => AnswerResult::Refused { error: format!("ssh ended with {status}") },
        Err(deadline::Error::Late { .. }) => AnswerResult::Late { waited_us: took() },
        Err(error) => AnswerResult::Refused { error: chain(&error) },
    }
}

/// One probe: from connect to the first bytes of the banner.
fn banner(address: SocketAddr, within: Duration) -> AnswerResult {
    let began = Instant::now();
    let took = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut buffer = [0; 256];
    let read = TcpStream::connect_timeout(&address, within).and_then(|mut stream| {
        loop {
            let left = within.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer) {
                // A read with a timeout is not restarted when the process is stopped and continued (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted && began.elapsed() < within => {}
                read => return read,
            }
        }
    });
    match read {
        Ok(0) => AnswerResult::Refused { error: "closed the connection without sending anything".into() },
        // OpenSSH 9.8 and later turns away sources that connect often without authenticating (PerSourcePenalties):
        // that says nothing about whether it is healthy.
        Ok(length) if buffer[..length].starts_with(b"Not allowed at this time") => {
            AnswerResult::Penalised { banner: String::from_utf8_lossy(&buffer[..length]).trim().into() }
        }
        Ok(_) => AnswerResult::Answered { took_us: took() },
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted
            ) =>
        {
            AnswerResult::Late { waited_us: took() }
        }
        Err(error) => AnswerResult::Refused { error: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    use crate::record::Stamped;
    use crate::record::store::Store;

    fn server(words: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(words);
            }
        });
        address
    }

    #[test]
    fn a_banner_is_an_answer() {
        let result = banner(server(b"SSH-2.0-x\r\n"), Duration::from_secs(5));
        assert!(matches!(result, AnswerResult::Answered { .. }), "{result:?}");
    }

    #[test]
    fn a_server_that_accepts_and_hangs_up_has_not_answered() {
        let result = banner(server(b""), Duration::from_secs(5));
        assert!(matches!(result, AnswerResult::Refused { .. }), "{result:?}");
    }

    #[test]
    fn a_backlog_that_nobody_serves_is_late() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let result = banner(address, Duration::from_millis(50));
        assert!(matches!(result, AnswerResult::Late { waited_us } if waited_us >= 40_000), "{result:?}");
    }

    #[test]
    fn being_turned_away_for_asking_often_says_nothing_about_health() {
        let result = banner(server(b"Not allowed at this time\r\n"), Duration::from_secs(5));
        assert!(matches!(result, AnswerResult::Penalised { .. }), "{result:?}");
    }

    /// A prober of a server that answers at once, and when its answers were asked for.
    fn prober(every: Duration) -> (Arc<Bell>, JoinHandle<()>, impl Fn() -> Vec<u64>, tempfile::TempDir) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(b"SSH-2.0-x\r\n");
            }
        });
        let dir = tempfile::tempdir().expect("a temporary directory");
        let record = dir.path().join("record");
        let recorder = Arc::new(Recorder::new(Store::create(&record).expect("a store")));
        let answer = PlannedAnswer {
            target: "x".into(),
            question: Question::TcpBanner,
            address,
            within_us: 30_000_000,
            every_us: u64::try_from(every.as_micros()).expect("short"),
        };
        let bell = Arc::new(Bell::default());
        let thread = start(0, &answer, recorder, Arc::clone(&bell));
        let events = record.join("events.jsonl");
        let asked = move || {
            let text = std::fs::read_to_string(&events).unwrap_or_default();
            let events = text.lines().filter_map(|line| serde_json::from_str::<Stamped>(line).ok());
            let began = events.filter_map(|stamped| match stamped.event {
                Event::Answer { began_us, .. } => began_us,
                _ => None,
            });
            began.collect()
        };
        (bell, thread, asked, dir)
    }

    #[test]
    fn every_prober_asks_when_the_climb_begins_and_once_more_when_the_run_is_over() {
        let (bell, thread, asked, _dir) = prober(Duration::from_secs(3600));
        let until = |count: usize| {
            let began = Instant::now();
            while asked().len() < count && began.elapsed() < Duration::from_secs(30) {
                thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(asked().len(), count);
        };
        until(1);
        let climb = now_us();
        bell.climb();
        until(2);
        let over = now_us();
        bell.over();
        thread.join().expect("ended");
        let asked = asked();
        assert_eq!(asked.len(), 3);
        assert!(asked[0] <= climb && climb <= asked[1] && asked[1] <= over && over <= asked[2], "{asked:?}");
    }
}
