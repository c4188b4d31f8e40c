//! The parameters of a request, and what they are read as.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::reply::Code;

/// The parameters of a request, by their names.
#[derive(Debug)]
pub(super) struct Params(HashMap<String, String>);

impl Params {
    /// Reads two encoded forms; the later of two parameters with one name wins,
    /// and so the body does over the query.
    pub(super) fn parse(query: &[u8], body: &[u8]) -> Self {
        let query = form_urlencoded::parse(query).into_owned();
        let body = form_urlencoded::parse(body).into_owned();
        Self(query.chain(body).collect())
    }

    /// A required text.
    pub(super) fn text(&self, key: &str) -> Result<&str, Code> {
        self.optional_text(key).ok_or(Code::MissingPara)
    }

    pub(super) fn optional_text(&self, key: &str) -> Option<&str> {
        self.as_sent(key).filter(|value| !value.is_empty())
    }

    /// A text that may be empty, where that differs from being absent.
    pub(super) fn as_sent(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A required number.
    pub(super) fn number(&self, key: &str) -> Result<u64, Code> {
        self.optional_number(key)?.ok_or(Code::MissingPara)
    }

    pub(super) fn optional_number(&self, key: &str) -> Result<Option<u64>, Code> {
        self.optional_text(key).map(number).transpose()
    }

    /// A yes or no, as 1 or 0.
    pub(super) fn optional_bool(&self, key: &str) -> Result<Option<bool>, Code> {
        match self.optional_text(key) {
            None => Ok(None),
            Some("0") => Ok(Some(false)),
            Some("1") => Ok(Some(true)),
            Some(_) => Err(Code::BadPara),
        }
    }

    pub(super) fn optional_minutes(&self, key: &str) -> Result<Option<Duration>, Code> {
        let minutes = self.optional_number(key)?;
        Ok(minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))))
    }

    pub(super) fn optional_seconds(&self, key: &str) -> Result<Option<Duration>, Code> {
        Ok(self.optional_number(key)?.map(Duration::from_secs))
    }

    /// A required comma-separated list.
    pub(super) fn list(&self, key: &str) -> Result<Vec<&str>, Code> {
        self.optional_list(key)?.ok_or(Code::MissingPara)
    }

    /// A comma-separated list. An entry that is repeated counts once.
    pub(super) fn optional_list(&self, key: &str) -> Result<Option<Vec<&str>>, Code> {
        self.optional_text(key).map(list).transpose()
    }
}

fn number(value: &str) -> Result<u64, Code> {
    // Rust's own parser would take "+5".
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_err(|_| Code::BadPara)
    } else {
        Err(Code::BadPara)
    }
}

fn list(value: &str) -> Result<Vec<&str>, Code> {
    let mut seen = HashSet::new();
    let entries: Vec<_> = value
        .split(',')
        .filter(|entry| seen.insert(*entry))
        .collect();
    if entries.contains(&"") {
        return Err(Code::BadPara);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(form: &str) -> Params {
        Params::parse(b"", form.as_bytes())
    }

    #[test]
    fn the_last_of_two_parameters_counts_and_the_body_wins_over_the_query() {
        let params = Params::parse(b"a=1&a=2&b=query", b"b=1&b=body");
        assert_eq!(params.text("a"), Ok("2"));
        assert_eq!(params.text("b"), Ok("body"));
    }

    #[test]
    fn an_empty_value_counts_as_an_absent_one() {
        let params = params("a=&b");
        for key in ["a", "b", "absent"] {
            assert_eq!(params.text(key), Err(Code::MissingPara), "{key}");
            assert_eq!(params.number(key), Err(Code::MissingPara), "{key}");
            assert_eq!(params.list(key), Err(Code::MissingPara), "{key}");
            assert_eq!(params.optional_bool(key), Ok(None), "{key}");
            assert_eq!(params.optional_seconds(key), Ok(None), "{key}");
        }
        assert_eq!(params.as_sent("a"), Some(""));
        assert_eq!(params.as_sent("absent"), None);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let params = Params::parse(b"a=%FF", b"b=\xFE");
        assert_eq!(params.text("a"), Ok("\u{FFFD}"));
        assert_eq!(params.text("b"), Ok("\u{FFFD}"));
    }

    #[test]
    fn a_number_has_digits_alone_and_fits_64_bits() {
        assert_eq!(params("n=0018").number("n"), Ok(18));
        assert_eq!(params(&format!("n={}", u64::MAX)).number("n"), Ok(u64::MAX));
        for bad in [
            "-1",
            "%2B1",
            "+1",
            "1.5",
            "1e9",
            "0x1",
            "one",
            "18446744073709551616",
        ] {
            let params = params(&format!("n={bad}"));
            assert_eq!(params.optional_number("n"), Err(Code::BadPara), "{bad}");
        }
    }

    #[test]
    fn a_bool_is_0_or_1() {
        assert_eq!(params("b=0").optional_bool("b"), Ok(Some(false)));
        assert_eq!(params("b=1").optional_bool("b"), Ok(Some(true)));
        for bad in ["2", "true", "01", "-1"] {
            let params = params(&format!("b={bad}"));
            assert_eq!(params.optional_bool("b"), Err(Code::BadPara), "{bad}");
        }
    }

    #[test]
    fn minutes_saturate() {
        let params = params(&format!("short=2&long={}", u64::MAX));
        let minutes = |key| params.optional_minutes(key);
        assert_eq!(minutes("short"), Ok(Some(Duration::from_mins(2))));
        assert_eq!(minutes("long"), Ok(Some(Duration::from_secs(u64::MAX))));
    }

    #[test]
    fn a_list_drops_repeats_and_refuses_empty_entries() {
        assert_eq!(params("l=b,a,b").list("l"), Ok(vec!["b", "a"]));
        for bad in [",", "a,", ",a", "a,,b"] {
            let params = params(&format!("l={bad}"));
            assert_eq!(params.optional_list("l"), Err(Code::BadPara), "{bad}");
        }
    }
}
