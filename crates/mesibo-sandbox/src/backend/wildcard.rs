//! Patterns with `*` for any text, the empty one included.

/// Whether the whole of `text` fits the pattern. Between its first and its last
/// part, each part is looked for only once, behind the one before it: an earlier
/// match leaves more room than a later one, so there is nothing to go back to and
/// the time is linear.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, others)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, last) = others.rsplit_once('*').unwrap_or(("", others));
    let Some(mut rest) = text
        .strip_prefix(first)
        .and_then(|rest| rest.strip_suffix(last))
    else {
        return false;
    };
    for part in middle.split('*') {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_anywhere() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "alice"),
            ("**", "alice"),
            ("alice", "alice"),
            ("alice*", "alice"),
            ("*alice", "alice"),
            ("a*e", "alice"),
            ("a*i*e", "alice"),
            ("*lic*", "alice"),
            ("*@*.com", "alice@example.com"),
            ("a**e", "alice"),
            ("*ab*ab", "abab"),
            ("ü*é", "übercafé"),
            ("", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn parts_must_all_be_there_in_order_and_without_overlap() {
        for (pattern, text) in [
            ("", "alice"),
            ("alice", "alice2"),
            ("alice", "Alice"),
            ("alice", ""),
            ("b*", "alice"),
            ("*b", "alice"),
            ("a*a", "a"),
            ("ab*ba", "aba"),
            ("*c*i*", "alice"),
            ("*ll*", "alice"),
            ("a*li*ic*e", "alice"),
            ("al.ce", "alice"),
            ("al?ce", "alice"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_makes_backtracking_explode_is_answered_at_once() {
        let text = "a".repeat(100_000);
        assert!(!matches(&format!("{}b", "a*".repeat(10_000)), &text));
        assert!(!matches(&format!("{}b*", "a*".repeat(10_000)), &text));
        assert!(matches(&format!("{}*", "*a".repeat(10_000)), &text));
    }
}
