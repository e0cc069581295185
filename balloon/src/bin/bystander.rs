//! The bystander's command line → a bystander.

use balloon::bystander::{self, BystanderOptions};
use balloon::finish;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    finish("bystander", &bystander::run(&BystanderOptions::parse()))
}
