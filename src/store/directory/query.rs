//! What is asked of the directory.

/// Which user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserKey<'a> {
    /// By id.
    Uid(u64),
    /// By address, to the letter.
    Address(&'a str),
}

/// Which users, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserQuery<'a> {
    /// How their addresses begin; any if empty.
    pub prefix: &'a str,
    /// Whether they are enabled, if that matters. Those of whom it is not known do not match.
    pub active: Option<bool>,
    /// The address after which the page begins; the first page if empty.
    pub after: &'a str,
    /// The most entries.
    pub limit: u32,
}

/// Which groups, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupQuery<'a> {
    /// How their names begin; any if empty.
    pub prefix: &'a str,
    /// A member that they have, if that matters.
    pub member: Option<&'a str>,
    /// Where the page begins; the first page if `None`.
    pub after: Option<GroupAfter<'a>>,
    /// The most entries.
    pub limit: u32,
}

/// The last group of the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupAfter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its entry's own number.
    pub id: i64,
    /// Its gid, 0 if it has none.
    pub gid: u64,
}

/// Which group's members, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberQuery<'a> {
    /// The group.
    pub gid: u64,
    /// The address after which the page begins; the first page if empty.
    pub after: &'a str,
    /// The most entries.
    pub limit: u32,
}

/// The longest text that the directory keeps, in bytes. What is longer is cut.
pub(super) const MAX_BYTES: usize = 1_024;

/// The first text, in the order of bytes, after one that has no NUL.
pub(super) fn after(text: &str) -> String {
    format!("{text}\u{1}")
}

/// A text that comes, in the order of bytes, right after all those of at most
/// [`MAX_BYTES`] that begin with a prefix.
pub(super) fn end_of(prefix: &str) -> String {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The order of code points is that of their bytes in UTF-8. Surrogates are left out.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return text;
        }
    }
    char::MAX
        .to_string()
        .repeat(MAX_BYTES / char::MAX.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert_eq;

    use super::*;
    use crate::fuzz;

    #[test]
    fn a_text_begins_with_a_prefix_if_it_is_between_the_prefix_and_its_end() {
        let text = "[ab\u{d7ff}\u{e000}\u{10ffff}]{0,3}";
        fuzz::holds(&(text, text), |(prefix, text)| {
            let end = end_of(&prefix);
            let is_between = text >= prefix && text < end;
            prop_assert_eq!(is_between, text.starts_with(prefix.as_str()));
            Ok(())
        });
    }
}
