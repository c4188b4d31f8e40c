//! What an operation promises, and how it is read from a reply.

use serde::de::MapAccess;

/// What an operation promises, read from its reply. The types of [`reply`](crate::reply)
/// implement it, and no others can.
pub trait FromReply: Promise + Send + 'static {
    /// The id of what the operation made, edited or sent, if the reply has one.
    fn id(&self) -> Option<u64> {
        None
    }
}

/// How a promise is read, which is not for other crates.
pub trait Promise: Sized {
    /// The field of a reply that has what is promised, if anything is.
    const FIELD: Option<&str>;

    /// What a reply without the field gives, or what it lacks.
    fn absent() -> Result<Self, &'static str>;

    /// Reads the value of the field: what it gives, or what it lacks.
    fn read<'de, A: MapAccess<'de>>(reply: &mut A) -> Result<Result<Self, &'static str>, A::Error>;
}
