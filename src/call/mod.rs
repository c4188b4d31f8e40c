//! What one call carries, from the server that takes it to the service that answers it.
//!
//! - [`policy`]: what is known of each RPC from the contract
//! - [`context`]: who calls, for which app, and by when it must be answered
//! - [`peer`]: the other end of the connection
//! - [`credential`]: what a caller shows to say who it is
//! - [`app`]: the applications of Mesibo
//! - [`rate`]: a rate: so much a second
//! - [`asked`]: what a request asks for
//! - [`memory`]: the memory that calls take
//! - [`denial`]: why a call may not be made
//! - [`ending`]: what became of an operation
//! - [`record`]: what the log and the metrics say at the end of the call
//! - [`request_id`]: the id of the call

pub mod app;
pub mod asked;
pub mod context;
pub mod credential;
pub mod denial;
pub mod ending;
pub mod memory;
pub mod peer;
pub mod policy;
pub mod rate;
pub mod record;
pub mod request_id;

pub use app::{App, Apps, MakeApp};
pub use asked::{Asked, Claim};
pub use context::{Context, Slot};
pub use credential::Credential;
pub use denial::Denial;
pub use ending::{Ending, Outcome};
pub use memory::Memory;
pub use peer::{Certificate, Peer, Serial, Stop, Stopping};
pub use policy::Policy;
pub use rate::Rate;
pub use record::Record;
pub use request_id::RequestId;
