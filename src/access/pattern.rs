//! Patterns with wildcards.

/// A pattern of a text, in which `*` stands for any number of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern from its text.
    #[must_use]
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether a text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(start) else {
            return false;
        };
        // The first occurrence of each part leaves the most text for the parts behind it.
        let mut parts: Vec<_> = rest.split('*').collect();
        let end = parts.pop().unwrap_or_default();
        for part in parts {
            let Some(at) = text.find(part) else {
                return false;
            };
            text = &text[at + part.len()..];
        }
        text.ends_with(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz;

    #[test]
    fn a_star_is_any_number_of_characters() {
        for (pattern, matching, others) in [
            (
                "alice",
                &["alice"][..],
                &["", "alic", "alice2", "Alice"][..],
            ),
            ("*", &["", "a", "a*b"], &[]),
            ("shop-*", &["shop-", "shop-é"], &["shop", "a-shop-1"]),
            (
                "*@example.com",
                &["a@example.com", "@example.com"],
                &["a@example.com.evil"],
            ),
            (
                "a*b*c",
                &["abc", "a-b-c", "abbbc", "abcbc"],
                &["ac", "acb", "bc"],
            ),
            ("a*a", &["aa", "aba"], &["a"]),
            ("**", &["", "a"], &[]),
        ] {
            let is_match = |text: &&&str| Pattern::new(pattern).matches(text);
            assert_eq!(
                matching.iter().find(|text| !is_match(text)),
                None,
                "{pattern}"
            );
            assert_eq!(others.iter().find(is_match), None, "{pattern}");
        }
    }

    /// Whether a text matches, by trying everything that a star may stand for.
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
            Some((first, rest)) => text.first() == Some(first) && matches(rest, &text[1..]),
        }
    }

    #[test]
    fn whatever_stars_stand_for_matches_and_nothing_else_does() {
        let few = ("[abé*]{0,7}", "[abé*]{0,10}");
        fuzz::holds(&few, |(pattern, text)| {
            let [of_pattern, of_text] =
                [&pattern, &text].map(|text| text.chars().collect::<Vec<_>>());
            let expected = matches(&of_pattern, &of_text);
            prop_assert_eq!(Pattern::new(pattern).matches(&text), expected);
            Ok(())
        });
        let parts = prop::collection::vec(any::<String>(), 1..6);
        fuzz::holds(&(parts, any::<String>()), |(parts, filler)| {
            let filled = parts.join(&filler);
            prop_assert!(Pattern::new(parts.join("*")).matches(&filled) || filled.contains('*'));
            Ok(())
        });
    }
}
