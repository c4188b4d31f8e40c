//! Parsers of what the emulator takes.

use mesibo_sandbox::{Hosts, Origins, Tokens};
use secrecy::ExposeSecret as _;
use url::Url;

/// The value that allows every name, or every origin.
const ANY: &str = "*";

/// The token that the others begin with.
pub(in crate::config) fn tokens(text: &str) -> Result<Tokens, String> {
    super::token(text).map(|token| Tokens::Base(token.expose_secret().to_owned()))
}

/// The names that a `Host` may have.
pub(in crate::config) fn hosts(text: &str) -> Result<Hosts, String> {
    if text.trim() == ANY {
        return Ok(Hosts::Any);
    }
    list(text, |name| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        name.chars().all(is_name).then(|| name.to_owned())
    })
    .map(Hosts::Named)
    .ok_or_else(|| {
        "expected names without ports, such as sandbox,sandbox.test, or * for any".into()
    })
}

/// The origins of web pages.
pub(in crate::config) fn origins(text: &str) -> Result<Origins, String> {
    if text.trim() == ANY {
        return Ok(Origins::Any);
    }
    list(text, |origin| {
        let url = Url::parse(origin).ok()?;
        // A browser sends an origin in this form, in which it must be equal.
        let sent = url.origin().ascii_serialization();
        (origin.trim_end_matches('/') == sent).then_some(sent)
    })
    .map(Origins::Named)
    .ok_or_else(|| {
        "expected origins, such as http://localhost:5173, in lower case, without a path and \
         without the port that the scheme has anyway; or * for any"
            .into()
    })
}

/// The entries of a list that commas separate. `None` if one is not as it must be.
fn list(text: &str, parse: impl Fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let entries = text.split(',').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty())
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_without_ports() {
        let named = |names: &[&str]| Hosts::Named(names.iter().map(ToString::to_string).collect());
        assert_eq!(hosts(""), Ok(named(&[])));
        assert_eq!(hosts("*"), Ok(Hosts::Any));
        assert_eq!(hosts("sandbox, a.test"), Ok(named(&["sandbox", "a.test"])));
        for wrong in ["sandbox:50080", "http://sandbox", "a b", "sandbox,*"] {
            let mistake = hosts(wrong).unwrap_err();
            assert!(mistake.contains("sandbox.test"), "{wrong}: {mistake}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        let named = |one: &str| Origins::Named(vec![one.to_owned()]);
        assert_eq!(origins("*"), Ok(Origins::Any));
        for origin in ["http://localhost:5173", "https://a.test"] {
            assert_eq!(origins(origin), Ok(named(origin)));
            assert_eq!(origins(&format!("{origin}/")), Ok(named(origin)));
        }
        for wrong in [
            "localhost",
            "https://a.test:443",
            "https://A.test",
            "http://a/b",
            "null",
        ] {
            let mistake = origins(wrong).unwrap_err();
            assert!(mistake.contains("localhost:5173"), "{wrong}: {mistake}");
        }
    }
}
