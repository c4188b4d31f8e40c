//! What of a reply may be shown: its error code, and excerpts for logs. A reply may echo the
//! application's token or hold a user's, in any encoding, and text that is made to mislead
//! who reads the log.

use secrecy::{ExposeSecret as _, SecretString};

use super::escapes::{ENCODINGS, MAX_ESCAPE, Unescaped};

const MASK: &str = "[redacted]";

/// Longest excerpt, in characters, without its quotes and escapes.
const MAX_LENGTH: usize = 200;

/// How much of a text an excerpt shows at most, in bytes. Masks are shorter than what they
/// stand for, so it is more than [`MAX_LENGTH`].
const WINDOW: usize = 2 << 10;

/// Longest run of letters and digits that is certainly no token: Mesibo's have 40 and more,
/// and so they have in base64 and hexadecimal.
const MAX_WORD: usize = 24;

/// Longest error code: as long as the `reason` of a `google.rpc.ErrorInfo` may be.
const MAX_CODE: usize = 63;

/// Whether a text is an error code: `[A-Za-z0-9_.-]{1,63}`, and neither a token nor a part
/// of the text that may be one.
pub(crate) fn is_error_code(text: &str, token: &SecretString) -> bool {
    let token = token.expose_secret();
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    (1..=MAX_CODE).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && words.all(|word| word.len() <= MAX_WORD)
        && (token.is_empty() || !text.contains(token))
}

/// A short excerpt of a text, with tokens masked. It is quoted, and what cannot be printed or
/// changes the direction of text is escaped, as in Rust's string literals.
pub(crate) fn excerpt(text: &[u8], token: &SecretString) -> String {
    let masked = masked(text, token);
    let end = masked.char_indices().nth(MAX_LENGTH).map(|(end, _)| end);
    format!("{:?}", &masked[..end.unwrap_or(masked.len())])
}

/// The beginning of a text, with tokens masked.
fn masked(text: &[u8], token: &SecretString) -> String {
    let token = token.expose_secret();
    // Enough to recognize a token that begins within the window, and nothing more: the work
    // does not grow with the text.
    let longest = MAX_ESCAPE * token.len().max(MAX_WORD + 1);
    let text = String::from_utf8_lossy(&text[..text.len().min(WINDOW + longest)]);

    let is_secret = secrets(text.as_bytes(), token.as_bytes());
    let mut masked = String::new();
    for (at, c) in text.char_indices().take_while(|&(at, _)| at < WINDOW) {
        if !is_secret[at] {
            masked.push(c);
        } else if at == 0 || !is_secret[at - 1] {
            masked.push_str(MASK);
        }
    }
    masked
}

/// Which bytes of a text belong to a token: the application's in any encoding, or what may be
/// another in any mixture of them.
fn secrets(text: &[u8], token: &[u8]) -> Vec<bool> {
    let mut is_secret = vec![false; text.len()];
    for escapes in ENCODINGS {
        let Unescaped { bytes, origins } = Unescaped::new(text, escapes);
        let mut windows = bytes.windows(token.len().max(1)).enumerate();
        while let Some((start, _)) = windows.find(|&(_, window)| window == token) {
            is_secret[origins[start]..origins[start + token.len()]].fill(true);
        }
    }
    let Unescaped { bytes, origins } = Unescaped::new(text, &ENCODINGS.concat());
    let mut start = 0;
    for word in bytes.split(|byte| !byte.is_ascii_alphanumeric()) {
        let end = start + word.len();
        if word.len() > MAX_WORD {
            is_secret[origins[start]..origins[end]].fill(true);
        }
        start = end + 1;
    }
    is_secret
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use proptest::prelude::*;

    use super::*;

    /// A user's token, of the form that Mesibo's have.
    const USER_TOKEN: &str = "89314021d442c8169b2f3baf71c79caa3b026c16daedd3ee9";

    /// A way to encode a character.
    type Encode = fn(char) -> String;

    fn excerpt_of(text: &str, token: &str) -> String {
        excerpt(text.as_bytes(), &SecretString::from(token))
    }

    fn masked_of(text: &str, token: &str) -> String {
        masked(text.as_bytes(), &SecretString::from(token))
    }

    fn encoded(text: &str, encode: impl Fn(char) -> String) -> String {
        text.chars().map(encode).collect()
    }

    fn percent(c: char, digits: fn(u8) -> String) -> String {
        c.to_string().bytes().map(digits).collect()
    }

    fn json(c: char, digits: fn(u16) -> String) -> String {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|&unit| digits(unit)).collect()
    }

    /// Every way to encode a text one character after the other.
    const ENCODES: [Encode; 10] = [
        |c| c.into(),
        |c| form_urlencoded::byte_serialize(c.to_string().as_bytes()).collect(),
        |c| percent(c, |byte| format!("%{byte:02X}")),
        |c| percent(c, |byte| format!("%{byte:02x}")),
        |c| match c {
            '/' => r"\/".into(),
            '"' | '\\' => format!("\\{c}"),
            _ => c.into(),
        },
        |c| json(c, |unit| format!("\\u{unit:04x}")),
        |c| json(c, |unit| format!("\\u{unit:04X}")),
        |c| match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            '\'' => "&#39;".into(),
            _ => c.into(),
        },
        |c| format!("&#{};", u32::from(c)),
        |c| format!("&#x{:X};", u32::from(c)),
    ];

    proptest! {
        #[test]
        fn the_applications_token_is_masked_in_every_encoding(
            token in "\\PC{8,40}",
            encode in prop::sample::select(&ENCODES[..]),
            before in "[a-z <>\"]{0,50}",
            behind in "[a-z <>\"]{0,50}",
        ) {
            prop_assume!(!before.contains(&token) && !behind.contains(&token));
            let echo = encoded(&token, encode);
            let masked = masked_of(&format!("{before} {echo} {behind}"), &token);
            prop_assert!(masked.contains(MASK));
            prop_assert!(!masked.contains(&echo), "{masked}");
        }

        #[test]
        fn what_may_be_a_users_token_is_masked_in_every_mixture_of_encodings(
            token in "[0-9a-zA-Z]{25,80}",
            encodes in prop::collection::vec(prop::sample::select(&ENCODES[..]), 1..5),
        ) {
            let encoded = token.chars().zip(encodes.iter().cycle());
            let echo: String = encoded.map(|(c, encode)| encode(c)).collect();
            let masked = masked_of(&format!("<{echo}>"), "t0k");
            prop_assert_eq!(masked, "<[redacted]>");
        }

        #[test]
        fn a_token_in_base64_or_hexadecimal_is_masked(token in "[0-9a-zA-Z]{40,80}") {
            let base64 = BASE64_STANDARD.encode(&token);
            let base64 = base64.trim_end_matches('=');
            let hexadecimal = encoded(&token, |c| format!("{:02x}", u32::from(c)));
            for echo in [base64, &hexadecimal] {
                prop_assert_eq!(masked_of(&format!("<{echo}>"), "t0k"), "<[redacted]>");
            }
        }

        #[test]
        fn an_excerpt_is_short_and_has_nothing_that_misleads(text: Vec<u8>, bidi in "[\u{202A}-\u{202E}\u{2066}-\u{2069}\u{200E}\u{200F}\u{2028}\u{2029}\u{0}-\u{1F}\u{7F}-\u{9F}\"]*") {
            for text in [&*text, bidi.as_bytes()] {
                let excerpt = excerpt(text, &SecretString::from("t0k"));
                let inner = excerpt.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                let inner = inner.unwrap().replace("\\\\", "").replace("\\\"", "");
                prop_assert!(!inner.contains(|c: char| {
                    c == '"'
                        || c.is_control()
                        || matches!(c, '\u{200E}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
                }), "{excerpt}");
                prop_assert!(excerpt.len() <= 10 * MAX_LENGTH + 2);
            }
        }

        #[test]
        fn no_text_makes_the_masking_panic(text: Vec<u8>, escapes in "[%+\\\\&#xu0-9a-f;üא]*", token: String) {
            for text in [&*text, escapes.as_bytes()] {
                excerpt(text, &SecretString::from(&*token));
            }
        }
    }

    #[test]
    fn a_token_that_the_cut_would_halve_is_masked_first() {
        let text = format!("{} {}", ".".repeat(MAX_LENGTH - 10), USER_TOKEN);
        assert!(excerpt_of(&text, "t0k").ends_with("[redacted\""));
    }

    #[test]
    fn no_part_of_a_token_shows_wherever_the_window_cuts_it() {
        let token = "a1-b2-c3-d4-e5-f6-g7-h8-i9";
        let escaped = encoded(token, |c| format!("&#{};", u32::from(c)));
        let word = "k".repeat(100);
        // One mask, so that what is behind the window would be within the excerpt.
        for before in WINDOW - 300..WINDOW + 10 {
            for secret in [token, &escaped, &word] {
                let text = format!("{} {secret} {secret}", "m".repeat(before));
                let excerpt = excerpt_of(&text, token);
                for part in ["a1", "i9", "#", "k"] {
                    assert!(!excerpt.contains(part), "{before}: {excerpt}");
                }
            }
        }
    }

    #[test]
    fn a_large_text_costs_no_more_than_a_small_one() {
        let quickest = |text: &[u8]| {
            let times = (0..10).map(|_| {
                let start = Instant::now();
                assert_eq!(
                    excerpt(text, &SecretString::from("t0k")).len(),
                    MAX_LENGTH + 2
                );
                start.elapsed()
            });
            times.min().unwrap()
        };
        let small = quickest(&b"ab ".repeat(WINDOW));
        let large = quickest(&b"ab ".repeat(10_000 * WINDOW));
        assert!(
            large < 100 * small,
            "{large:?}, and {small:?} for a small one"
        );
    }

    #[test]
    fn an_excerpt_is_quoted_as_a_string_literal_is() {
        let text = b"\xFF\x07\nx \"q\" \\ \xE2\x80\xAE\xE2\x80\xA8";
        assert_eq!(
            excerpt(text, &SecretString::from("t0k")),
            r#""\u{fffd}\u{7}\nx \"q\" \\ \u{202e}\u{2028}""#.replace(r"\u{fffd}", "\u{FFFD}")
        );
        assert_eq!(excerpt_of("<p>", ""), r#""<p>""#, "no token masks nothing");
    }

    #[test]
    fn an_error_code_is_short_and_is_no_token() {
        let token = SecretString::from("t0k-en");
        for code in ["EXISTS", "42", "Bad.Code_1-x", &"AB_".repeat(21)] {
            assert!(is_error_code(code, &token), "{code}");
        }
        for other in [
            "",
            "BAD TOKEN",
            "BAD\n",
            "\u{202E}BAD",
            "BAD\"",
            "Ü",
            &"AB_".repeat(22),
            "BAD-t0k-en",
            USER_TOKEN,
            &format!("BAD_{USER_TOKEN}"),
            &BASE64_STANDARD.encode("t0k-en-of-thirty-characters-xx"),
        ] {
            assert!(!is_error_code(other, &token), "{other}");
        }
        assert!(is_error_code("BADOP", &SecretString::from("")));
    }
}
