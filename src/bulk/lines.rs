//! The lines of a file, none of which takes memory without end.

use std::io::{self, BufRead, Read as _};

/// The longest row, in bytes: a message of 1 MiB, each character of which is escaped.
pub(super) const MAX_ROW: usize = 8 << 20;

/// The lines of a file, of which those behind a row without an end come again.
pub(super) struct Lines<R> {
    pub(super) reader: R,
    again: Vec<u8>,
    /// How much of that was read again.
    read: usize,
    /// The line that comes next.
    pub(super) next: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            again: Vec::new(),
            read: 0,
            next: 1,
        }
    }

    /// The next line with its end, cut above the longest row.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self.read < self.again.len() {
            let rest = &self.again[self.read..];
            let end = rest.iter().position(|&byte| byte == b'\n');
            line.extend_from_slice(&rest[..end.map_or(rest.len(), |end| end + 1)]);
            self.read += line.len();
        } else {
            let limit = MAX_ROW as u64 + 1;
            (&mut self.reader)
                .take(limit)
                .read_until(b'\n', &mut line)?;
            if line.len() > MAX_ROW && line.last() != Some(&b'\n') {
                self.skip()?;
            }
        }
        if line.is_empty() {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(line))
    }

    /// Skips the rest of a line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(count);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// Gives lines again, the first of which has this number.
    pub(super) fn again(&mut self, next: u64, lines: &[u8]) {
        self.again = [lines, &self.again[self.read..]].concat();
        self.read = 0;
        self.next = next;
    }
}
