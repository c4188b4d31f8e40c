//! The messages in the body of a request, as gRPC's doc/PROTOCOL-HTTP2.md delimits them.

/// The length of what comes before each message: a flag, and the length of the message.
pub(super) const PREFIX: usize = 5;

/// Follows a body from message to message, without keeping any of it.
#[derive(Default)]
pub(super) struct Messages {
    prefix: [u8; PREFIX],
    /// How much of the prefix has arrived.
    filled: usize,
    /// How much of the message is still to arrive.
    rest: usize,
}

/// What a part of a body has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The length of the largest message that begins in it.
    pub(super) largest: usize,
    /// Whether a message ends in it.
    pub(super) has_end: bool,
}

impl Messages {
    /// Follows the next part of the body.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Part {
        let mut part = Part {
            largest: 0,
            has_end: false,
        };
        while !data.is_empty() {
            if self.rest == 0 {
                let count = data.len().min(PREFIX - self.filled);
                self.prefix[self.filled..][..count].copy_from_slice(&data[..count]);
                self.filled += count;
                data = &data[count..];
                if self.filled < PREFIX {
                    break;
                }
                self.filled = 0;
                let [_, length @ ..] = self.prefix;
                self.rest = u32::from_be_bytes(length) as usize;
                part.largest = part.largest.max(self.rest);
            }
            let count = data.len().min(self.rest);
            self.rest -= count;
            data = &data[count..];
            part.has_end |= self.rest == 0;
        }
        part
    }

    /// Whether what has arrived ends with a whole message, or nothing has.
    pub(super) fn is_between(&self) -> bool {
        self.rest == 0 && self.filled == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(lengths: &[usize]) -> Vec<u8> {
        let messages = lengths.iter().flat_map(|&length| {
            let prefix = u32::try_from(length).unwrap().to_be_bytes();
            [&[0][..], &prefix, &vec![7; length]].concat()
        });
        messages.collect()
    }

    #[test]
    fn a_message_is_known_by_its_prefix_before_it_arrives() {
        let mut messages = Messages::default();
        assert!(messages.is_between());
        let expect = |largest, has_end| Part { largest, has_end };
        assert_eq!(messages.read(&[0, 0, 0x40]), expect(0, false));
        assert!(!messages.is_between());
        assert_eq!(messages.read(&[0, 1]), expect(0x0040_0001, false));
        assert!(!messages.is_between());
        assert_eq!(messages.read(&vec![0; 0x0040_0000]), expect(0, false));
        assert_eq!(messages.read(&[0]), expect(0, true));
        assert!(messages.is_between());
        // An empty one.
        assert_eq!(messages.read(&[0; 5]), expect(0, true));
        assert!(messages.is_between());
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_a_body_is_cut(
            lengths in prop::collection::vec(0..40_usize, 0..8),
            cuts in prop::collection::vec(1..20_usize, 1..8),
        ) {
            let body = body(&lengths);
            let mut messages = Messages::default();
            let (mut largest, mut at) = (0, 0);
            for cut in cuts.into_iter().cycle() {
                if at == body.len() {
                    break;
                }
                let end = (at + cut).min(body.len());
                largest = messages.read(&body[at..end]).largest.max(largest);
                at = end;
            }
            prop_assert!(messages.is_between());
            prop_assert_eq!(largest, lengths.into_iter().max().unwrap_or(0));
        }
    }
}
