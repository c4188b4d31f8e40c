//! The parameters of a request, and their types.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::reply::{Code, Refusal};

/// The most parameters that a query, or a body, may hold; PHP's default of
/// `max_input_vars`. What comes behind them is not read.
pub(super) const MAX_PARAMETERS: usize = 1000;

/// The most bytes of a name, an address or an app id.
const MAX_NAME: usize = 1024;

/// The parameters of a request, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    /// The parameters that the operation asked for, whether they were there or not.
    used: RefCell<BTreeSet<&'static str>>,
}

impl Params {
    pub(crate) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            pairs: pairs.into_iter().collect(),
            used: RefCell::default(),
        }
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The parameters with a value that nothing asked for, each once.
    pub(crate) fn unused(&self) -> Vec<&str> {
        let used = self.used.borrow();
        let mut seen = HashSet::new();
        let unused = self.pairs.iter().filter(|(name, value)| {
            !value.is_empty() && !used.contains(name.as_str()) && seen.insert(name)
        });
        unused.map(|(name, _)| name.as_str()).collect()
    }

    /// A required text.
    pub(crate) fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional_text(name)
            .ok_or_else(|| Code::MissingPara.of(name))
    }

    pub(crate) fn optional_text(&self, name: &'static str) -> Option<&str> {
        self.as_sent(name).filter(|value| !value.is_empty())
    }

    /// A text that may be empty, where that differs from being absent. Of two parameters
    /// with one name the later one counts, as in PHP.
    pub(crate) fn as_sent(&self, name: &'static str) -> Option<&str> {
        self.used.borrow_mut().insert(name);
        let mut pairs = self.pairs.iter().rev();
        pairs
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// A required address, or another name that is kept.
    pub(crate) fn name(&self, name: &'static str) -> Result<&str, Refusal> {
        short(name, self.text(name)?)
    }

    pub(crate) fn optional_name(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        let value = self.as_sent(name);
        value.map(|value| short(name, value)).transpose()
    }

    /// A required number.
    pub(crate) fn number(&self, name: &'static str) -> Result<u64, Refusal> {
        self.optional_number(name)?
            .ok_or_else(|| Code::MissingPara.of(name))
    }

    pub(crate) fn optional_number(&self, name: &'static str) -> Result<Option<u64>, Refusal> {
        let value = self.optional_text(name);
        value
            .map(|value| number(value).ok_or_else(|| Code::BadPara.of(name)))
            .transpose()
    }

    /// A required id of a group.
    pub(crate) fn gid(&self) -> Result<u64, Refusal> {
        self.optional_gid()?
            .ok_or_else(|| Code::MissingPara.of("gid"))
    }

    /// The id of a group, `gid` or `groupid`; 0 is none, as the vendor's PHP sends it
    /// beside `to`.
    pub(crate) fn optional_gid(&self) -> Result<Option<u64>, Refusal> {
        let gid = match self.optional_number("gid")? {
            None | Some(0) => self.optional_number("groupid")?,
            gid => gid,
        };
        Ok(gid.filter(|gid| *gid != 0))
    }

    /// A yes or no: 1 or 0, `true` or `false` in any case.
    pub(crate) fn optional_bool(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        match self.optional_text(name) {
            None => Ok(None),
            Some("0") => Ok(Some(false)),
            Some("1") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(_) => Err(Code::BadPara.of(name)),
        }
    }

    pub(crate) fn optional_minutes(&self, name: &'static str) -> Result<Option<Duration>, Refusal> {
        let minutes = self.optional_number(name)?;
        Ok(minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))))
    }

    pub(crate) fn optional_seconds(&self, name: &'static str) -> Result<Option<Duration>, Refusal> {
        Ok(self.optional_number(name)?.map(Duration::from_secs))
    }

    /// A required comma-separated list.
    pub(crate) fn list(&self, name: &'static str) -> Result<Vec<&str>, Refusal> {
        self.optional_list(name)?
            .ok_or_else(|| Code::MissingPara.of(name))
    }

    /// A comma-separated list. An entry that is repeated counts once.
    pub(crate) fn optional_list(&self, name: &'static str) -> Result<Option<Vec<&str>>, Refusal> {
        let value = self.optional_text(name);
        value
            .map(|value| list(value).ok_or_else(|| Code::BadPara.of(name)))
            .transpose()
    }

    /// Every address that the request names, for rules that look for one.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        let named = self
            .pairs
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "addr" | "from" | "to" | "m"));
        named
            .flat_map(|(_, value)| value.split(','))
            .filter(|address| !address.is_empty())
    }
}

fn short<'a>(name: &'static str, value: &'a str) -> Result<&'a str, Refusal> {
    if value.len() > MAX_NAME {
        return Err(Code::BadPara.of(name));
    }
    Ok(value)
}

fn number(value: &str) -> Option<u64> {
    // Rust's own parser would take "+5".
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().ok()
    } else {
        None
    }
}

fn list(value: &str) -> Option<Vec<&str>> {
    let mut seen = HashSet::new();
    let entries: Vec<_> = value
        .split(',')
        .filter(|entry| seen.insert(*entry))
        .collect();
    (!entries.contains(&"")).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(form: &str) -> Params {
        Params::new(form_urlencoded::parse(form.as_bytes()).into_owned())
    }

    #[test]
    fn the_last_of_two_parameters_counts() {
        assert_eq!(params("a=1&b=x&a=2").text("a"), Ok("2"));
    }

    #[test]
    fn a_parameter_that_nothing_asked_for_is_unused_unless_it_is_empty() {
        let params = params("op=x&sig=none&sig=more&empty=");
        assert_eq!(params.text("op"), Ok("x"));
        assert_eq!(params.unused(), ["sig"]);
    }

    #[test]
    fn a_group_of_0_is_none_under_either_name() {
        for form in ["gid=0", "groupid=0", "gid=0&groupid=0", "gid="] {
            assert_eq!(params(form).optional_gid(), Ok(None), "{form}");
        }
        assert_eq!(params("gid=0&groupid=7").gid(), Ok(7));
        assert_eq!(params("gid=7").gid(), Ok(7));
    }

    #[test]
    fn an_empty_value_counts_as_an_absent_one() {
        let params = params("a=&b");
        for key in ["a", "b", "absent"] {
            assert_eq!(params.text(key), Err(Code::MissingPara.of(key)), "{key}");
            assert_eq!(params.number(key), Err(Code::MissingPara.of(key)), "{key}");
            assert_eq!(params.list(key), Err(Code::MissingPara.of(key)), "{key}");
            assert_eq!(params.optional_bool(key), Ok(None), "{key}");
            assert_eq!(params.optional_seconds(key), Ok(None), "{key}");
        }
        assert_eq!(params.as_sent("a"), Some(""));
        assert_eq!(params.as_sent("absent"), None);
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
            assert_eq!(
                params.optional_number("n"),
                Err(Code::BadPara.of("n")),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_bool_is_0_or_1_or_a_word_in_any_case() {
        for (value, expected) in [("true", true), ("FALSE", false), ("True", true)] {
            let read = params(&format!("b={value}")).optional_bool("b");
            assert_eq!(read, Ok(Some(expected)), "{value}");
        }
        assert_eq!(params("b=0").optional_bool("b"), Ok(Some(false)));
        assert_eq!(params("b=1").optional_bool("b"), Ok(Some(true)));
        for bad in ["2", "yes", "01", "-1"] {
            let params = params(&format!("b={bad}"));
            assert_eq!(
                params.optional_bool("b"),
                Err(Code::BadPara.of("b")),
                "{bad}"
            );
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
            assert_eq!(
                params.optional_list("l"),
                Err(Code::BadPara.of("l")),
                "{bad}"
            );
        }
    }
}
