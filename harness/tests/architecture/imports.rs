//! Who imports whom: the source files of the harness, parsed, and the modules that their paths lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// A source file by its module path without `crate::`: `judge::view`.
pub(crate) type Module = String;

/// Each source file with the paths that its code names, tests left out.
pub(crate) struct Imports {
    named: BTreeMap<Module, BTreeSet<Vec<String>>>,
}

impl Imports {
    /// Parses every source file below `src`.
    pub(crate) fn read(src: &Path, files: &BTreeSet<String>) -> Self {
        let mut named = BTreeMap::new();
        for file in files {
            let Some(module) = file.strip_prefix("harness/src/").and_then(|path| path.strip_suffix(".rs"))
            else {
                continue;
            };
            if ["lib", "main"].contains(&module) || module.ends_with("/tests") {
                continue;
            }
            let text = fs::read_to_string(src.join(module).with_extension("rs")).expect("a source file");
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut paths = Paths::default();
            paths.visit_file(&parsed);
            named.insert(module.replace('/', "::"), paths.named);
        }
        Self { named }
    }

    /// The files that a file imports from.
    pub(crate) fn of(&self, module: &str) -> BTreeSet<&str> {
        let paths = self.named[module].iter();
        paths.filter_map(|path| self.file(module, path)).filter(|file| *file != module).collect()
    }

    /// Every file.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Whether a file names a path that begins so.
    pub(crate) fn names(&self, module: &str, start: &[&str]) -> bool {
        self.named[module]
            .iter()
            .any(|path| path.len() >= start.len() && path.iter().zip(start).all(|(a, b)| a == b))
    }

    /// The file that a path leads into: the longest beginning of it that is one.
    fn file(&self, module: &str, path: &[String]) -> Option<&str> {
        let mut at: Vec<&str> = module.split("::").collect();
        let mut rest = path.iter().map(String::as_str).peekable();
        match rest.peek().copied()? {
            "crate" => at.clear(),
            "self" | "super" => {}
            part if self.named.contains_key(&format!("{module}::{part}")) => {}
            _ => return None,
        }
        while let Some(step) = rest.next_if(|part| ["crate", "self", "super"].contains(part)) {
            if step == "super" {
                at.pop();
            }
        }
        let mut found = self.named.get_key_value(&at.join("::"));
        for part in rest {
            at.push(part);
            found = self.named.get_key_value(&at.join("::")).or(found);
        }
        found.map(|(module, _)| module.as_str())
    }

    /// Files that import one another, over however many others; each circle once. What a file names of those above it
    /// (`judge::view` of `judge`) does not count: it is a part of them.
    pub(crate) fn circles(&self) -> BTreeSet<Vec<&str>> {
        let others = |from: &str| {
            let above = |other: &str| from.strip_prefix(other).is_some_and(|rest| rest.starts_with("::"));
            self.of(from).into_iter().filter(|other| !above(other)).collect::<Vec<_>>()
        };
        let reaches = |from: &str| {
            let (mut seen, mut open) = (BTreeSet::new(), others(from));
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(others(next));
                }
            }
            seen
        };
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.modules().map(|module| (module, reaches(module))).collect();
        let back = |from: &str, to: &str| reached[from].contains(to) && reached[to].contains(from);
        let in_circles = reached.keys().filter(|module| back(module, module));
        in_circles
            .map(|module| reached.keys().copied().filter(|other| back(module, other)).collect())
            .collect()
    }
}

/// Collects the paths of one file.
#[derive(Default)]
struct Paths {
    named: BTreeSet<Vec<String>>,
}

impl Paths {
    fn used(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.used(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => drop(self.named.insert(with(&name.ident))),
            syn::UseTree::Rename(name) => drop(self.named.insert(with(&name.ident))),
            syn::UseTree::Glob(_) => drop(self.named.insert(before.to_vec())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.used(before, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.used(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let only_tests = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
        });
        if !only_tests {
            syn::visit::visit_item_mod(self, item);
        }
    }

    /// `pub(in crate::judge)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.named.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    /// What stands in a macro is no syntax yet: its paths are found as text.
    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        let text = mac.tokens.to_string().replace(' ', "");
        for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            let parts: Vec<String> = word.split("::").map(str::to_owned).collect();
            if parts.len() > 1 && parts.iter().all(|part| !part.is_empty()) {
                self.named.insert(parts);
            }
        }
    }
}
