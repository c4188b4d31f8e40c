//! Texts within the quotes of a log line. A text that a peer made up must neither end its
//! quotes, nor begin a line, nor change the order in which a terminal shows the line.

use std::fmt::Write as _;

/// Writes a text as a JSON string, with its quotes. The text format has the same form.
pub(super) fn quote(line: &mut String, text: &str) {
    line.push('"');
    // Most texts need no escape. Without an early end, the look at all bytes is vectorized.
    let is_plain = |byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        line.push_str(text);
        line.push('"');
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(is_escaped) {
        let (plain, escaped) = rest.split_at(at);
        line.push_str(plain);
        let mut chars = escaped.chars();
        if let Some(c) = chars.next() {
            escape(line, c);
        }
        rest = chars.as_str();
    }
    line.push_str(rest);
    line.push('"');
}

/// Whether a value needs no quotes in the text format: its end is where the next space is.
pub(super) fn is_bare(text: &str) -> bool {
    let is_bare = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    !text.is_empty() && text.bytes().all(is_bare)
}

/// Whether a message needs no quotes in the text format: nothing in it looks like a field.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(|c| c == '=' || is_escaped(c))
}

/// Whether a character is escaped: what JSON demands, all control characters, the
/// separators of lines, and what changes the direction of text (Unicode's UAX #9).
fn is_escaped(c: char) -> bool {
    match c {
        '"' | '\\' => true,
        ' '..='~' => false,
        _ => {
            c.is_control()
                || matches!(
                    c,
                    '\u{061c}'
                        | '\u{200e}'
                        | '\u{200f}'
                        | '\u{2028}'
                        | '\u{2029}'
                        | '\u{202a}'..='\u{202e}'
                        | '\u{2066}'..='\u{2069}'
                )
        }
    }
}

fn escape(line: &mut String, c: char) {
    match c {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        // All others are below U+10000, so that four digits are enough.
        _ => write!(line, "\\u{:04x}", u32::from(c)).expect("a string can be written to"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut line = String::new();
        quote(&mut line, text);
        line
    }

    #[test]
    fn what_could_forge_a_line_or_a_field_is_escaped() {
        assert_eq!(quoted("a b/ä€😀"), "\"a b/ä€😀\"");
        assert_eq!(quoted("a\" x=\"\\"), r#""a\" x=\"\\""#);
        assert_eq!(quoted("\n\r\t\0\x7f"), r#""\n\r\t\u0000\u007f""#);
        assert_eq!(
            quoted("\u{85}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}"),
            r#""\u0085\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069""#
        );
        for bare in ["127.0.0.1:50051", "[::1]:0", "https://x/api.php", "key:0a"] {
            assert!(is_bare(bare), "{bare}");
        }
        for quoted in ["", "a b", "a=b", "\"", "\\", "ä", "\u{202e}"] {
            assert!(!is_bare(quoted), "{quoted}");
        }
        assert!(is_plain("serving gRPC: ä"));
        for quoted in ["x caller=\"admin\"", "a=b", "a\nb", "\u{202e}"] {
            assert!(!is_plain(quoted), "{quoted}");
        }
    }

    proptest! {
        #[test]
        fn a_reader_of_json_gets_every_text_back(text in any::<String>()) {
            let line = quoted(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
            prop_assert!(!line.contains(char::is_control));
        }
    }
}
