//! Options → the words of a command line that read back as these options.

use clap::ValueEnum;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// A command line as it grows.
#[derive(Debug, Default)]
pub(crate) struct Words(Vec<OsString>);

impl Words {
    pub(crate) fn word(&mut self, word: &str) {
        self.0.push(word.into());
    }

    pub(crate) fn flag(&mut self, name: &str, on: bool) {
        if on {
            self.word(name);
        }
    }

    /// With `=`, so that a value such as -1000 is never taken for an option.
    pub(crate) fn option(&mut self, name: &str, value: impl Value) {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value.word());
        self.0.push(word);
    }

    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Value>) {
        if let Some(value) = value {
            self.option(name, value);
        }
    }

    /// An option that is the default when it is left out.
    pub(crate) fn unless<V: Value + Copy + PartialEq>(&mut self, default: V, name: &str, value: V) {
        self.maybe(name, Some(value).filter(|value| *value != default));
    }

    pub(crate) fn choice(&mut self, name: &str, value: &impl ValueEnum) {
        self.maybe(name, value.to_possible_value().map(|value| value.get_name().to_owned()));
    }

    pub(crate) fn into_vec(self) -> Vec<OsString> {
        self.0
    }
}

/// What a word can be made of. A time is written in milliseconds or seconds, as its option wants.
pub(crate) trait Value {
    fn word(self) -> OsString;
}

impl Value for &OsStr {
    fn word(self) -> OsString {
        self.to_owned()
    }
}

macro_rules! value {
    ($($number:ty),*) => { $(
        impl Value for $number {
            fn word(self) -> OsString { self.to_string().into() }
        }
    )* };
}
value!(i16, i32, u32, u64, u128, f64, String, std::net::SocketAddr);

/// For options in milliseconds, which take whole ones: what is left over counts as one more.
pub(crate) fn millis(time: Duration) -> u128 {
    time.as_nanos().div_ceil(1_000_000)
}

/// For options in seconds.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
