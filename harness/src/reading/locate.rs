//! A path of keys → the bytes of the file where that value stands.
//!
//! The typed scenario carries no positions, so that it can be stored and compared; whoever needs one reads the text
//! again. A path that is not there gives the nearest table around it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::reading::Node;

/// One step into the file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'p> {
    /// A key of a table.
    Key(&'p str),
    /// An item of a list or of repeated tables.
    Item(usize),
}

impl<'p> From<&'p str> for Step<'p> {
    fn from(key: &'p str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Item(index)
    }
}

/// `path` with more steps at its end.
pub(crate) fn join<'p>(path: &[Step<'p>], more: &[Step<'p>]) -> Vec<Step<'p>> {
    [path, more].concat()
}

/// The bytes of the value at `path` in `text`.
pub(crate) fn locate(text: &str, path: &[Step<'_>]) -> Range<usize> {
    let (tree, _) = DeTable::parse_recoverable(text);
    let mut span = 0..0;
    let Some((first, rest)) = path.split_first() else {
        return span;
    };
    let Step::Key(key) = first else {
        return span;
    };
    let mut node: Option<&Node<'_>> = tree.get_ref().get(*key);
    for step in rest {
        if let Some(found) = node {
            span = found.span();
        }
        node = match (step, node.map(Spanned::get_ref)) {
            (Step::Key(key), Some(DeValue::Table(table))) => table.get(*key),
            (Step::Item(index), Some(DeValue::Array(items))) => items.get(*index),
            _ => return span,
        };
    }
    node.map_or(span, Spanned::span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[actor]]\nid = \"a\"\n[[actor]]\nid = \"b\"\nsize = { percent = 5 }\n";

    fn text_at(path: &[Step<'_>]) -> &'static str {
        &TEXT[locate(TEXT, path)]
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        assert_eq!(text_at(&["actor".into(), 1.into(), "id".into()]), "\"b\"");
        assert_eq!(text_at(&["actor".into(), 1.into(), "size".into(), "percent".into()]), "5");
    }

    #[test]
    fn a_missing_value_gives_the_table_around_it() {
        assert_eq!(text_at(&["actor".into(), 1.into(), "rate".into()]), "[[actor]]");
        assert_eq!(text_at(&["twin".into(), 0.into()]), "");
        assert!(text_at(&["actor".into(), 7.into(), "id".into()]).starts_with("[[actor]]"));
    }
}
