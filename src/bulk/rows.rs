//! The rows of a file, as CSV with a header or as JSON Lines.
//!
//! The crate `csv_core` takes rows apart; where one ends is decided here, so that a quote that
//! nobody closes cannot swallow the rest of a file, nor take memory without end.

use std::{
    fmt,
    io::{self, BufRead},
    str,
};

use csv::ByteRecord;
use csv_core::Reader;
use serde_json::{Map, Value};

use super::{
    lines::{Lines, MAX_ROW},
    quoting::{Quoting, parse},
};

/// How a file has its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values, RFC 4180, with a header.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

/// A column that files of a kind may have.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name in the header of a CSV file, or the key in an object.
    pub name: &'static str,
    /// Whether a CSV file must have it.
    pub required: bool,
}

impl Column {
    /// A column that a CSV file must have.
    pub(super) const fn required(name: &'static str) -> Self {
        Self {
            name,
            required: true,
        }
    }

    /// A column that a CSV file may have.
    pub(super) const fn optional(name: &'static str) -> Self {
        Self {
            name,
            required: false,
        }
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The name of the column; empty if it is the row as a whole.
    pub(super) column: String,
    /// What is wrong, and what is allowed.
    pub(super) what: String,
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// From 1; neither the header nor blank lines count.
    pub(super) number: u64,
    /// The line of the file that it begins in, from 1.
    pub(super) line: u64,
    /// The values of the kind's columns, in their order; `None` if blank.
    pub(super) values: Result<Vec<Option<String>>, Mistake>,
}

/// Reads the rows of a file.
pub(super) struct Rows<R> {
    lines: Lines<R>,
    format: Format,
    columns: &'static [Column],
    /// Which column of the kind each column of the file is.
    header: Vec<usize>,
    number: u64,
    /// Takes rows apart: it is made once, for that takes longer than a row.
    parser: Reader,
}

impl Mistake {
    pub(super) fn new(column: &str, what: impl Into<String>) -> Self {
        Self {
            column: column.to_owned(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.column.is_empty() {
            write!(f, "{}: ", self.column)?;
        }
        f.write_str(&self.what)
    }
}

impl<R: BufRead> Rows<R> {
    /// Reads the header of a file, if it has one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or, in words, the header is wrong.
    pub(super) fn new(
        mut reader: R,
        format: Format,
        columns: &'static [Column],
    ) -> io::Result<Result<Self, String>> {
        let begin = reader.fill_buf()?;
        if begin.starts_with(&[0xFF, 0xFE]) || begin.starts_with(&[0xFE, 0xFF]) {
            return Ok(Err("it is UTF-16; save it as UTF-8".into()));
        }
        if begin.starts_with(b"\xEF\xBB\xBF") {
            reader.consume(3);
        }
        let mut rows = Self {
            lines: Lines::new(reader),
            format,
            columns,
            header: Vec::new(),
            number: 0,
            parser: Reader::new(),
        };
        if format == Format::JsonLines {
            return Ok(Ok(rows));
        }
        let Some((line, header)) = rows.csv()? else {
            return Ok(Err(format!("it is empty; {}", rows.expected())));
        };
        let header = header.and_then(|names| rows.find_columns(&names));
        Ok(match header {
            Ok(header) => {
                rows.header = header;
                Ok(rows)
            }
            Err(what) => Err(format!("line {line}, the header: {what}")),
        })
    }

    /// The next row, or `None` at the end.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let row = match self.format {
            Format::Csv => self
                .csv()?
                .map(|(line, record)| (line, self.arrange(record))),
            Format::JsonLines => self.json()?,
        };
        Ok(row.map(|(line, values)| {
            self.number += 1;
            Row {
                number: self.number,
                line,
                values,
            }
        }))
    }

    /// What the rows were read from.
    pub(super) fn into_reader(self) -> R {
        self.lines.reader
    }

    /// The next record that is not blank, with the line that it begins in.
    fn csv(&mut self) -> io::Result<Option<(u64, Result<ByteRecord, String>)>> {
        loop {
            let begin = self.lines.next;
            let Some(mut raw) = self.lines.read()? else {
                return Ok(None);
            };
            let mut quoting = Quoting::Start.follow(&raw);
            let first = raw.len();
            while quoting == Quoting::Quoted && raw.len() <= MAX_ROW {
                let Some(line) = self.lines.read()? else {
                    break;
                };
                quoting = quoting.follow(&line);
                raw.extend_from_slice(&line);
            }
            if raw.trim_ascii().is_empty() {
                continue;
            }
            let what = if quoting == Quoting::Quoted {
                "a quote is not closed"
            } else if quoting == Quoting::Wrong {
                "a value with quotes must be in quotes as a whole, and each of its own quotes is \
                 written twice"
            } else if raw.len() > MAX_ROW {
                "a row has at most 8 MiB"
            } else {
                let record = parse(&mut self.parser, &raw);
                let is_whole = self.header.is_empty() || record.len() == self.header.len();
                if is_whole || raw.len() == first {
                    return Ok(Some((begin, Ok(record))));
                }
                "the number of values is not that of the header, over several lines; perhaps a \
                 quote is not closed"
            };
            // The lines behind the first may be rows of their own.
            self.lines.again(begin + 1, &raw[first..]);
            return Ok(Some((begin, Err(what.into()))));
        }
    }

    /// The values of a record in the order of the columns.
    fn arrange(&self, record: Result<ByteRecord, String>) -> Result<Vec<Option<String>>, Mistake> {
        let record = record.map_err(|what| Mistake::new("", what))?;
        if record.len() != self.header.len() {
            let (has, expected) = (record.len(), self.header.len());
            let what = format!("it has {has} values, and the header has {expected}");
            return Err(Mistake::new("", what));
        }
        let mut values = vec![None; self.columns.len()];
        for (value, &column) in record.iter().zip(&self.header) {
            let Ok(value) = str::from_utf8(value) else {
                let what = "must be UTF-8; save the file as UTF-8";
                return Err(Mistake::new(self.columns[column].name, what));
            };
            values[column] = (!value.is_empty()).then(|| value.to_owned());
        }
        Ok(values)
    }

    /// Which columns a header names.
    fn find_columns(&self, header: &ByteRecord) -> Result<Vec<usize>, String> {
        let mut found = Vec::new();
        for name in header {
            let name = String::from_utf8_lossy(name);
            let column = self.columns.iter().position(|it| it.name == name.trim());
            let Some(column) = column else {
                return Err(format!("there is no column {name:?}; {}", self.expected()));
            };
            if found.contains(&column) {
                return Err(format!("the column {name} is there twice"));
            }
            found.push(column);
        }
        let mut required = self.columns.iter().enumerate();
        match required.find(|(index, it)| it.required && !found.contains(index)) {
            Some((_, missing)) => Err(format!(
                "the column {} is missing; {}",
                missing.name,
                self.expected()
            )),
            None => Ok(found),
        }
    }

    fn expected(&self) -> String {
        let names = |required| {
            let columns = self.columns.iter().filter(|it| it.required == required);
            columns.map(|it| it.name).collect::<Vec<_>>().join(", ")
        };
        format!(
            "a file has the columns {}, and may have {}",
            names(true),
            names(false)
        )
    }

    /// The next object, with its line.
    #[allow(clippy::type_complexity)]
    fn json(&mut self) -> io::Result<Option<(u64, Result<Vec<Option<String>>, Mistake>)>> {
        loop {
            let begin = self.lines.next;
            let Some(line) = self.lines.read()? else {
                return Ok(None);
            };
            if !line.trim_ascii().is_empty() {
                return Ok(Some((begin, self.object(&line))));
            }
        }
    }

    fn object(&self, line: &[u8]) -> Result<Vec<Option<String>>, Mistake> {
        if line.len() > MAX_ROW {
            return Err(Mistake::new("", "a row has at most 8 MiB"));
        }
        let object: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
            let what = format!("expected a JSON object: {error}");
            // The number of the line is always 1.
            Mistake::new("", what.replace(" at line 1 column", " at character"))
        })?;
        let mut values = vec![None; self.columns.len()];
        for (name, value) in object {
            let Some(column) = self.columns.iter().position(|it| it.name == name) else {
                return Err(Mistake::new(
                    &name,
                    format!("there is none; {}", self.expected()),
                ));
            };
            values[column] = match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
                Value::Array(_) | Value::Object(_) => {
                    return Err(Mistake::new(
                        &name,
                        "must be a text, a number, true or false",
                    ));
                }
            };
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column::required("a"), Column::optional("b")];

    fn read(text: &[u8], format: Format) -> Result<Vec<Row>, String> {
        let mut rows = Rows::new(text, format, COLUMNS).unwrap()?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push(row);
        }
        Ok(all)
    }

    /// The lines and values of rows, or what is wrong with them.
    fn csv(text: impl AsRef<[u8]>) -> Vec<(u64, String)> {
        let rows = read(text.as_ref(), Format::Csv).unwrap();
        let shown = rows.into_iter().map(|row| match row.values {
            Ok(values) => {
                let values: Vec<_> = values.into_iter().map(Option::unwrap_or_default).collect();
                (row.line, values.join("|"))
            }
            Err(mistake) => (row.line, format!("{}: {}", mistake.column, mistake.what)),
        });
        shown.collect()
    }

    fn says(rows: &[(u64, String)], expected: &[(u64, &str)]) {
        assert_eq!(rows.len(), expected.len(), "{rows:?}");
        for ((line, text), (at, part)) in rows.iter().zip(expected) {
            assert!(line == at && text.contains(part), "{rows:?}");
        }
    }

    #[test]
    fn a_header_has_the_columns_that_are_needed_each_once_in_any_order() {
        assert_eq!(csv("b,a\n1,2\n"), [(2, "2|1".to_owned())]);
        for (text, expected) in [
            ("", "it is empty; a file has the columns a, and may have b"),
            ("b\n", "line 1, the header: the column a is missing"),
            ("\n\na,c\n", "line 3, the header: there is no column \"c\""),
            ("a,a\n", "the column a is there twice"),
            ("a,\"b\n1,2\n", "line 1, the header: a quote is not closed"),
            ("\u{FEFF}x\n", "there is no column \"x\""),
        ] {
            let mistake = read(text.as_bytes(), Format::Csv).unwrap_err();
            assert!(mistake.contains(expected), "{mistake}");
        }
        let utf16 = read(b"\xFF\xFEa\0", Format::Csv).unwrap_err();
        assert_eq!(utf16, "it is UTF-16; save it as UTF-8");
    }

    #[test]
    fn a_byte_order_mark_blank_lines_and_ends_of_lines_are_no_rows() {
        let rows = csv("\u{FEFF}a,b\r\n\r\n1,2\r\n  \n3,\n\n4,\"x\r\ny\"\r\n5,6");
        says(&rows, &[(3, "1|2"), (5, "3|"), (7, "4|x\r\ny"), (9, "5|6")]);
    }

    #[test]
    fn a_row_that_is_wrong_takes_no_other_along() {
        let wrong =
            b"a,b\n1\n2,\xFF\n3,x\"y\n4,\"x\"y\n5,\"open\n6,ok\n7,\"a \"\"b\"\"\"\n8,\"open\n";
        says(
            &csv(wrong),
            &[
                (2, "it has 1 values, and the header has 2"),
                (3, "b: must be UTF-8"),
                (4, "must be in quotes as a whole"),
                (5, "must be in quotes as a whole"),
                (6, ": "),
                (7, "6|ok"),
                (8, "7|a \"b\""),
                (9, "a quote is not closed"),
            ],
        );
    }

    #[test]
    fn a_row_without_an_end_is_cut_at_the_longest_and_the_next_is_read() {
        let long = "x".repeat(MAX_ROW);
        let text = format!("a,b\n1,{long}\n2,ok\n");
        says(&csv(&text), &[(2, "at most 8 MiB"), (3, "2|ok")]);
        let row = format!("3,{}\n", "o".repeat(1000));
        let count = MAX_ROW / row.len() + 10;
        let lines = row.repeat(count);
        let text = format!("a,b\n1,\"open\n{lines}");
        let rows = csv(&text);
        assert!(rows[0].1.contains("a quote is not closed"));
        assert_eq!(rows.len(), count + 1);
        assert!(rows[1..].iter().all(|(_, row)| row.starts_with("3|oo")));
    }

    #[test]
    fn an_object_a_line_has_texts_numbers_and_what_is_true() {
        let text = "{\"a\": \"x\", \"b\": 7}\n\n{\"a\": true, \"b\": null}\n";
        let rows = read(text.as_bytes(), Format::JsonLines).unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(rows[0].values, Ok(vec![some("x"), some("7")]));
        assert_eq!((rows[1].number, rows[1].line), (2, 3));
        assert_eq!(rows[1].values, Ok(vec![some("true"), None]));
        for (line, column, what) in [
            ("[]", "", "expected a JSON object"),
            ("{\"a\"", "", "at character 4"),
            ("{\"c\": 1}", "c", "there is none; a file has the columns a"),
            ("{\"a\": []}", "a", "must be a text, a number"),
        ] {
            let row = &read(line.as_bytes(), Format::JsonLines).unwrap()[0];
            let mistake = row.values.as_ref().unwrap_err();
            assert_eq!(mistake.column, column);
            assert!(mistake.what.contains(what), "{mistake:?}");
        }
    }
}
