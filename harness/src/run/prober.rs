//! Asks what must keep answering, again and again, from before the stress to after it.
//!
//! A probe connects and waits for the first bytes: an open port alone proves nothing, because the kernel accepts into
//! the backlog of a frozen server.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::clock::now_us;
use super::recorder::Recorder;
use crate::plan::{PlannedAnswer, Question};
use crate::record::Event;
use crate::record::event::AnswerResult;

/// How often the stop flag is looked at while waiting for the next probe.
const NAP: Duration = Duration::from_millis(20);

/// Starts probing; ends with one last probe after `stop` is set, so that the end of the stress is covered.
pub fn start(
    probe: usize,
    answer: &PlannedAnswer,
    recorder: Arc<Recorder>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    let answer = answer.clone();
    thread::spawn(move || {
        let within = Duration::from_micros(answer.within_us);
        loop {
            let last = stop.load(Ordering::Acquire);
            let (began, began_us) = (Instant::now(), Some(now_us()));
            let result = match answer.question {
                Question::TcpBanner => banner(answer.address, within),
                Question::SshLogin => login(answer.address, within),
            };
            recorder.record(Event::Answer { probe, target: answer.target.clone(), result, began_us });
            if last {
                return;
            }
            while began.elapsed() < Duration::from_micros(answer.every_us) && !stop.load(Ordering::Acquire) {
                thread::sleep(NAP);
            }
        }
    })
}

/// One fresh login: sshd forks, authenticates, opens a session and runs a program. `choom`, because the harness's own
/// oom_score_adj must never be inherited.
fn login(address: SocketAddr, within: Duration) -> AnswerResult {
    let began = Instant::now();
    let took = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let started = Command::new("choom")
        .args(["-n", "0", "--", "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
        // Cheap algorithms: the time is to be the machine's, not that of a post-quantum key exchange on its processor.
        .args(["-o", "KexAlgorithms=curve25519-sha256", "-o", "Ciphers=aes128-ctr", "-p"])
        .arg(address.port().to_string())
        .arg(format!("root@{}", address.ip()))
        .arg("true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return AnswerResult::Refused { error: format!("ssh could not be started: {error}") },
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return AnswerResult::Answered { took_us: took() },
            Ok(Some(status)) => return AnswerResult::Refused { error: format!("ssh ended with {status}") },
            Ok(None) if began.elapsed() >= within => {
                let _ = child.kill();
                let _ = child.wait();
                return AnswerResult::Late { waited_us: took() };
            }
            Ok(None) => thread::sleep(NAP),
            Err(error) => return AnswerResult::Refused { error: error.to_string() },
        }
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
        Ok(0) => AnswerResult::Refused { error: "closed the connection without a word".into() },
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
}
