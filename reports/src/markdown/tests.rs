use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{samples, text};

#[rstest]
#[case::all_pass(samples::all_pass(), "all_pass")]
#[case::mixed(samples::mixed(), "mixed")]
#[case::empty(samples::empty(), "empty")]
fn the_page_is_as_approved(#[case] report: Report, #[case] name: &str) {
    insta::assert_snapshot!(name, render(&report));
}

/// Cells of a table row as GitHub splits it: at every pipe that no backslash makes literal.
fn cell_count(row: &str) -> usize {
    let mut literal = false;
    let mut pipes = 0;
    for c in row.chars() {
        pipes += usize::from(c == '|' && !literal);
        literal = c == '\\' && !literal;
    }
    pipes.saturating_sub(1)
}

/// Lines outside fences; panics when a fence is left open.
fn unfenced(page: &str) -> Vec<&str> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for line in page.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => lines.push(line),
            Some(open) if line == open => fence = None,
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "a fence is open at the end");
    lines
}

fn check(page: &str) {
    let lines = unfenced(page);
    for table in lines.split(|line| !line.starts_with('|')).filter(|table| !table.is_empty()) {
        assert!(table[1].starts_with("| --- |"), "{table:?}");
        let cells: Vec<usize> = table.iter().map(|row| cell_count(row)).collect();
        assert!(cells.iter().all(|count| *count == cells[0]), "{cells:?} {table:#?}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("<details")).count(), 2);
    assert_eq!(lines.iter().filter(|line| **line == "</details>").count(), 2);
    assert_eq!(lines.iter().filter(|line| line.starts_with('#')).count(), 1);
    let text = lines.concat();
    for tag in text.split('<').skip(1) {
        let known = ["details", "/details", "summary", "/summary", "code", "/code", "!-- --"];
        let name = tag.split('>').next().unwrap_or_default();
        assert!(known.contains(&name.trim_end_matches(" open")), "<{name}>");
    }
    assert!(!page.chars().any(|c| (c.is_control() && c != '\n') || text::acts_unseen(c)));
}

#[test]
fn hostile_text_makes_no_cell_no_tag_and_no_fence() {
    for text in samples::HOSTILE {
        check(&render(&samples::hostile(text)));
    }
}

#[test]
fn a_hostile_console_stays_in_its_fence() {
    let page = render(&samples::hostile("x\n```\n````\n</details>\n| a | b |"));
    check(&page);
    assert!(page.contains("\n`````\nx\n```\n````\n</details>\n| a | b |\n`````\n"), "{page}");
}

proptest! {
    #[test]
    fn tables_have_the_same_number_of_cells_in_every_row(text in any::<String>()) {
        check(&render(&samples::hostile(&text)));
    }

    #[test]
    fn tables_hold_against_what_they_are_made_of(text in "[|\\\\`<>&@#\n\r -]{0,24}") {
        check(&render(&samples::hostile(&text)));
    }
}
