//! The balloon's command line → a balloon.

use balloon::inflate;
use balloon::options::BalloonOptions;
use balloon::start::finish;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    finish("balloon", &inflate::run(&BalloonOptions::parse()))
}
