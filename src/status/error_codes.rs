//! What Mesibo's error codes mean in terms of gRPC.

use std::{collections::HashMap, sync::Arc};

use tonic::Code;

/// The gRPC codes of Mesibo's error codes: an operator's own first, then rules, for
/// Mesibo has no official list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCodes(Arc<HashMap<String, Code>>);

impl ErrorCodes {
    /// Rules with these exceptions.
    #[must_use]
    pub fn new(exceptions: HashMap<String, Code>) -> Self {
        Self(Arc::new(exceptions))
    }

    /// The gRPC code of a Mesibo error code. The first rule that fits decides.
    #[must_use]
    pub fn get(&self, code: &str) -> Code {
        if let Some(&exception) = self.0.get(code) {
            return exception;
        }
        let is = |codes: &[&str]| codes.contains(&code);
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| code.starts_with(prefix));
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| code.ends_with(suffix));

        if is(&["BADOP"]) {
            Code::Unimplemented
        } else if is(&["AUTHFAIL"]) || ends(&["TOKEN"]) {
            Code::Unauthenticated
        } else if is(&["TOKENBREACH", "NOTALLOWED"]) || ends(&["DENIED", "DISABLED"]) {
            Code::PermissionDenied
        } else if ends(&["EXISTS"]) || starts(&["DUPLICATE"]) {
            Code::AlreadyExists
        } else if is(&["NOUSER", "NOGROUP", "NOMEMBER"]) || ends(&["NOTFOUND"]) {
            Code::NotFound
        } else if starts(&["MISSING", "BAD", "INVALID"]) {
            Code::InvalidArgument
        } else if starts(&["QUOTA", "TOOMANY"]) || code.contains("LIMIT") || ends(&["EXCEEDED"]) {
            Code::ResourceExhausted
        } else {
            Code::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_mapped_by_the_first_rule_that_fits() {
        let codes = ErrorCodes::default();
        for (code, expected) in [
            ("BADOP", Code::Unimplemented),
            ("AUTHFAIL", Code::Unauthenticated),
            ("BADTOKEN", Code::Unauthenticated),
            ("MISSINGTOKEN", Code::Unauthenticated),
            ("TOKENBREACH", Code::PermissionDenied),
            ("ACCESSDENIED", Code::PermissionDenied),
            ("NOTALLOWED", Code::PermissionDenied),
            ("USERDISABLED", Code::PermissionDenied),
            ("EXISTS", Code::AlreadyExists),
            ("USEREXISTS", Code::AlreadyExists),
            ("DUPLICATEUSER", Code::AlreadyExists),
            ("NOTFOUND", Code::NotFound),
            ("NOUSER", Code::NotFound),
            ("NOGROUP", Code::NotFound),
            ("NOMEMBER", Code::NotFound),
            ("BADUSERNOTFOUND", Code::NotFound),
            ("MISSINGPARA", Code::InvalidArgument),
            ("MISSINGAPPID", Code::InvalidArgument),
            ("BADUSER", Code::InvalidArgument),
            ("BADAPP", Code::InvalidArgument),
            ("INVALIDUID", Code::InvalidArgument),
            ("QUOTA", Code::ResourceExhausted),
            ("QUOTAREACHED", Code::ResourceExhausted),
            ("RATELIMITED", Code::ResourceExhausted),
            ("TOOMANYUSERS", Code::ResourceExhausted),
            ("SIZEEXCEEDED", Code::ResourceExhausted),
            ("WHATEVER", Code::Unknown),
            ("", Code::Unknown),
            // Case counts: this is some gateway's text, not a code of Mesibo's.
            ("Bad Gateway", Code::Unknown),
        ] {
            assert_eq!(codes.get(code), expected, "{code}");
        }
    }

    #[test]
    fn an_operators_exception_goes_before_the_rules() {
        let codes = ErrorCodes::new(HashMap::from([("BADOP".to_owned(), Code::Internal)]));
        assert_eq!(codes.get("BADOP"), Code::Internal);
        assert_eq!(codes.get("AUTHFAIL"), Code::Unauthenticated);
    }
}
