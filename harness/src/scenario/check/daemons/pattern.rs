//! A POSIX extended regular expression → the process names that it spells out. Everything else it can match is left
//! alone: this finds a name that is too long, it does not run the expression.

/// The names that a regular expression spells out from `^` to `$`: `^(init|ssh\\.d)$` has `init` and `ssh.d`.
pub(super) fn whole_names(pattern: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in alternatives(pattern) {
        let Some(inner) = part.strip_prefix('^').and_then(|part| part.strip_suffix('$')) else {
            continue;
        };
        let group = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
        names.extend(alternatives(group.unwrap_or(inner)).into_iter().filter_map(literal));
    }
    names
}

/// The parts between the `|` that are in no group.
fn alternatives(pattern: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0_i32, false);
    for (at, character) in pattern.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[start..]);
    parts
}

/// The text that an expression without any operator stands for.
fn literal(expression: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = expression.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next().filter(char::is_ascii_punctuation)),
            '.' | '*' | '+' | '?' | '[' | ']' | '(' | ')' | '{' | '}' | '|' | '^' | '$' => return None,
            _ => text.push(character),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::whole_names;

    #[rstest]
    #[case("^sshd$", &["sshd"])]
    #[case("^(sshd|init)$", &["sshd", "init"])]
    #[case("^a\\.b$|^c$", &["a.b", "c"])]
    #[case("sshd", &[])]
    #[case("^sshd", &[])]
    #[case("^ssh.*$", &[])]
    #[case("^(postgres|x[0-9])$", &["postgres"])]
    #[case("^(a)(b)$", &[])]
    #[case("", &[])]
    fn names_that_are_spelt_out_are_found(#[case] pattern: &str, #[case] names: &[&str]) {
        assert_eq!(whole_names(pattern), names);
    }

    proptest! {
        #[test]
        fn no_expression_makes_it_panic(pattern in "[\\PC]{0,20}") {
            let _ = whole_names(&pattern);
        }
    }
}
