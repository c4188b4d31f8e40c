//! The heads of HTTP/2 frames, read from bytes as they pass.

/// The type of a HEADERS frame.
pub(super) const HEADERS: u8 = 1;

/// The type of a GOAWAY frame.
pub(super) const GOAWAY: u8 = 7;

/// What a client says before its first frame (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many bytes the head of a frame has (RFC 9113, section 4.1).
const HEAD: usize = 9;

/// How many bytes of the payload of a GOAWAY are the last stream.
const LAST_STREAM: usize = 4;

/// How many bytes the payload of a GOAWAY has at least (RFC 9113, section 6.8).
const MIN_GOAWAY: usize = 8;

/// Bit 0 of a stream's identifier is reserved.
const STREAM: u32 = u32::MAX >> 1;

/// A frame of which the head has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) stream: u32,
    /// The last stream, if the frame is a GOAWAY.
    pub(super) last: Option<u32>,
}

/// The frames of one direction of a connection.
pub(super) struct Frames {
    /// The beginning of a frame, whose end did not pass yet.
    head: [u8; HEAD + LAST_STREAM],
    held: usize,
    /// How many bytes pass before the next frame begins.
    skip: usize,
}

impl Frames {
    /// The frames that a server sends.
    pub(super) fn of_server() -> Self {
        Self {
            head: [0; HEAD + LAST_STREAM],
            held: 0,
            skip: 0,
        }
    }

    /// The frames that a client sends.
    pub(super) fn of_client() -> Self {
        Self {
            skip: PREFACE.len(),
            ..Self::of_server()
        }
    }

    /// Passes bytes, and calls `found` with each frame whose head ends in them.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (self.wanted() - self.held).min(bytes.len());
            self.head[self.held..self.held + taken].copy_from_slice(&bytes[..taken]);
            self.held += taken;
            bytes = &bytes[taken..];
            if self.held >= HEAD && self.held == self.wanted() {
                found(self.frame());
                self.skip = self.length() + HEAD - self.held;
                self.held = 0;
            }
        }
    }

    /// How many bytes of the frame are of interest.
    fn wanted(&self) -> usize {
        let is_goaway = self.held >= HEAD && self.head[3] == GOAWAY;
        if is_goaway && self.length() >= MIN_GOAWAY {
            HEAD + LAST_STREAM
        } else {
            HEAD
        }
    }

    /// The length of the payload.
    fn length(&self) -> usize {
        let [high, middle, low, ..] = self.head.map(usize::from);
        high << 16 | middle << 8 | low
    }

    fn frame(&self) -> Frame {
        let number = |at: usize| {
            let bytes = [0, 1, 2, 3].map(|offset| self.head[at + offset]);
            u32::from_be_bytes(bytes) & STREAM
        };
        Frame {
            kind: self.head[3],
            stream: number(5),
            last: (self.held > HEAD).then(|| number(HEAD)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        [&length[1..], &[kind, 0], &stream, payload].concat()
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            lengths in proptest::collection::vec(0..600_usize, 1..20),
            cut in 1..40_usize,
        ) {
            let mut bytes = PREFACE.to_vec();
            let mut expected = Vec::new();
            for (number, length) in (1_u32..).zip(lengths) {
                let kind = [HEADERS, 0, GOAWAY][length % 3];
                // The reserved bit is set, and says nothing.
                let reserved = 1 << 31;
                let last = (reserved | (number * 3)).to_be_bytes();
                let payload = [&last[..], &vec![7; length + 4]].concat();
                bytes.extend(frame(kind, reserved | number, &payload));
                let last = (kind == GOAWAY).then_some(number * 3);
                expected.push(Frame { kind, stream: number, last });
            }
            let (mut frames, mut found) = (Frames::of_client(), Vec::new());
            for bytes in bytes.chunks(cut) {
                frames.pass(bytes, |frame| found.push(frame));
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_goaway_that_is_cut_short_names_no_stream() {
        let mut found = Vec::new();
        let bytes = [frame(GOAWAY, 0, &[0; 7]), frame(HEADERS, 5, &[])].concat();
        Frames::of_server().pass(&bytes, |frame| found.push((frame.kind, frame.last)));
        assert_eq!(found, [(GOAWAY, None), (HEADERS, None)]);
    }
}
