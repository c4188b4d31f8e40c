//! What goes over the wire: operations, the forms that they become, and replies.

mod escapes;
mod form;
mod groups;
mod json;
mod lenient;
mod messages;
pub mod op;
mod operation;
mod promise;
mod read;
mod redact;
mod replies;
mod token;
mod users;

pub use groups::{GroupOptions, Permissions};
pub use messages::{Message, Recipient};
pub use operation::{Idempotency, Operation};
pub use promise::FromReply;
pub use read::{NotDone, read};
pub(crate) use redact::{excerpt, is_error_code};
pub use replies::{Done, Group, Member, Members, Sent, User, UserToken, Users};
pub(crate) use token::Token;
pub use users::UserAdd;
