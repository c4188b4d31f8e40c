//! Where a row of CSV ends, which its quotes decide, and the values of a whole one.

use csv::ByteRecord;
use csv_core::{ReadRecordResult, Reader};

/// What follows a text of CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Where a value begins.
    Start,
    Plain,
    Quoted,
    /// Behind a quote that ends a value, or the first of two that stand for one.
    Closed,
    /// A quote is where none may be.
    Wrong,
}

impl Quoting {
    /// What follows when a line has been read.
    pub(super) fn follow(self, line: &[u8]) -> Self {
        line.iter().fold(self, |state, byte| match (state, byte) {
            (Self::Wrong, _) => Self::Wrong,
            (Self::Quoted, b'"') | (Self::Closed, b'\r') => Self::Closed,
            (Self::Quoted, _) | (Self::Start | Self::Closed, b'"') => Self::Quoted,
            (_, b',' | b'\n') => Self::Start,
            (Self::Closed, _) | (Self::Plain, b'"') => Self::Wrong,
            (Self::Start | Self::Plain, _) => Self::Plain,
        })
    }
}

/// The values of a whole row.
pub(super) fn parse(parser: &mut Reader, raw: &[u8]) -> ByteRecord {
    parser.reset();
    // Values are not longer than their row, and stand between commas. One more of either is
    // needed for the parser to see the end.
    let mut values = vec![0; raw.len() + 1];
    let mut ends = vec![0; raw.split(|&byte| byte == b',').count() + 1];
    let (result, _, written, mut count) = parser.read_record(raw, &mut values, &mut ends);
    if result == ReadRecordResult::InputEmpty {
        // The last row of a file may have no end.
        let (.., rest) = parser.read_record(&[], &mut values[written..], &mut ends[count..]);
        count += rest;
    }
    let mut begin = 0;
    let fields = ends[..count].iter().map(|&end| {
        let field = &values[begin..end];
        begin = end;
        field
    });
    fields.collect()
}
