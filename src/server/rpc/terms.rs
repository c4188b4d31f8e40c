//! What the body of a request may take.

use std::time::Duration;

use tonic::Code;

use crate::{
    call::Memory,
    status::{self, Draft, Reason},
};

/// What a body may take.
pub(super) struct Terms {
    /// The memory of the call.
    pub(super) memory: Memory,
    /// The largest message that its service takes.
    pub(super) max_bytes: usize,
    /// How long a message may take to arrive.
    pub(super) timeout: Duration,
    pub(super) pauses: Pauses,
}

/// When a client may pause between messages for as long as it likes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pauses {
    /// Not at all: there is one message.
    Never,
    /// In a stream, after the first message.
    AfterFirst,
    /// In a stream, from the start.
    Always,
}

/// How much of the memory of a call is for something of which there is one at a time, such
/// as the largest message of a stream so far.
#[derive(Default)]
pub(super) struct HighWater(usize);

impl Terms {
    /// The status of a call with a larger message, of `size` bytes if that is known.
    pub(super) fn too_large(&self, size: Option<usize>) -> Draft {
        let size = size.map_or_else(|| "more".to_owned(), |size| format!("{size} bytes"));
        let text = format!(
            "the request message is too large: it has {size}, and at most {} bytes are taken",
            self.max_bytes
        );
        status::refuse(Code::ResourceExhausted, Reason::MessageTooLarge, text)
    }
}

impl HighWater {
    /// Takes the memory for so many bytes, as far as that was not done before.
    pub(super) fn reach(&mut self, bytes: usize, terms: &Terms) -> Result<(), Draft> {
        let more = bytes.saturating_sub(self.0);
        if more > 0 {
            let taken = terms.memory.take_more(more);
            taken.map_err(|_| status::request_memory())?;
            self.0 = bytes;
        }
        Ok(())
    }
}
