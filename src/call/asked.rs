//! What a request asks for: the right that it needs, and how much of a rate it takes.

use std::num::NonZeroU32;

/// What a request asks for besides the RPC that it calls.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The right that it needs besides that to call the RPC.
    pub right: Option<Claim<'a>>,
    /// How many units of a rate it takes: one, or as many as it names receivers or
    /// members.
    pub units: NonZeroU32,
}

/// A right, with the value of the request that it is about.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// To send messages from this address.
    Send {
        /// The `from_address` of the request.
        from: &'a str,
    },
    /// To make and delete user tokens.
    Grant {
        /// The `app_id` of the request. `None` stands for every `app_id`.
        app_id: Option<&'a str>,
    },
}

impl<'a> Asked<'a> {
    /// One unit, and no right.
    pub const PLAIN: Self = Self {
        right: None,
        units: NonZeroU32::MIN,
    };

    /// To send messages from an address.
    #[must_use]
    pub fn to_send(from: &'a str) -> Self {
        Self {
            right: Some(Claim::Send { from }),
            ..Self::PLAIN
        }
    }

    /// To make and delete user tokens for an `app_id`, or, with `None`, for every one.
    #[must_use]
    pub fn to_grant(app_id: Option<&'a str>) -> Self {
        Self {
            right: Some(Claim::Grant { app_id }),
            ..Self::PLAIN
        }
    }

    /// What a request with a list of so many receivers or members asks for. An empty list takes
    /// one unit.
    #[must_use]
    pub fn for_each_of(self, entries: usize) -> Self {
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        Self {
            units: NonZeroU32::new(entries).unwrap_or(NonZeroU32::MIN),
            ..self
        }
    }
}
