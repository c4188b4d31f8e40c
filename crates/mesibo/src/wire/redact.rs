//! Excerpts of replies, for logs. A reply may echo the application's token or hold a
//! user's, so tokens are masked.

use secrecy::{ExposeSecret as _, SecretString};

const MASK: &str = "[redacted]";

/// Longest excerpt, in characters.
const MAX_LENGTH: usize = 200;

/// How much of a body an excerpt is made from, in bytes. Masks are shorter than what they
/// stand for, so it is more than [`MAX_LENGTH`].
const WINDOW: usize = 2 << 10;

/// Longest run of letters and digits that is certainly no token, in characters: Mesibo's
/// tokens have 40 and more.
const MAX_WORD: usize = 24;

/// A short printable excerpt of a body, with tokens masked.
pub(crate) fn excerpt(body: &[u8], token: &SecretString) -> String {
    let forms = forms(token);
    // Enough to recognize a token that begins within the window, and nothing more: the
    // work does not grow with the body.
    let longest = forms.iter().map(String::len).max().unwrap_or_default();
    let seen = body.len().min(WINDOW + longest.max(4 * MAX_WORD));
    let text = String::from_utf8_lossy(&body[..seen]);

    let mut excerpt = String::new();
    let mut rest = &*text;
    while let Some(first) = rest.chars().next()
        && text.len() - rest.len() < WINDOW
    {
        let word = rest.find(|c: char| !c.is_alphanumeric());
        let word = &rest[..word.unwrap_or(rest.len())];
        let form = forms.iter().find(|form| rest.starts_with(&***form));
        let (shown, length) = match form {
            Some(form) => (MASK, form.len()),
            None if word.chars().nth(MAX_WORD).is_some() => (MASK, word.len()),
            None => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        excerpt.push_str(shown);
        rest = &rest[length..];
    }
    printable(&excerpt, MAX_LENGTH)
}

/// `text` with the application's token masked, in each form in which a reply may echo it.
pub(crate) fn without_token(text: &str, token: &SecretString) -> String {
    let forms = forms(token);
    let mask = |text: String, form: &String| text.replace(form, MASK);
    forms.iter().fold(text.to_owned(), mask)
}

/// The first `length` characters of `text`, with a dot for each that cannot be printed.
pub(crate) fn printable(text: &str, length: usize) -> String {
    text.chars()
        .take(length)
        .map(|c| if c.is_control() { '.' } else { c })
        .collect()
}

/// The forms in which a reply may echo a token: as it is, as JSON escapes it, and as a form
/// encodes it.
fn forms(token: &SecretString) -> Vec<String> {
    let token = token.expose_secret();
    if token.is_empty() {
        return Vec::new();
    }
    let encoded = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    vec![token.to_owned(), encoded, token.replace('/', "\\/")]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn excerpt_of(body: &str, token: &str) -> String {
        excerpt(body.as_bytes(), &SecretString::from(token))
    }

    #[test]
    fn the_application_token_is_masked_in_every_form() {
        let token = "a b/c+d";
        for echo in ["a b/c+d", "a+b%2Fc%2Bd", "a b\\/c+d"] {
            assert_eq!(
                excerpt_of(&format!("<p>{echo}</p>"), token),
                "<p>[redacted]</p>"
            );
        }
    }

    #[test]
    fn what_may_be_a_user_token_is_masked() {
        let body = r#"{"user":{"token":"89314021d442c8169b2f3baf71c79caa3b026c16daedd3ee9"}"#;
        assert_eq!(excerpt_of(body, "t0k"), r#"{"user":{"token":"[redacted]"}"#);
    }

    #[test]
    fn a_token_that_the_cut_would_halve_is_masked_first() {
        let body = format!("{} {}", ".".repeat(MAX_LENGTH - 10), "a1".repeat(30));
        assert!(excerpt_of(&body, "t0k").ends_with("[redacted"));
    }

    #[test]
    fn no_part_of_a_token_shows_wherever_the_window_cuts_it() {
        let token = "a1-b2-c3-d4-e5-f6-g7-h8-i9";
        let word = "k".repeat(100);
        // One mask, so that what is behind the window would be within the excerpt.
        for masked in WINDOW - 150..WINDOW + 10 {
            for secret in [token, &word] {
                let body = format!("{} {secret} {secret}", "m".repeat(masked));
                let excerpt = excerpt_of(&body, token);
                for part in ["a1", "i9", "k"] {
                    assert!(!excerpt.contains(part), "{masked}: {excerpt}");
                }
            }
        }
    }

    #[test]
    fn a_large_body_costs_no_more_than_a_small_one() {
        let quickest = |body: &[u8]| {
            let times = (0..10).map(|_| {
                let start = Instant::now();
                assert!(excerpt(body, &SecretString::from("t0k")).len() == MAX_LENGTH);
                start.elapsed()
            });
            times.min().unwrap()
        };
        let small = quickest(&b"ab ".repeat(WINDOW));
        let large = quickest(&b"ab ".repeat(1000 * WINDOW));
        assert!(
            large < 100 * small,
            "{large:?}, and {small:?} for a small one"
        );
    }

    #[test]
    fn an_empty_token_masks_nothing() {
        assert_eq!(excerpt_of("<p>", ""), "<p>");
        assert_eq!(without_token("BADOP", &SecretString::from("")), "BADOP");
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        let excerpt = excerpt(&[0xFF, 0x07, b'\n', b'x'], &SecretString::from("t0k"));
        assert_eq!(excerpt, "\u{FFFD}..x");
        assert_eq!(excerpt_of(&"ab ".repeat(1000), "t0k").len(), MAX_LENGTH);
    }
}
