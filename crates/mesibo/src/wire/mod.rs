//! What goes over the wire: the operations, the forms that they become, and the replies.

mod form;
mod lenient;
pub mod operation;
pub(crate) mod redact;
pub mod reply;
pub(crate) mod token;
