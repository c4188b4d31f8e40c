//! gzip, RFC 1952, within the limits of what is not compressed.

use std::io::{Read as _, Write as _};

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use tonic::Code;

use super::{
    messages::PREFIX,
    terms::{HighWater, Terms},
};
use crate::status::{self, Draft, Reason};

/// How much is decompressed at a time.
const STEP: usize = 16 << 10;

/// The least that is worth compressing, in bytes: less fits into one packet.
const LEAST: usize = 1 << 10;

/// Decompresses a message behind room for `head` bytes. Its memory is counted step by step,
/// so that what becomes too large ends at the limit.
pub(super) fn inflate(
    compressed: &[u8],
    head: usize,
    terms: &Terms,
    counted: &mut HighWater,
) -> Result<Vec<u8>, Draft> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut message = vec![0; head];
    let mut length = head;
    loop {
        if length == message.len() {
            let size = length + STEP;
            counted.reach(size, terms)?;
            message.reserve_exact(STEP);
            message.resize(size, 0);
        }
        let read = decoder.read(&mut message[length..]).map_err(|_| {
            let text = "the request message is not compressed by gzip, as its headers say";
            status::refuse(Code::InvalidArgument, Reason::MalformedRequest, text)
        })?;
        if read == 0 {
            message.truncate(length);
            return Ok(message);
        }
        length += read;
        if length - head > terms.max_bytes {
            return Err(terms.too_large(None));
        }
    }
}

/// Compresses what is worth it, and gives nothing else.
pub(super) fn deflate(message: &[u8]) -> Option<Vec<u8>> {
    if message.len() < LEAST {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < message.len()).then_some(compressed)
}

/// Compresses those of the messages in whole frames of gRPC that are worth it.
pub(super) fn deflate_frames(mut frames: Bytes) -> Bytes {
    let mut compressed = BytesMut::new();
    while frames.len() >= PREFIX {
        let length = [frames[1], frames[2], frames[3], frames[4]];
        let length = u32::from_be_bytes(length) as usize;
        let frame = frames.split_to((PREFIX + length).min(frames.len()));
        if let Some(message) = deflate(&frame[PREFIX..])
            && let Ok(length) = u32::try_from(message.len())
        {
            compressed.put_u8(1);
            compressed.put_u32(length);
            compressed.extend_from_slice(&message);
        } else {
            compressed.extend_from_slice(&frame);
        }
    }
    compressed.freeze()
}
