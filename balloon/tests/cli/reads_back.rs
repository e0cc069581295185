//! Whoever starts an actor writes its command line from typed options: the actor reads the same options back.

use balloon::bystander::{
    BystanderOptions, Forker, Heartbeat, Reader, Role, Sleeper, Spinner, TcpServer, Writer,
};
use balloon::options::{BalloonOptions, HugePages, Memory, Pages, StartOptions, Text};
use balloon::profile::Shape;
use clap::{CommandFactory as _, Parser, ValueEnum};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use std::ffi::{CString, OsString};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

fn path() -> impl Strategy<Value = PathBuf> {
    "[ -~]{1,20}".prop_map(PathBuf::from)
}

/// A time that an option in seconds can hold: up to eleven days.
fn time() -> impl Strategy<Value = Duration> {
    (0..1_000_000_000_000_u64).prop_map(Duration::from_micros)
}

fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), Just(20), Just(100), Just(1000), 0..1_000_000_u64].prop_map(Duration::from_millis)
}

fn touch() -> impl Strategy<Value = u64> {
    prop_oneof![Just(Heartbeat::TOUCH), any::<u64>()]
}

fn choice<T: ValueEnum + Copy + std::fmt::Debug + 'static>() -> impl Strategy<Value = T> {
    select(T::value_variants().to_vec())
}

prop_compose! {
    fn start()(
        status in path(),
        wait in any::<bool>(),
        parent in of(1..i32::MAX),
        wait_timeout in time(),
        comm in of(proptest::collection::vec(1..=u8::MAX, 1..=15)),
        adj in -1000..=1000_i16,
        adjusted in any::<bool>(),
    ) -> StartOptions {
        StartOptions {
            status,
            wait,
            parent: parent.filter(|_| wait),
            wait_timeout,
            comm: comm.map(|bytes| CString::new(bytes).expect("no NUL")),
            oom_score_adj: (wait || adjusted).then_some(adj),
        }
    }
}

prop_compose! {
    fn balloon()(
        start in start(),
        (total, step, rate, low) in (any::<u64>(), of(any::<u64>()), any::<u64>(), of(any::<u64>())),
        (kind, profile, pages) in (choice::<Memory>(), choice::<Shape>(), choice::<Pages>()),
        (huge_pages, text) in (choice::<HugePages>(), choice::<Text>()),
        (file, text_copy) in (of(path()), of(path())),
        (hold, period, retouch) in (of(time()), of(time()), pause()),
        processes in prop_oneof![Just(1), any::<u32>()],
        [mlock, ignore_sigterm, released] in any::<[bool; 3]>(),
    ) -> BalloonOptions {
        BalloonOptions {
            start, total, kind, file, step, rate, profile, hold, low, period, pages, huge_pages, text, text_copy,
            mlock, processes, retouch, ignore_sigterm, released,
        }
    }
}

/// One strategy a kind.
fn kinds() -> Vec<BoxedStrategy<Role>> {
    vec![
        (pause(), touch()).prop_map(|(every, touch)| Role::Heartbeat(Heartbeat { every, touch })).boxed(),
        (any::<(IpAddr, u16)>(), touch())
            .prop_map(|(listen, touch)| Role::TcpServer(TcpServer { listen: listen.into(), touch }))
            .boxed(),
        (1..=1024_u32).prop_map(|threads| Role::Spinner(Spinner { threads })).boxed(),
        (path(), any::<u64>(), pause())
            .prop_map(|(file, bytes, every)| Role::Writer(Writer { file, bytes, every }))
            .boxed(),
        (path(), pause()).prop_map(|(file, every)| Role::Reader(Reader { file, every })).boxed(),
        (1..=64_u32, any::<bool>(), pause())
            .prop_map(|(children, escape, every)| Role::Forker(Forker { children, escape, every }))
            .boxed(),
        Just(Role::Sleeper(Sleeper {})).boxed(),
    ]
}

fn read<T: Parser>(args: Vec<OsString>) -> Result<T, String> {
    T::try_parse_from([OsString::from("actor")].into_iter().chain(args)).map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn a_balloon_reads_what_was_written(options in balloon()) {
        prop_assert_eq!(read(options.to_args()), Ok(options));
    }

    #[test]
    fn a_bystander_reads_what_was_written(start in start(), role in proptest::strategy::Union::new(kinds())) {
        let options = BystanderOptions { start, role };
        prop_assert_eq!(read(options.to_args()), Ok(options));
    }
}

#[test]
fn every_kind_of_bystander_was_tried() {
    assert_eq!(kinds().len(), BystanderOptions::command().get_subcommands().count());
}
