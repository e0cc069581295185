//! Text → Markdown that shows exactly this text, in a paragraph, a table cell, a tag or a fence.
//!
//! Rests on the CommonMark rule that a backslash before ASCII punctuation makes it literal, and on GitHub's
//! table rule that `\|` does not end a cell. A cell is split before its content is parsed, so every pipe is
//! escaped, also within code.

use crate::text;

/// `raw` as running text on one line.
pub(super) fn prose(raw: &str) -> String {
    escaped(raw, |before, c, after| match c {
        // `user@1000.service` mentions nobody, `@team` does; `#1` links an issue, `#` alone does not.
        '@' if !is_word(before) && is_word(after) => Some("@<!-- -->"),
        '#' if !is_word(before) && is_word(after) => Some("#<!-- -->"),
        _ => None,
    })
}

/// `raw` in the typeface of code, on one line. Made of a tag, because no backtick can end that.
pub(super) fn code(raw: &str) -> String {
    if raw.is_empty() { String::new() } else { format!("<code>{}</code>", escaped(raw, |_, _, _| None)) }
}

/// `raw` within a block-level tag such as `<summary>`, where GitHub does not read Markdown: a backslash would show.
pub(super) fn tag_text(raw: &str) -> String {
    let clean = text::line(raw).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    clean.replace('@', "@<!-- -->")
}

/// `raw` as a fenced block of `language`, with a fence longer than any run of backticks inside.
pub(super) fn fence(raw: &str, language: &str) -> String {
    let longest = raw.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines: String = text::lines(raw).map(|line| line + "\n").collect();
    format!("{fence}{language}\n{lines}{fence}\n\n")
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}

fn escaped(raw: &str, special: impl Fn(Option<char>, char, Option<char>) -> Option<&'static str>) -> String {
    let clean = text::line(raw);
    let mut out = String::with_capacity(clean.len());
    let mut before = None;
    let mut chars = clean.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied();
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Within a word GitHub reads an underscore as itself: `oom_kill` stays legible in the source.
            '_' if is_word(before) && is_word(after) => out.push('_'),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '!' => out.extend(['\\', c]),
            c => match special(before, c, after) {
                Some(replacement) => out.push_str(replacement),
                None => out.push(c),
            },
        }
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::pipes("a|b||c", r"a\|b\|\|c")]
    #[case::a_pipe_behind_a_backslash(r"a\|b\", r"a\\\|b\\")]
    #[case::backticks("`x`", r"\`x\`")]
    #[case::html("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;")]
    #[case::emphasis("**a** _b_ ~~c~~", r"\*\*a\*\* \_b\_ \~\~c\~\~")]
    #[case::a_metric_stays_legible("memory.events.oom_kill", "memory.events.oom_kill")]
    #[case::a_mention("ask @team about #12", "ask @<!-- -->team about #<!-- -->12")]
    #[case::a_template_unit("user@1000.service", "user@1000.service")]
    #[case::links("![a](b)", r"\!\[a\](b)")]
    #[case::a_line_break("a\n# b", r"a\\n# b")]
    fn prose_shows_exactly_the_text(#[case] raw: &str, #[case] markdown: &str) {
        assert_eq!(prose(raw), markdown);
    }

    #[test]
    fn code_cannot_be_left_early() {
        assert_eq!(code("</code>`|"), r"<code>&lt;/code&gt;\`\|</code>");
    }

    #[test]
    fn within_a_tag_nothing_but_html_is_escaped() {
        assert_eq!(tag_text("a_b|<i>&@x"), "a_b|&lt;i&gt;&amp;@<!-- -->x");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fence("a\n````\nb", ""), "`````\na\n````\nb\n`````\n\n");
        assert_eq!(fence("a\x1b[2J", "sh"), "```sh\na\\x1b[2J\n```\n\n");
    }
}
