//! The threads that serve connections.
//!
//! Each has a runtime of its own, and a connection stays on its thread to its end, with
//! all its calls and theirs to Mesibo: nothing of a call waits for another thread, as with
//! Envoy's workers.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinSet,
};

/// The threads. They end when this is dropped, with all that still runs on them.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Shared with each of its connections.
    load: Arc<()>,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts so many threads, one at least.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        (0..count.max(1))
            .map(Worker::start)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Runs what serves a connection on the thread with the fewest.
    pub(super) fn spawn<F>(&self, connections: &mut JoinSet<()>, serve: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let load = |worker: &&Worker| Arc::strong_count(&worker.load);
        let worker = self
            .0
            .iter()
            .min_by_key(load)
            .expect("there is one at least");
        let load = Arc::clone(&worker.load);
        let serve = async move {
            serve.await;
            drop(load);
        };
        connections.spawn_on(serve, &worker.runtime);
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                // It ends with its sender.
                let _ = runtime.block_on(stopped);
                // A name lookup may hang in a thread of its own.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            load: Arc::new(()),
            _stop: stop,
            thread,
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // All are told before the first is waited for.
        let threads: Vec<_> = self.0.drain(..).map(|worker| worker.thread).collect();
        for thread in threads {
            // What is left is dropped there, and may have a last word for the log.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_and_each_stays_on_its_thread() {
        let workers = Workers::start(2).unwrap();
        let mut connections = JoinSet::new();
        let (names, mut told) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..4 {
            let names = names.clone();
            workers.spawn(&mut connections, async move {
                for _ in 0..3 {
                    names
                        .send(thread::current().name().map(String::from))
                        .unwrap();
                    tokio::task::yield_now().await;
                }
                drop(names);
                pending::<()>().await;
            });
        }
        let mut counts = std::collections::HashMap::new();
        for _ in 0..12 {
            *counts
                .entry(told.recv().await.unwrap().unwrap())
                .or_insert(0) += 1;
        }
        let expected = [("worker-0", 6), ("worker-1", 6)];
        assert_eq!(
            counts,
            expected
                .map(|(name, count)| (name.to_owned(), count))
                .into()
        );
        drop(workers);
        while let Some(ended) = connections.join_next().await {
            assert!(ended.unwrap_err().is_cancelled());
        }
    }
}
