//! The names of the operations, as the parameter `op` has them.

/// Adds a user, or makes a new token for it.
pub const USER_ADD: &str = "useradd";
/// Edits a user.
pub const USER_SET: &str = "userset";
/// Deletes a user.
pub const USER_DEL: &str = "userdel";
/// Makes or deletes a user's token.
pub const USER_TOKEN: &str = "usertoken";
/// Lists users.
pub const USERS_GET: &str = "usersget";
/// Creates a group.
pub const GROUP_ADD: &str = "groupadd";
/// Edits a group.
pub const GROUP_SET: &str = "groupset";
/// Deletes a group.
pub const GROUP_DEL: &str = "groupdel";
/// Adds members to a group, or removes them.
pub const GROUP_EDIT_MEMBERS: &str = "groupeditmembers";
/// Lists the members of a group.
pub const GROUP_GET_MEMBERS: &str = "groupgetmembers";
/// Sends a message.
pub const MESSAGE: &str = "message";

/// The names of all operations.
pub const ALL: [&str; 11] = [
    USER_ADD,
    USER_SET,
    USER_DEL,
    USER_TOKEN,
    USERS_GET,
    GROUP_ADD,
    GROUP_SET,
    GROUP_DEL,
    GROUP_EDIT_MEMBERS,
    GROUP_GET_MEMBERS,
    MESSAGE,
];
