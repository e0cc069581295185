//! The bystander's command line → a bystander.

use balloon::options::BystanderOptions;
use balloon::{bystander, finish};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    finish("bystander", &bystander::run(&BystanderOptions::parse()))
}
