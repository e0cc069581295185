//! A matcher for the regular expressions that the schema uses, anchored at both ends: groups, `|`, character classes,
//! `*`, `+`, `?` and `{m,n}`. Any other special character panics, so that no pattern is silently misread.

/// Whether `pattern` matches the whole of `text`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let body = pattern.strip_prefix('^').and_then(|body| body.strip_suffix('$'));
    let body: Vec<char> = body.unwrap_or_else(|| panic!("not anchored: {pattern}")).chars().collect();
    let text: Vec<char> = text.chars().collect();
    ends(&body, &text, 0).contains(&text.len())
}

/// The places in `text` at which a match of `pattern` that begins at `from` can end.
fn ends(pattern: &[char], text: &[char], from: usize) -> Vec<usize> {
    let mut found = Vec::new();
    for branch in split(pattern) {
        found.extend(sequence(branch, text, from));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The branches of an alternative, groups and classes left whole.
fn split(pattern: &[char]) -> Vec<&[char]> {
    let mut branches = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < pattern.len() {
        if pattern[at] == '|' {
            branches.push(&pattern[start..at]);
            at += 1;
            start = at;
        } else {
            at += atom(&pattern[at..]);
        }
    }
    branches.push(&pattern[start..]);
    branches
}

/// How many characters the first atom of `pattern` takes.
fn atom(pattern: &[char]) -> usize {
    let until = |close: char| {
        let mut depth = 0;
        let mut at = 0;
        while at < pattern.len() {
            match pattern[at] {
                '\\' => at += 1,
                '(' if close == ')' => depth += 1,
                c if c == close => {
                    depth -= 1;
                    if depth <= 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        panic!("no {close} in {pattern:?}")
    };
    match pattern[0] {
        '(' => until(')'),
        '[' => until(']'),
        '\\' => 2,
        _ => 1,
    }
}

fn sequence(pattern: &[char], text: &[char], from: usize) -> Vec<usize> {
    let mut places = vec![from];
    let mut rest = pattern;
    while !rest.is_empty() {
        let (first, tail) = rest.split_at(atom(rest));
        let (least, most, taken) = repeat(tail);
        rest = &tail[taken..];
        places = repeated(first, text, &places, least, most);
    }
    places
}

fn repeat(tail: &[char]) -> (usize, usize, usize) {
    match tail.first() {
        Some('*') => (0, usize::MAX, 1),
        Some('+') => (1, usize::MAX, 1),
        Some('?') => (0, 1, 1),
        Some('{') => {
            let end = tail.iter().position(|c| *c == '}').unwrap();
            let inner: String = tail[1..end].iter().collect();
            let (least, most) = inner.split_once(',').unwrap();
            (least.parse().unwrap(), most.parse().unwrap(), end + 1)
        }
        _ => (1, 1, 0),
    }
}

fn repeated(first: &[char], text: &[char], places: &[usize], least: usize, most: usize) -> Vec<usize> {
    let mut found = if least == 0 { places.to_vec() } else { Vec::new() };
    let mut now = places.to_vec();
    let mut count = 0;
    while count < most && !now.is_empty() {
        let mut next: Vec<usize> = now.iter().flat_map(|place| once(first, text, *place)).collect();
        next.sort_unstable();
        next.dedup();
        count += 1;
        let news = next.iter().any(|place| !found.contains(place));
        if count >= least {
            found.extend(&next);
        }
        if count >= least && !news {
            break;
        }
        now = next;
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn once(first: &[char], text: &[char], from: usize) -> Vec<usize> {
    if first[0] == '(' {
        return ends(&first[1..first.len() - 1], text, from);
    }
    let Some(c) = text.get(from) else {
        return Vec::new();
    };
    let fits = match first[0] {
        '[' => class(&first[1..first.len() - 1], *c),
        '\\' => {
            assert!(!first[1].is_alphanumeric(), "unknown escape \\{}", first[1]);
            first[1] == *c
        }
        special @ ('.' | '^' | '$' | '*' | '+' | '?' | '{') => panic!("unknown use of {special}"),
        plain => plain == *c,
    };
    if fits { vec![from + 1] } else { Vec::new() }
}

fn class(inner: &[char], c: char) -> bool {
    assert_ne!(inner.first(), Some(&'^'), "negated classes are unknown here");
    let mut at = 0;
    while at < inner.len() {
        if inner[at] == '\\' {
            at += 1;
        } else if at + 2 < inner.len() && inner[at + 1] == '-' {
            if (inner[at]..=inner[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
            continue;
        }
        if inner[at] == c {
            return true;
        }
        at += 1;
    }
    false
}

#[test]
fn patterns_match_as_they_read() {
    let size = "^(infinity|[0-9]+(\\.[0-9]+)?[BKMGTPE%]?)$";
    for text in ["infinity", "0", "512M", "1.5G", "50%"] {
        assert!(matches(size, text), "{text}");
    }
    for text in ["", "M", "512MB", "1.G", "infinity1"] {
        assert!(!matches(size, text), "{text}");
    }
    assert!(matches("^[a-z0-9][a-z0-9-]{0,3}$", "a-b9") && !matches("^[a-z0-9][a-z0-9-]{0,3}$", "a-b9c"));
    assert!(matches("^[+-]?[0-9]{1,4}$", "-1000") && !matches("^[+-]?[0-9]{1,4}$", "--1"));
}
