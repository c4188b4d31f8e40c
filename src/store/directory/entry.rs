//! What the directory has.

use std::time::{Duration, SystemTime};

use super::rows::Row;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// The id, if Mesibo has told it.
    pub uid: Option<u64>,
    /// The address, unless only the id is known.
    pub address: Option<String>,
    /// The display name, as far as a write through the facade gave it.
    pub name: Option<String>,
    /// Whether it is enabled.
    pub active: Option<bool>,
    /// Mesibo's flags.
    pub flags: Option<u32>,
    /// Whether the last write of it has a known outcome.
    pub is_confirmed: bool,
    /// When the directory learned of it.
    pub created: SystemTime,
    /// When it was last changed here.
    pub changed: SystemTime,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// The entry's own number, which tells groups of one name apart.
    pub id: i64,
    /// The id, if Mesibo has told it.
    pub gid: Option<u64>,
    /// The name, empty if it has none or none is known.
    pub name: String,
    /// Whether it is enabled.
    pub active: Option<bool>,
    /// Mesibo's flags.
    pub flags: Option<u32>,
    /// Whether the last write of it has a known outcome.
    pub is_confirmed: bool,
    /// When the directory learned of it.
    pub created: SystemTime,
    /// When it was last changed here.
    pub changed: SystemTime,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// The member's address.
    pub address: String,
    /// What the member may do.
    pub permissions: Permissions,
    /// Whether the last write of it has a known outcome.
    pub is_confirmed: bool,
    /// When the directory learned of it.
    pub created: SystemTime,
    /// When it was last changed here.
    pub changed: SystemTime,
}

/// What a member may do, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Whether it may send messages.
    pub can_send: Option<bool>,
    /// Whether it receives messages.
    pub can_receive: Option<bool>,
    /// Whether it may publish in calls.
    pub can_publish: Option<bool>,
    /// Whether it may subscribe in calls.
    pub can_subscribe: Option<bool>,
    /// Whether it may list the members.
    pub can_list: Option<bool>,
}

impl UserEntry {
    pub(super) fn from_row(row: Row) -> Self {
        Self {
            uid: row.number.map(i64::cast_unsigned),
            address: row.address,
            name: row.name,
            active: row.active.map(|active| active != 0),
            flags: row.flags.and_then(|flags| flags.try_into().ok()),
            is_confirmed: row.state == super::sql::CONFIRMED,
            created: time(row.created),
            changed: time(row.changed),
        }
    }
}

impl GroupEntry {
    pub(super) fn from_row(row: Row) -> Self {
        Self {
            id: row.id,
            gid: row.number.map(i64::cast_unsigned),
            name: row.name.unwrap_or_default(),
            active: row.active.map(|active| active != 0),
            flags: row.flags.and_then(|flags| flags.try_into().ok()),
            is_confirmed: row.state == super::sql::CONFIRMED,
            created: time(row.created),
            changed: time(row.changed),
        }
    }
}

impl MemberEntry {
    pub(super) fn from_row(row: Row) -> Self {
        Self {
            address: row.address.unwrap_or_default(),
            permissions: Permissions::from_bits(
                row.active.unwrap_or_default(),
                row.flags.unwrap_or_default(),
            ),
            is_confirmed: row.state == super::sql::CONFIRMED,
            created: time(row.created),
            changed: time(row.changed),
        }
    }
}

impl Permissions {
    /// Which are known, and which of these are granted: a bit for each.
    pub(super) fn bits(self) -> (i64, i64) {
        let all = [
            self.can_send,
            self.can_receive,
            self.can_publish,
            self.can_subscribe,
            self.can_list,
        ];
        let mut bits = (0, 0);
        for (n, permission) in all.into_iter().enumerate() {
            bits.0 |= i64::from(permission.is_some()) << n;
            bits.1 |= i64::from(permission == Some(true)) << n;
        }
        bits
    }

    fn from_bits(known: i64, granted: i64) -> Self {
        let of = |n: u32| (known >> n & 1 == 1).then_some(granted >> n & 1 == 1);
        Self {
            can_send: of(0),
            can_receive: of(1),
            can_publish: of(2),
            can_subscribe: of(3),
            can_list: of(4),
        }
    }
}

/// A time of the database's clock.
fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::{option, prop_assert_eq};

    use super::*;
    use crate::fuzz;

    #[test]
    fn permissions_come_back_from_their_bits() {
        let any = || option::of(proptest::bool::ANY);
        fuzz::holds(
            &(any(), any(), any(), any(), any()),
            |(can_send, can_receive, can_publish, can_subscribe, can_list)| {
                let permissions = Permissions {
                    can_send,
                    can_receive,
                    can_publish,
                    can_subscribe,
                    can_list,
                };
                let (known, granted) = permissions.bits();
                prop_assert_eq!(Permissions::from_bits(known, granted), permissions);
                Ok(())
            },
        );
    }
}
