//! The rules of the contract that a request breaks, as many as a status can carry.

use tonic_types::FieldViolation;

/// How much of a status violations take, in bytes. Headers are small: 8 KiB with most
/// clients, base64 and all the rest included.
const MAX_BYTES: usize = 4_000;

/// How many rules the text of a status names; `BadRequest` has the others.
const MAX_NAMED: usize = 3;

/// The kind of a rule, which `FieldViolation.reason` names for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The field must have a value, or a list an entry.
    Required,
    /// One field at least of several must be set.
    AtLeastOne,
    /// The field must not be 0.
    Zero,
    /// The number or the duration is outside of what is allowed.
    OutOfRange,
    /// The duration is not whole in the unit of the wire.
    NotWhole,
    /// The text has too many bytes.
    TooLong,
    /// The list has too many entries.
    TooMany,
    /// The entry repeats another one.
    Duplicate,
    /// The text has a control character.
    ControlCharacter,
    /// The text begins or ends with white space.
    WhiteSpace,
    /// The address has a comma.
    Comma,
    /// The text is not a UUID.
    NotUuid,
    /// The number stands for nothing that the contract defines.
    UnknownValue,
    /// The field does not go with the value of another one.
    Conflict,
    /// The id was used for another request.
    Reused,
}

/// The violations of one request. What a status cannot carry is counted, and neither
/// written nor kept: a request cannot make the answer to it expensive.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    listed: Vec<FieldViolation>,
    bytes: usize,
    is_full: bool,
    left_out: usize,
    /// What the text of the status says of the first rules.
    named: Vec<String>,
    rules: usize,
}

impl Rule {
    /// The kinds of rules.
    pub const ALL: &[Self] = &[
        Self::Required,
        Self::AtLeastOne,
        Self::Zero,
        Self::OutOfRange,
        Self::NotWhole,
        Self::TooLong,
        Self::TooMany,
        Self::Duplicate,
        Self::ControlCharacter,
        Self::WhiteSpace,
        Self::Comma,
        Self::NotUuid,
        Self::UnknownValue,
        Self::Conflict,
        Self::Reused,
    ];

    /// The kind as callers read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "REQUIRED",
            Self::AtLeastOne => "AT_LEAST_ONE",
            Self::Zero => "ZERO",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::NotWhole => "NOT_WHOLE",
            Self::TooLong => "TOO_LONG",
            Self::TooMany => "TOO_MANY",
            Self::Duplicate => "DUPLICATE",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::WhiteSpace => "WHITE_SPACE",
            Self::Comma => "COMMA",
            Self::NotUuid => "NOT_UUID",
            Self::UnknownValue => "UNKNOWN_VALUE",
            Self::Conflict => "CONFLICT",
            Self::Reused => "REUSED",
        }
    }
}

impl Violations {
    /// Whether no rule is broken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules == 0
    }

    /// Adds a broken rule. `tell` gives the field, by its path in the request, and what is
    /// allowed; it is called only if the status has room for them.
    pub fn add(&mut self, rule: Rule, tell: impl FnOnce() -> (String, String)) {
        self.rules += 1;
        if self.is_full {
            self.left_out += 1;
            return;
        }
        let (field, allowed) = tell();
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{field}: {allowed}"));
        }
        self.list(rule, field, allowed);
    }

    /// Adds one broken rule that is about several fields. It is listed for each of them.
    pub fn add_of_fields(&mut self, rule: Rule, fields: &[&str], allowed: &str) {
        self.rules += 1;
        if self.named.len() < MAX_NAMED {
            let first = fields.first().unwrap_or(&"");
            self.named.push(format!("{first}: {allowed}"));
        }
        for field in fields {
            self.list(rule, (*field).to_owned(), allowed.to_owned());
        }
    }

    fn list(&mut self, rule: Rule, field: String, allowed: String) {
        let reason = rule.as_str();
        self.bytes += field.len() + allowed.len() + reason.len();
        // What comes after the first that has no room is left out, however short.
        self.is_full |= self.bytes > MAX_BYTES;
        if self.is_full {
            self.left_out += 1;
        } else {
            let violation = FieldViolation {
                reason: reason.to_owned(),
                ..FieldViolation::new(field, allowed)
            };
            self.listed.push(violation);
        }
    }

    /// The first rules, for people.
    pub(super) fn text(&self) -> String {
        let named = self.named.join("; ");
        match self.rules - self.named.len() {
            0 => named,
            rest => format!("{named}; and {rest} more, listed in BadRequest"),
        }
    }

    /// The violations for `BadRequest`, the last of which counts those left out.
    #[must_use]
    pub fn into_listed(mut self) -> Vec<FieldViolation> {
        if self.left_out > 0 {
            let rest = format!("and {} more violations", self.left_out);
            self.listed.push(FieldViolation::new("", rest));
        }
        self.listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_cannot_carry_is_counted_and_never_written() {
        let mut violations = Violations::default();
        let mut written = 0;
        for _ in 0..10_000 {
            violations.add(Rule::Comma, || {
                written += 1;
                ("members[7]".into(), "x".repeat(85))
            });
        }
        // 40 of 100 bytes, and the one that has no room.
        assert_eq!(written, 41);
        assert!(
            violations
                .text()
                .ends_with("; and 9997 more, listed in BadRequest")
        );
        let listed = violations.into_listed();
        assert_eq!(listed.len(), 41);
        assert_eq!(listed[40].description, "and 9960 more violations");
        assert_eq!((&*listed[39].reason, &*listed[40].reason), ("COMMA", ""));
    }

    #[test]
    fn the_text_names_three_rules_and_one_about_several_fields_once() {
        let mut violations = Violations::default();
        assert!(violations.is_empty());
        assert_eq!(violations.text(), "");
        violations.add_of_fields(Rule::AtLeastOne, &["flags", "active"], "set one");
        assert_eq!(violations.text(), "flags: set one");
        for field in ["uid", "gid"] {
            violations.add(Rule::Zero, || (field.into(), "must not be 0".into()));
        }
        let three = "flags: set one; uid: must not be 0; gid: must not be 0";
        assert_eq!(violations.text(), three);
        violations.add(Rule::Required, || {
            ("name".into(), "must not be empty".into())
        });
        let text = format!("{three}; and 1 more, listed in BadRequest");
        assert_eq!(violations.text(), text);
        let listed = violations.into_listed();
        let fields: Vec<_> = listed.iter().map(|it| &*it.field).collect();
        assert_eq!(fields, ["flags", "active", "uid", "gid", "name"]);
    }

    #[test]
    fn kinds_of_rules_have_names_of_their_own() {
        let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Rule::ALL.len());
    }
}
