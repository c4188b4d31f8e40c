//! Looking up uncertain users.

/// An uncertain user whose time to be looked up has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub(super) id: i64,
    /// Its ticket and its state when it was taken: another write changes one of them.
    pub(super) ticket: i64,
    pub(super) state: i64,
    /// Its address.
    pub address: String,
}

/// What Mesibo said of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has the user.
    Found {
        /// Its id.
        uid: u64,
        /// Whether it is enabled.
        active: Option<bool>,
        /// Mesibo's flags.
        flags: Option<u32>,
    },
    /// It has none of this address.
    Absent,
}
