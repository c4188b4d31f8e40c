//! The threads that serve connections.
//!
//! Each thread has a runtime of its own, and a connection stays on its thread to its end,
//! with all its calls and theirs to Mesibo: nothing of a call waits for another thread, as
//! with Envoy's workers. Beside tokio's work-stealing runtime, this cut the processor time
//! of a call by 45% (from 1.48 to 0.81 of the shortest facade).

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
};

use super::balance::Balance;

/// The worker threads. They end when this is dropped, with all that still runs on them.
pub(in crate::server) struct Workers {
    workers: Vec<Worker>,
    /// Changes when a thread dies.
    deaths: watch::Receiver<usize>,
}

struct Worker {
    runtime: Handle,
    /// Shared with each of the connections of the thread.
    connections: Arc<()>,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// The thread that was chosen for a connection, which counts until this is dropped.
pub(super) struct Chosen {
    pub(super) number: usize,
    pub(super) runtime: Handle,
    _connection: Arc<()>,
}

/// Tells that a thread died, if it is dropped by a panic.
struct DeathWatch(watch::Sender<usize>);

impl Workers {
    /// Starts so many threads, one at least.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub(in crate::server) fn start(count: usize) -> io::Result<Self> {
        Self::running(count, async |stopped| {
            // Completes when the sender is dropped.
            let _ = stopped.await;
        })
    }

    /// Starts threads that run `body`, which ends when its argument completes.
    fn running<F: Future<Output = ()>>(
        count: usize,
        body: impl Fn(oneshot::Receiver<()>) -> F + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, deaths) = watch::channel(0);
        let workers = (0..count.max(1))
            .map(|number| Worker::start(number, body.clone(), DeathWatch(sender.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { workers, deaths })
    }

    /// How many threads there are.
    pub(super) fn count(&self) -> usize {
        self.workers.len()
    }

    /// The thread for one more connection.
    pub(super) fn choose(&self, balance: &mut Balance) -> Chosen {
        let connections = self.workers.iter();
        let connections = connections.map(|worker| Arc::strong_count(&worker.connections) - 1);
        let number = balance.choose(&connections.collect::<Vec<_>>());
        let worker = &self.workers[number];
        Chosen {
            number,
            runtime: worker.runtime.clone(),
            _connection: Arc::clone(&worker.connections),
        }
    }

    /// How long each thread was busy since its start.
    pub(super) fn busy(&self) -> Vec<Duration> {
        let workers = self.workers.iter();
        let busy = workers.map(|worker| worker.runtime.metrics().worker_total_busy_duration(0));
        busy.collect()
    }

    /// Completes when a thread died.
    pub(in crate::server) async fn died(&self) {
        let mut deaths = self.deaths.clone();
        if deaths.wait_for(|&deaths| deaths > 0).await.is_err() {
            // The threads have ended as they should.
            std::future::pending::<()>().await;
        }
    }
}

impl Worker {
    fn start<F: Future<Output = ()>>(
        number: usize,
        body: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
        death_watch: DeathWatch,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                let _death_watch = death_watch;
                runtime.block_on(body(stopped));
                // A name lookup may hang in a thread of its own.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            connections: Arc::new(()),
            _stop: stop,
            thread,
        })
    }
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send_modify(|deaths| *deaths += 1);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Each thread is told to end before the first is waited for.
        let threads: Vec<_> = self.workers.drain(..).map(|worker| worker.thread).collect();
        for thread in threads {
            // What is dropped on the thread may still log.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_and_each_stays_on_its_thread() {
        let workers = Workers::start(2).unwrap();
        let mut balance = Balance::new(2, tokio::time::Instant::now());
        let mut connections = JoinSet::new();
        let (names, mut told) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..4 {
            let names = names.clone();
            let chosen = workers.choose(&mut balance);
            let runtime = chosen.runtime.clone();
            let serve = async move {
                for _ in 0..3 {
                    names
                        .send(thread::current().name().map(String::from))
                        .unwrap();
                    tokio::task::yield_now().await;
                }
                drop(names);
                pending::<()>().await;
                drop(chosen);
            };
            connections.spawn_on(serve, &runtime);
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

    #[tokio::test]
    async fn the_death_of_a_thread_is_noticed_and_its_ordinary_end_is_not() {
        let workers = Workers::start(2).unwrap();
        let died = workers.died();
        tokio::pin!(died);
        let timeout = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(timeout, &mut died).await.is_err());

        let workers = Workers::running(2, async |_| panic!("a defect")).unwrap();
        workers.died().await;
    }
}
