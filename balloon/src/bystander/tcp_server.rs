//! A server in the manner of a development tool: one thread that polls, accepts, allocates a little, answers one
//! line and closes. While it is held up, connections rot in its accept queue, as they would in the real one.

use super::chunk;
use super::work::Work;
use crate::beat::Beat;
use crate::clock;
use crate::quantity::bytes;
use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::Words;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::{TimeSpec, TimeValLike};
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Without work it wakes this often, and notices how late.
const EVERY: Duration = Duration::from_millis(20);

/// Accepts connections and answers each with one line, in one thread. Its gaps are how late it woke at the end of
/// each 20 ms without work.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct TcpServer {
    /// Where to listen; port 0 takes a free one. The status page has the port.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Memory that each answer allocates.
    #[arg(long, value_name = "BYTES", default_value = "64K", value_parser = bytes)]
    pub touch: u64,
}

impl TcpServer {
    /// The memory that each answer allocates when it is not told.
    pub const TOUCH: u64 = chunk::DEFAULT;
}

impl Work for TcpServer {
    fn kind(&self) -> (&'static str, Kind) {
        ("tcp-server", Kind::TcpServer)
    }

    fn words(&self, words: &mut Words) {
        words.option("--listen", self.listen);
        words.unless(Self::TOUCH, "--touch", self.touch);
    }

    fn check(&self) -> Result<(), Trouble> {
        chunk::check(self.touch)
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn run(&self, page: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        let Self { listen, touch } = *self;
        let io = |error| Trouble::system(format!("listen on {listen}"), error);
        let listener = TcpListener::bind(listen).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        page.fields().port.store(listener.local_addr().map_err(io)?.port().into(), Relaxed);
        let comm = prctl::get_name().map_err(|errno| Trouble::system("read its own name", errno))?;
        let mut beat = Beat::new(EVERY);
        loop {
            poll(&listener, beat.due_ns())?;
            recorder.woke();
            beat.arrive(clock::now_ns(), |late| recorder.gap(late));
            while let Some(stream) = accept(&listener)? {
                recorder.begin();
                chunk::touch(touch)?;
                let count = page.fields().accepted.load(Relaxed) + 1;
                // Counted when answered: a client that has gone away is not the server's failure.
                let _ = answer(stream, comm.to_bytes(), count);
                page.fields().accepted.store(count, Relaxed);
                recorder.end();
            }
        }
    }
}

fn poll(listener: &TcpListener, due_ns: u64) -> Result<(), Trouble> {
    let left = due_ns.saturating_sub(clock::now_ns());
    let timeout = TimeSpec::nanoseconds(i64::try_from(left).unwrap_or(i64::MAX));
    match ppoll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], Some(timeout), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Trouble::system("poll its socket", errno)),
    }
}

fn accept(listener: &TcpListener) -> Result<Option<TcpStream>, Trouble> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error) if is_passing(&error) => Ok(None),
        Err(error) => Err(Trouble::system("accept a connection", error)),
    }
}

/// No connection after all, or none that can be had right now (accept(2) asks to treat these as "try again").
fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::EAGAIN
                | Errno::ECONNABORTED
                | Errno::EINTR
                | Errno::ENOBUFS
                | Errno::ENOMEM
                | Errno::EPROTO
        )
    )
}

fn answer(mut stream: TcpStream, comm: &[u8], count: u64) -> io::Result<()> {
    let mut line = *b"bulkhead                                                ";
    let mut rest = &mut line[9..];
    rest.write_all(comm)?;
    writeln!(rest, " {count}")?;
    let unused = rest.len();
    stream.write_all(&line[..line.len() - unused])
}
