//! Escapes in text, as URLs, forms, JSON and HTML have them.

/// Text without its escapes.
pub(super) struct Unescaped {
    pub(super) bytes: Vec<u8>,
    /// Where in the text each of the bytes comes from, and at last the length of the text.
    pub(super) origins: Vec<usize>,
}

/// The characters that begin an escape, in each encoding that text may have: none at all, a
/// URL or a form, JSON, HTML.
pub(super) const ENCODINGS: [&[u8]; 4] = [b"", b"%+", b"\\", b"&"];

/// Longest escape of a byte, in bytes: an entity such as `&#1114111;`.
pub(super) const MAX_ESCAPE: usize = 10;

impl Unescaped {
    /// Replaces the escapes that begin with one of these characters. What is no escape stands
    /// for itself.
    pub(super) fn new(text: &[u8], escapes: &[u8]) -> Self {
        let mut unescaped = Self {
            bytes: Vec::with_capacity(text.len()),
            origins: Vec::with_capacity(text.len() + 1),
        };
        let mut rest = text;
        while let Some((&first, behind)) = rest.split_first() {
            let origin = text.len() - rest.len();
            rest = escapes
                .contains(&first)
                .then(|| unescape(rest, &mut unescaped.bytes))
                .flatten()
                .unwrap_or_else(|| {
                    unescaped.bytes.push(first);
                    behind
                });
            unescaped.origins.resize(unescaped.bytes.len(), origin);
        }
        unescaped.origins.push(text.len());
        unescaped
    }
}

/// Appends what the escape at the beginning of a text stands for, and returns the rest of the
/// text.
fn unescape<'a>(text: &'a [u8], bytes: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (&first, rest) = text.split_first()?;
    match first {
        b'+' => {
            bytes.push(b' ');
            Some(rest)
        }
        b'%' => {
            let (code, rest) = hexadecimal(rest, 2)?;
            bytes.push(code.try_into().ok()?);
            Some(rest)
        }
        b'\\' => {
            let (c, rest) = json(rest)?;
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            Some(rest)
        }
        b'&' => {
            let length = rest
                .iter()
                .take(MAX_ESCAPE - 1)
                .position(|&byte| byte == b';')?;
            let c = entity(str::from_utf8(&rest[..length]).ok()?)?;
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            Some(&rest[length + 1..])
        }
        _ => None,
    }
}

/// The character that a JSON escape stands for, behind its backslash (RFC 8259, section 7).
fn json(text: &[u8]) -> Option<(char, &[u8])> {
    let (&first, rest) = text.split_first()?;
    let c = match first {
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'"' | b'\\' | b'/' => first.into(),
        b'u' => {
            let (code, rest) = hexadecimal(rest, 4)?;
            if let Some(c) = char::from_u32(code) {
                return Some((c, rest));
            }
            let (low, rest) = hexadecimal(rest.strip_prefix(b"\\u")?, 4)?;
            let pair = [code.try_into().ok()?, low.try_into().ok()?];
            let c = char::decode_utf16(pair).next()?.ok()?;
            return Some((c, rest));
        }
        _ => return None,
    };
    Some((c, rest))
}

/// The character that an HTML entity of this name stands for. Of those with names, only the
/// ones that HTML itself needs.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// The number that so many hexadecimal digits are, and what is behind them.
fn hexadecimal(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let number = number.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | char::from(digit).to_digit(16)?)
    })?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_what_they_encode_and_the_rest_for_itself() {
        for (text, escapes, expected) in [
            ("a%2Fb%2fc+d%C3%BC%", "%+", "a/b/c dü%"),
            ("a%2Fb+c", "", "a%2Fb+c"),
            (
                r#"\/\"\\\n\u00fc\uD83D\uDE00\ud83d\x"#,
                "\\",
                "/\"\\\nü😀\\ud83d\\x",
            ),
            (
                "&lt;&#65;&#x42;&amp;&apos;&nbsp;&#1234567890;&",
                "&",
                "<AB&'&nbsp;&#1234567890;&",
            ),
            ("%41\\u0042&#67;+", "%\\&", "ABC+"),
        ] {
            let unescaped = Unescaped::new(text.as_bytes(), escapes.as_bytes());
            assert_eq!(str::from_utf8(&unescaped.bytes), Ok(expected), "{text}");
            assert_eq!(unescaped.origins.len(), expected.len() + 1);
            assert!(unescaped.origins.is_sorted());
        }
        assert_eq!(Unescaped::new(b"a%2Fb", b"%").origins, [0, 1, 4, 5]);
    }
}
