//! The balloon's command line → a balloon.

use balloon::options::BalloonOptions;
use balloon::{finish, inflate};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    finish("balloon", &inflate::run(&BalloonOptions::parse()))
}
