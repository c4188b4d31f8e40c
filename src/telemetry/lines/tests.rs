use std::sync::mpsc;

use super::*;

/// Sends what is written, each time, and fails if it is told to.
struct Sent {
    written: mpsc::Sender<Vec<u8>>,
    /// A batch is written only if there is one of these for it. `None` is no limit.
    turns: Option<mpsc::Receiver<bool>>,
}

impl Sink for Sent {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let is_written = self
            .turns
            .as_ref()
            .is_none_or(|turns| turns.recv().unwrap_or(true));
        if !is_written {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let _ = self.written.send(batch.to_vec());
        Ok(())
    }

    fn retries(&self) -> bool {
        true
    }

    fn notice(&self, dropped: u64) -> String {
        format!("dropped {dropped}\n")
    }
}

/// A writer of at most `limit` bytes, and what it writes.
fn unhindered(limit: usize) -> (Lines, mpsc::Receiver<Vec<u8>>) {
    let (written, receiver) = mpsc::channel();
    let sink = Sent {
        written,
        turns: None,
    };
    (Lines::start("test", limit, sink).unwrap(), receiver)
}

/// The same, which writes only what it is told to.
fn hindered(limit: usize) -> (Lines, mpsc::Receiver<Vec<u8>>, mpsc::Sender<bool>) {
    let (written, receiver) = mpsc::channel();
    let (turn, turns) = mpsc::channel();
    let sink = Sent {
        written,
        turns: Some(turns),
    };
    (Lines::start("test", limit, sink).unwrap(), receiver, turn)
}

/// Has the thread take a line, and wait in the middle of its write.
fn stuck(lines: &Lines) {
    lines.push("first\n");
    while !lines.shared().gathered().lines.is_empty() {
        thread::yield_now();
    }
}

#[test]
fn lines_go_out_together_whole_and_in_their_order() {
    let (lines, written) = unhindered(1 << 20);
    let log = |thread: usize| {
        let lines = lines.clone();
        move || {
            for number in 0..10_000 {
                lines.push(&format!("{thread} {number}\n"));
            }
        }
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(log(thread));
        }
    });
    drop(lines);

    let writes: Vec<_> = written.iter().collect();
    assert!(writes.len() < 10_000, "{} writes", writes.len());
    let text = String::from_utf8(writes.concat()).unwrap();
    for thread in 0..4 {
        let prefix = format!("{thread} ");
        let numbers = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        assert!(numbers.eq((0..10_000).map(|number: usize| number.to_string())));
    }
}

#[test]
fn a_line_goes_out_without_another_one() {
    let (lines, written) = unhindered(1 << 20);
    for line in ["one\n", "two\n"] {
        lines.push(line);
        assert_eq!(written.recv().unwrap(), line.as_bytes());
    }
}

#[test]
fn a_line_without_room_is_dropped_and_counted_and_the_log_says_so() {
    let (lines, written, turn) = hindered(30);
    stuck(&lines);
    for _ in 0..10 {
        lines.push("ten bytes\n");
    }
    assert_eq!(lines.dropped().get(), 7);
    turn.send(true).unwrap();
    assert_eq!(written.recv().unwrap(), b"first\n");
    turn.send(true).unwrap();
    let batch = String::from_utf8(written.recv().unwrap()).unwrap();
    assert_eq!(batch, format!("{}dropped 7\n", "ten bytes\n".repeat(3)));
}

#[test]
fn a_flush_waits_for_a_bounded_time() {
    let (lines, _written, turn) = hindered(30);
    stuck(&lines);
    let before = Instant::now();
    flush(Duration::from_millis(50));
    assert!(before.elapsed() < Duration::from_secs(20));
    turn.send(true).unwrap();
}

#[test]
fn a_place_is_kept_for_a_line_and_given_back_without_one() {
    let (lines, written, turn) = hindered(30);
    stuck(&lines);
    assert!(lines.reserve(20) && !lines.reserve(20));
    lines.push("fifteen bytes.\n");
    assert_eq!(lines.dropped().get(), 1);
    lines.push_reserved(None, 20);
    assert!(lines.reserve(20));
    lines.push_reserved(Some("reserved\n"), 20);
    for _ in 0..2 {
        turn.send(true).unwrap();
    }
    drop(lines);
    let text = String::from_utf8(written.iter().collect::<Vec<_>>().concat()).unwrap();
    assert_eq!(text, "first\nreserved\ndropped 1\n");
}

#[test]
fn a_batch_that_cannot_be_written_is_kept_and_no_place_is_given_meanwhile() {
    let (lines, written, turn) = hindered(100);
    assert!(lines.reserve(10));
    lines.push_reserved(Some("first\n"), 10);
    turn.send(false).unwrap();
    while lines.reserve(10) {
        lines.push_reserved(None, 10);
    }
    lines.wake();
    turn.send(true).unwrap();
    assert_eq!(written.recv().unwrap(), b"first\n");
    while !lines.reserve(10) {}
}
