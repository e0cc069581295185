use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{samples, text};

fn plain(width: usize) -> Options {
    Options { width, color: Color::Plain }
}

#[rstest]
#[case::all_pass(samples::all_pass(), "all_pass")]
#[case::mixed(samples::mixed(), "mixed")]
#[case::empty(samples::empty(), "empty")]
fn the_plain_page_is_as_approved(
    #[case] report: Report,
    #[case] name: &str,
    #[values(80, 120)] width: usize,
) {
    insta::assert_snapshot!(format!("{name}_{width}"), render(&report, plain(width)));
}

#[rstest]
#[case::all_pass(samples::all_pass(), "all_pass")]
#[case::mixed(samples::mixed(), "mixed")]
#[case::empty(samples::empty(), "empty")]
fn the_coloured_page_is_as_approved(
    #[case] report: Report,
    #[case] name: &str,
    #[values(80, 120)] width: usize,
) {
    let page = render(&report, Options { width, color: Color::Ansi });
    insta::assert_snapshot!(format!("{name}_{width}_colour"), page.replace('\x1b', "␛"));
}

#[rstest]
#[case(samples::all_pass())]
#[case(samples::mixed())]
#[case(samples::empty())]
fn colour_changes_nothing_but_colour(#[case] report: Report) {
    let coloured = render(&report, Options { width: 80, color: Color::Ansi });
    assert_ne!(coloured, render(&report, plain(80)));
    assert_eq!(without_colour(&coloured), render(&report, plain(80)));
}

fn without_colour(page: &str) -> String {
    let mut pieces = page.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    first + &pieces.map(|piece| piece.split_once('m').unwrap().1).collect::<String>()
}

#[rstest]
fn only_what_is_there_to_be_copied_may_be_wider_than_the_terminal(#[values(60, 80, 120)] width: usize) {
    for line in render(&samples::mixed(), plain(width)).lines() {
        let copied =
            ["record ", "records ", "again "].iter().any(|label| line.trim_start().starts_with(label));
        assert!(copied || text::width(line) <= width, "{} columns: {line}", text::width(line));
    }
}

#[test]
fn hostile_text_neither_moves_the_cursor_nor_forges_a_line() {
    let lines = |text: &str| {
        let page = render(&samples::hostile(text), plain(120));
        assert!(!page.chars().any(|c| (c.is_control() && c != '\n') || text::acts_unseen(c)), "{page}");
        page.lines().filter(|line| line.starts_with("exit ") || line.starts_with("── ")).count()
    };
    for text in samples::HOSTILE {
        assert_eq!(lines(text), 3, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_fits_the_width_and_acts_on_nothing(hostile in any::<String>(), width in 0_usize..200) {
        let width_used = width.clamp(Options::NARROWEST, Options::WIDEST);
        for line in render(&samples::hostile(&hostile), plain(width)).lines() {
            prop_assert!(!line.chars().any(char::is_control));
            let copied = ["record", "again"].iter().any(|label| line.trim_start().starts_with(label));
            prop_assert!(copied || text::width(line) <= width_used, "{line:?}");
        }
    }
}
