//! Excerpts of replies for the log. A reply may echo the application's token or
//! hold a user's, so both are masked before anything is cut or shown.

use secrecy::{ExposeSecret as _, SecretString};

const MASK: &str = "[redacted]";

/// Longest excerpt, in characters.
const LENGTH: usize = 200;

/// Longest run of letters and digits that is certainly no token: Mesibo's have 40
/// and more.
const LONGEST_WORD: usize = 24;

/// A short printable excerpt of a body, without tokens.
pub(crate) fn excerpt(body: &[u8], token: &SecretString) -> String {
    let text = without_token(&String::from_utf8_lossy(body), token);
    let mut excerpt = String::new();
    for run in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let word = run.trim_end_matches(|c: char| !c.is_alphanumeric());
        if word.chars().count() > LONGEST_WORD {
            excerpt.push_str(MASK);
            excerpt.push_str(&run[word.len()..]);
        } else {
            excerpt.push_str(run);
        }
    }
    printable(&excerpt, LENGTH)
}

/// `text` with the application's token masked, in each form in which a reply may
/// echo it: as it is, as JSON escapes it, and as the form had it.
pub(crate) fn without_token(text: &str, token: &SecretString) -> String {
    let token = token.expose_secret();
    let encoded: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let escaped = token.replace('/', "\\/");
    [token, &encoded, &escaped]
        .iter()
        .fold(text.to_owned(), |text, form| text.replace(form, MASK))
}

/// The first `length` characters of `text`, with a dot for each that cannot be
/// printed.
pub(crate) fn printable(text: &str, length: usize) -> String {
    text.chars()
        .take(length)
        .map(|c| if c.is_control() { '.' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
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
        let body = format!("{} {}", ".".repeat(LENGTH - 10), "a1".repeat(30));
        assert!(excerpt_of(&body, "t0k").ends_with("[redacted"));
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        let excerpt = excerpt(&[0xFF, 0x07, b'\n', b'x'], &SecretString::from("t0k"));
        assert_eq!(excerpt, "\u{FFFD}..x");
        assert_eq!(excerpt_of(&"ab ".repeat(1000), "t0k").len(), LENGTH);
    }
}
