//! What a check looks for: a name that stays, a level, and the page that `bulkhead explain` prints.
//!
//! A table of rules stands in the file that raises them. Here are those of any file that people write.

/// Whether the file can be used in spite of the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It can, but it proves less than it seems to.
    Warning,
    /// It cannot.
    Error,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A rule that a file can break.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name: `deadline-too-short`. It stays, because people search for it and scripts compare it.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What it is, why it matters, how to mend it, and when it is fine.
    pub page: &'static str,
}

/// A table of rules: a constant for each, and `RULES` for all of them. One that no list collects is dead code, which the
/// compiler tells.
macro_rules! rules {
    ($($level:ident $name:ident = $id:literal, $page:literal;)*) => {
        $(pub(crate) const $name: &$crate::reading::rule::Rule = &$crate::reading::rule::Rule {
            id: $id,
            level: $crate::reading::rule::Level::$level,
            page: $page,
        };)*
        /// The rules that this file defines.
        pub(crate) const RULES: &[&$crate::reading::rule::Rule] = &[$($name),*];
    };
}
pub(crate) use rules;

rules! {
    Error SYNTAX = "syntax",
        "The file is not TOML, so nothing in it was read. The caret shows where the parser gave up; the cause may stand \
        a line earlier: a quote that is missing, a bracket that is not closed, a table that is defined twice.";
    Error UNKNOWN_KEY = "unknown-key",
        "The table has no such key. Files are read strictly: a misspelt limit that was ignored would leave the run \
        without it, and the claim would hold or fail for the wrong reason. Correct the spelling or remove the key; \
        `bulkhead schema` gives editors all keys there are.";
    Error MISSING_KEY = "missing-key",
        "The table needs this key. What decides over safety, or over what a claim means, has no default, so that \
        nobody gets it by forgetting to say. The message tells what the key is for.";
    Error WRONG_TYPE = "wrong-type",
        "The value is of another TOML type than the key takes, such as a list in place of a text. Sizes, time spans \
        and percentages are texts in systemd's notation (\"512M\", \"90s\", \"95%\") and may be bare numbers; what is \
        true or false is written without quotes.";
    Error MALFORMED_VALUE = "malformed-value",
        "The value is not in the notation of this key, or out of its range. Sizes and limits are written as in unit \
        files, to the base 1024 (512M is 536870912 bytes), time spans as in systemd.time(7). What systemd or the \
        kernel would refuse is refused here, before anything runs. The message says what is expected.";
    Error UNKNOWN_WORD = "unknown-word",
        "The key takes one of a few words, and this is none of them. The message lists them.";
    Error UNKNOWN_NAME = "unknown-name",
        "Nothing of that name is declared in the file. A claim about nobody could not fail, and a limit of nothing \
        limits nothing. Correct the spelling or declare it.";
    Error DUPLICATE_NAME = "duplicate-name",
        "Two things have the same name. Metrics, findings and twins refer to things by their names, so each name has \
        one meaning. Rename one of them.";
    Error RESERVED_NAME = "reserved-name",
        "The name already has a meaning: `host` and `protect` in metrics, `run` for the cap that the harness puts \
        around a run, `earlyoom` for the table of that name, `reached` and `protected-...` for the claims that every \
        scenario makes, `all`, `none` and `only` for --twins. Choose another one.";
    Error UNKNOWN_SCHEMA = "unknown-schema",
        "The file is written for another version of the format. A newer bulkhead may read it. Changing the number \
        alone is no remedy: the same key may mean something else there.";
    Error EXACTLY_ONE = "exactly-one",
        "The table must have exactly one of several keys: an expectation makes one claim, a probe asks one thing, \
        [reached] has one bound. With two of them a finding could not say which one failed. Write a table for each.";
    Error MISPLACED_KEY = "misplaced-key",
        "The key means nothing beside the others in its table: a bound without a metric, the `limit` of a kill that no \
        limit causes, the `low` of a balloon that is no sawtooth. It would look like a claim and never be judged. \
        Remove it, or add what it belongs to.";
}
