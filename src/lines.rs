//! The way of log lines to standard error: they are gathered for a moment, and go out
//! together.
//!
//! A write of each would wake up whoever reads the other end of the pipe, a collector of
//! logs for example, twice a call, and take as much time as a fifth of all else.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long lines are gathered. What a process that is killed logged last is lost.
const PAUSE: Duration = Duration::from_millis(5);

/// How many bytes are gathered. When nobody reads them, those who log wait: no line is
/// lost.
const LIMIT: usize = 1 << 20;

/// Lines on their way out. Clones are of the same way.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    gathered: Mutex<Vec<u8>>,
    not_empty: Condvar,
    writer: Mutex<Writer>,
}

struct Writer {
    out: Box<dyn Write + Send>,
    /// What is written now, and room for what is gathered next.
    buffer: Vec<u8>,
}

impl Lines {
    /// A way to `out`, and the thread that it takes.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub(crate) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Writer {
            out: Box::new(out),
            buffer: Vec::new(),
        };
        let lines = Self(Arc::new(Shared {
            gathered: Mutex::default(),
            not_empty: Condvar::new(),
            writer: Mutex::new(writer),
        }));
        let those = lines.clone();
        thread::Builder::new()
            .name("log".into())
            .spawn(move || those.send_for_ever())?;
        Ok(lines)
    }

    fn send_for_ever(&self) {
        loop {
            let gathered = lock(&self.0.gathered);
            let some = self
                .0
                .not_empty
                .wait_while(gathered, |gathered| gathered.is_empty());
            drop(some);
            thread::sleep(PAUSE);
            self.send();
        }
    }

    /// Sends what was gathered so far.
    pub(crate) fn send(&self) {
        let mut writer = lock(&self.0.writer);
        let Writer { out, buffer } = &mut *writer;
        mem::swap(buffer, &mut lock(&self.0.gathered));
        // There is nobody else to tell.
        let _ = out.write_all(buffer).and_then(|()| out.flush());
        buffer.clear();
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gathered = lock(&self.0.gathered);
        let (was_empty, is_full) = (gathered.is_empty(), gathered.len() >= LIMIT);
        gathered.extend_from_slice(line);
        drop(gathered);
        if was_empty {
            self.0.not_empty.notify_one();
        }
        if is_full {
            self.send();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Sends what is written, each time.
    struct Sent(mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_go_out_together_whole_and_in_their_order() {
        let (sender, written) = mpsc::channel();
        let lines = Lines::to(Sent(sender)).unwrap();
        let log = |thread: usize| {
            let mut lines = lines.clone();
            move || {
                for number in 0..10_000 {
                    let line = format!("{thread} {number}\n");
                    lines.write_all(line.as_bytes()).unwrap();
                }
            }
        };
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(log(thread));
            }
        });
        lines.send();

        let writes: Vec<_> = written.try_iter().collect();
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
        let (sender, written) = mpsc::channel();
        let mut lines = Lines::to(Sent(sender)).unwrap();
        for line in ["one\n", "two\n"] {
            lines.write_all(line.as_bytes()).unwrap();
            assert_eq!(written.recv().unwrap(), line.as_bytes());
        }
    }
}
