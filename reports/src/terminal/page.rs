//! Lines of a fixed width with colours, and the marks of verdicts.
//!
//! The only place that makes escape sequences; every text that passes through is made harmless first.

use anstyle::{AnsiColor, Style};

use super::{Color, Options};
use crate::kill::Agreement;
use crate::outcome::Verdict;
use crate::rows::Row;
use crate::text;

/// Columns of the labels at the left of a block.
const LABEL: usize = 10;

/// What a stretch of text means to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Normal,
    Strong,
    Faint,
    Good,
    Bad,
    Doubtful,
    Stopped,
    Curve,
}

impl Ink {
    pub(super) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Good,
            Verdict::Fail => Self::Bad,
            Verdict::Inconclusive => Self::Doubtful,
            Verdict::Skipped => Self::Faint,
            Verdict::Aborted => Self::Stopped,
        }
    }

    pub(super) fn of_row(row: &Row<'_>) -> Self {
        if row.flaky.is_some() { Self::Doubtful } else { Self::of(row.telling().verdict) }
    }

    fn style(self) -> Style {
        match self {
            Self::Normal => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Doubtful => AnsiColor::Yellow.on_default(),
            Self::Stopped => AnsiColor::Magenta.on_default().bold(),
            Self::Curve => AnsiColor::Cyan.on_default(),
        }
    }
}

/// One column that says what a verdict is, also without colour.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::Skipped => "–",
        Verdict::Aborted => "!",
    }
}

/// The mark of a row: `~` where its runs disagree.
pub(super) fn row_mark(row: &Row<'_>) -> &'static str {
    if row.flaky.is_some() { "~" } else { mark(row.telling().verdict) }
}

/// Mark and colour of a witness.
pub(super) fn agreement(agrees: Agreement) -> (&'static str, Ink) {
    match agrees {
        Agreement::Agrees => ("✓", Ink::Good),
        Agreement::Missing => ("–", Ink::Doubtful),
        Agreement::Contradicts => ("✗", Ink::Bad),
    }
}

/// A page that is being written.
pub(super) struct Page {
    out: String,
    width: usize,
    color: Color,
}

impl Page {
    pub(super) fn new(options: Options) -> Self {
        let width = options.width.clamp(Options::NARROWEST, Options::WIDEST);
        Self { out: String::new(), width, color: options.color }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// `text`, which must be harmless already, in the colours of `ink`.
    pub(super) fn paint(&self, ink: Ink, text: &str) -> String {
        let style = ink.style();
        match self.color {
            Color::Ansi if !text.is_empty() && style != Style::new() => format!("{style}{text}{style:#}"),
            _ => text.to_owned(),
        }
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A finished line, without trailing spaces.
    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// `text` wrapped between `indent` and the right margin.
    pub(super) fn paragraph(&mut self, indent: usize, text: &str, ink: Ink) {
        for wrapped in text::wrap(&text::line(text), self.width - indent) {
            let painted = self.paint(ink, &wrapped);
            self.line(&format!("{:indent$}{painted}", ""));
        }
    }

    /// A label in its column, and `text` wrapped beside it.
    pub(super) fn labelled(&mut self, indent: usize, label: &str, label_ink: Ink, text: &str, ink: Ink) {
        self.beside(indent, &text::fit(label, LABEL - 1), label_ink, text, ink);
    }

    /// `lead`, one space, and `text` wrapped to the right of it.
    pub(super) fn beside(&mut self, indent: usize, lead: &str, lead_ink: Ink, text: &str, ink: Ink) {
        let hang = text::width(lead) + 1;
        let wrapped = text::wrap(&text::line(text), self.width.saturating_sub(indent + hang));
        let first = wrapped.first().map(String::as_str).unwrap_or_default();
        let lead = self.paint(lead_ink, lead);
        let first = self.paint(ink, first);
        self.line(&format!("{:indent$}{lead} {first}", ""));
        for rest in wrapped.iter().skip(1) {
            let rest = self.paint(ink, rest);
            self.line(&format!("{:1$}{rest}", "", indent + hang));
        }
    }

    /// A label, and a path or a command in one piece however long: it is there to be copied.
    pub(super) fn whole(&mut self, indent: usize, label: &str, text: &str) {
        let label = self.paint(Ink::Faint, &text::fit(label, LABEL - 1));
        self.line(&format!("{:indent$}{label} {}", "", text::line(text)));
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}
