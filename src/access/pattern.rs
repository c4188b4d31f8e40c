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

    proptest! {
        #[test]
        fn whatever_stars_stand_for_matches(parts in prop::collection::vec("[ab*]{0,3}", 1..6), filler in "[ab]{0,4}") {
            let pattern = Pattern::new(parts.join("*"));
            let filled = parts.join(&filler).replace('*', &filler);
            prop_assert!(pattern.matches(&filled), "{pattern:?} {filled}");
        }
    }
}
