//! The services of the contract: each RPC checks its request, calls Mesibo, and
//! answers.
//!
//! - [`user`], [`group`], [`message`], [`directory`]: one function an RPC
//! - [`upstream`]: the calls to Mesibo
//! - `audit`: a line in the audit for every call that writes
//! - `rejections`: calls that Mesibo refused because of the application's own token
//! - [`metrics`]: what the services count
//! - [`once`]: calls that are made once for each `request_id`
//! - [`streams`]: RPCs whose requests also come as the items of a stream
//! - [`record`]: what the directory learns of the calls
//! - [`lookups`]: looks up at Mesibo what the directory is not sure of
//! - `target`: which user an operation is on, if an address names it
//! - `page`: pages of the directory, and their tokens
//! - `validation`: what a request passes before it is carried out

mod audit;
pub mod directory;
pub mod group;
pub mod lookups;
pub mod message;
pub mod metrics;
pub mod once;
mod page;
pub mod record;
mod rejections;
pub mod streams;
mod target;
pub mod upstream;
pub mod user;
mod validation;

use tonic::{Request, Status};

use crate::{
    call::{Context, Denial},
    status,
};
pub use metrics::ServiceMetrics;
pub use once::Once;
pub use page::MAX_SIZE as MAX_PAGE_SIZE;
pub use record::Recorder;
pub use streams::StreamLimits;
pub use upstream::Upstream;
pub use user::TokenDeletion;

/// Splits a request into its call and its message.
fn split<T>(request: Request<T>) -> (Context, T) {
    let (_, mut extensions, message) = request.into_parts();
    let call = extensions.remove();
    let call = call.expect("the server puts the context into every request of the contract");
    (call, message)
}

/// The status of a decision on what a call asks for. An item of a stream waits where a call
/// is told to come again.
async fn pass<T>(
    call: &mut Context,
    decide: impl Fn(&Context) -> Result<T, Denial>,
) -> Result<T, Status> {
    loop {
        let decision = decide(call);
        let pause = decision
            .as_ref()
            .err()
            .and_then(|denial| call.pause(denial));
        let Some(pause) = pause else {
            let decision = call.decide(decision);
            return decision
                .map_err(|denial| status::denied(&denial).into_status(call.record.id()));
        };
        // A place is not kept while the item waits for something else.
        call.slot = None;
        call.slot = pause.await;
    }
}
