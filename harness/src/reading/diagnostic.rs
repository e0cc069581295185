//! A problem in a file → text with its rule, file, line, caret and fix.
//!
//! A diagnostic carries its source text, so it can be rendered long after the file was read. It does not decide
//! whether colour is wanted; the command asks the terminal and passes the answer in.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Origin, Patch, Renderer, Snippet};
use toml::de::DeTable;

use crate::reading::places::{Places, Step};
use crate::reading::rule::{Level, Rule};

/// The text that diagnostics point into, shared by all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The file as it is named in messages.
    pub path: Arc<str>,
    /// The whole text of the file.
    pub text: Arc<str>,
    places: Arc<Places>,
}

impl Source {
    /// A source for messages about `path`, whose `text` is that of `table`.
    pub(super) fn new(path: &str, text: &str, table: &DeTable<'_>) -> Self {
        Self { path: path.into(), text: text.into(), places: Arc::new(Places::of_table(0..0, table)) }
    }

    /// A source for messages about `path`, which is no TOML; without `text`, about the file as a whole.
    pub(crate) fn plain(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), places: Arc::default() }
    }

    /// The bytes of the value at `path`; of what is around it when it is not there.
    pub(crate) fn at(&self, path: &[Step<'_>]) -> Range<usize> {
        self.places.at(path)
    }
}

/// One problem, with the place in the file and, where there is one, the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What it is an instance of.
    pub rule: &'static Rule,
    /// What is wrong: one lower-case sentence without a full stop.
    pub message: String,
    /// The file it is in.
    pub source: Source,
    /// The bytes of the file that are wrong.
    pub span: Range<usize>,
    /// What stands beside the caret; may be empty.
    pub label: String,
    /// Other places that explain it, such as the first definition of a duplicate.
    pub related: Vec<(Range<usize>, String)>,
    /// Why it is wrong: facts of the kernel or systemd.
    pub notes: Vec<String>,
    /// What to do instead.
    pub help: Vec<String>,
    /// A text that would be right at `span`.
    pub replacement: Option<String>,
}

impl Diagnostic {
    /// A breach of `rule` at `span`.
    #[must_use]
    pub fn new(rule: &'static Rule, source: &Source, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
            source: source.clone(),
            span,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            replacement: None,
        }
    }

    /// Adds the words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Points at a second place in the same file.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds the reason.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds "did you mean …?" and the text to put in place of the marked one; no effect with `None`.
    #[must_use]
    pub fn did_you_mean(mut self, name: Option<String>, quoted: bool) -> Self {
        if let Some(name) = name {
            self.help.push(format!("did you mean `{name}`?"));
            self.replacement = Some(if quoted { format!("\"{name}\"") } else { name });
        }
        self
    }

    /// Whether the file cannot be used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.rule.level == Level::Error
    }

    /// The line of the file, from 1, at which the marked text begins.
    #[must_use]
    pub fn line(&self) -> usize {
        let end = floor_boundary(&self.source.text, self.span.start);
        self.source.text[..end].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// The diagnostic as text for a terminal, without a newline at the end. `color` adds ANSI styles; without it
    /// the text is plain ASCII apart from what the file itself contains.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let text = &*self.source.text;
        let clamp = |span: &Range<usize>| {
            let start = floor_boundary(text, span.start);
            start..floor_boundary(text, span.end).max(start)
        };
        let level = match self.rule.level {
            Level::Error => annotate_snippets::Level::ERROR,
            Level::Warning => annotate_snippets::Level::WARNING,
        };
        let primary = AnnotationKind::Primary.span(clamp(&self.span));
        let primary = if self.label.is_empty() { primary } else { primary.label(self.label.as_str()) };
        let related = self
            .related
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(clamp(span)).label(label.as_str()));
        let snippet =
            Snippet::source(text).path(self.source.path.to_string()).annotation(primary).annotations(related);
        let group = level.primary_title(self.message.as_str()).id(self.rule.id);
        let mut group = if text.is_empty() && self.span.is_empty() {
            group.element(Origin::path(self.source.path.to_string()))
        } else {
            group.element(snippet)
        };
        for note in &self.notes {
            group = group.element(annotate_snippets::Level::NOTE.message(note.as_str()));
        }
        let mut help = self.help.iter();
        let mut report: Vec<Group<'_>> = Vec::new();
        if let Some(replacement) = &self.replacement
            && let Some(title) = help.next_back()
        {
            let patch = Snippet::source(text).patch(Patch::new(clamp(&self.span), replacement.as_str()));
            report.push(annotate_snippets::Level::HELP.secondary_title(title.as_str()).element(patch));
        }
        for line in help {
            group = group.element(annotate_snippets::Level::HELP.message(line.as_str()));
        }
        report.insert(0, group);
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The largest character boundary that is not after `index`.
fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A file that cannot be used: everything that is wrong with it, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The errors; never empty.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
