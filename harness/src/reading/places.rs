//! Where each value of a file stands: kept when the file is read, looked up by its path of keys.
//!
//! Typed values carry no positions, so that they can be compared; whoever finds a problem later names the path. A path
//! that is not there gives the nearest value around it.

use std::collections::BTreeMap;
use std::ops::Range;

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

/// The place of a value, and the places of what is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    span: Range<usize>,
    keys: BTreeMap<Box<str>, Places>,
    items: Vec<Places>,
}

impl Places {
    pub(super) fn of_table(span: Range<usize>, table: &DeTable<'_>) -> Self {
        let keys = table.iter().map(|(key, node)| (key.get_ref().as_ref().into(), Self::of(node)));
        Self { span, keys: keys.collect(), items: Vec::new() }
    }

    fn of(node: &Node<'_>) -> Self {
        match node.get_ref() {
            DeValue::Table(table) => Self::of_table(node.span(), table),
            DeValue::Array(items) => {
                Self { span: node.span(), keys: BTreeMap::new(), items: items.iter().map(Self::of).collect() }
            }
            _ => Self { span: node.span(), ..Self::default() },
        }
    }

    /// The bytes of the value at `path`.
    pub(super) fn at(&self, path: &[Step<'_>]) -> Range<usize> {
        let mut place = self;
        for step in path {
            let inside = match step {
                Step::Key(key) => place.keys.get(*key),
                Step::Item(index) => place.items.get(*index),
            };
            let Some(inside) = inside else { break };
            place = inside;
        }
        place.span.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[actor]]\nid = \"a\"\n[[actor]]\nid = \"b\"\nsize = { percent = 5 }\n";

    fn text_at(path: &[Step<'_>]) -> &'static str {
        let (tree, _) = DeTable::parse_recoverable(TEXT);
        &TEXT[Places::of_table(0..0, tree.get_ref()).at(path)]
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
