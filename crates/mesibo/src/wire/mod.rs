//! What goes over the wire: operations, the forms that they become, and replies.

mod form;
mod groups;
mod lenient;
mod messages;
pub mod op;
mod operation;
mod redact;
pub mod reply;
mod token;
mod users;

pub use groups::{GroupOptions, Permissions};
pub use messages::{Message, Recipient};
pub use operation::{Idempotency, Operation};
pub(crate) use redact::{excerpt, printable, without_token};
pub(crate) use reply::{FromReply, NotDone, Reply};
pub(crate) use token::Token;
pub use users::UserAdd;
