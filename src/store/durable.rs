//! The store that keeps claims in a database.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    select,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::{
    Backlog, Claimed, Error, Fingerprint, Key, Store, Waited,
    database::{NewClaim, Seen},
    directory::Handle,
    observer::{ClaimResult, Event},
    queue::Queue,
    signals::Signals,
    ticket::Claim,
};

/// How often a call that waits for another process looks for itself, should no
/// notification come.
const POLL: Duration = Duration::from_secs(1);

/// The way to a database, which the engine in a thread of its own speaks to.
pub(super) struct Durable {
    pub(super) queue: Arc<Queue>,
    pub(super) signals: Arc<Signals>,
    pub(super) timeout: Duration,
    /// Closed before the store is: it uses the store's connections.
    pub(super) directory: Option<Handle>,
}

impl Durable {
    async fn claim(
        &self,
        key: Key,
        request: Fingerprint,
        lease: Duration,
    ) -> Result<Claimed, Error> {
        let answer = self.queue.claim(NewClaim {
            claim: Claim {
                key,
                ticket: self.queue.tickets.next(),
            },
            request,
            lease,
        })?;
        match timeout(self.timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(Error::UNAVAILABLE),
        }
    }

    async fn wait(&self, key: &Key, until: Instant) -> Result<Waited, Error> {
        let subscription = self.signals.subscribe(key.id);
        loop {
            let mut signal = pin!(subscription.signal.notified());
            // Before the row is read, so that no settlement falls in between.
            signal.as_mut().enable();
            let answer = self.queue.look(key.clone())?;
            let limit = until.min(Instant::now() + self.timeout);
            let left = match timeout_at(limit, answer).await {
                Ok(Ok(Ok(Seen::UnderWay { left, .. }))) => left,
                Ok(Ok(Ok(Seen::Absent))) => return Ok(Waited::Released),
                Ok(Ok(Ok(Seen::Settled {
                    request, outcome, ..
                }))) => return Ok(Waited::Settled { request, outcome }),
                Ok(Ok(Err(error))) => return Err(error),
                Err(_) if limit == until => return Ok(Waited::StillUnderWay),
                Ok(Err(_)) | Err(_) => return Err(Error::UNAVAILABLE),
            };
            // A millisecond more, for the database counts whole ones.
            let next = Instant::now() + POLL.min(left + Duration::from_millis(1));
            select! {
                () = signal => {}
                () = sleep_until(next.min(until)) => {
                    if next >= until {
                        return Ok(Waited::StillUnderWay);
                    }
                }
            }
        }
    }
}

impl Store for Durable {
    fn claim(
        &self,
        key: Key,
        request: Fingerprint,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Claimed, Error>> {
        Box::pin(async move {
            let start = Instant::now();
            let answer = self.claim(key, request, lease).await;
            self.queue.observer.observe(Event::Claimed {
                result: ClaimResult::of(&answer),
                took: start.elapsed(),
            });
            answer
        })
    }

    fn wait<'a>(&'a self, key: &'a Key, until: Instant) -> BoxFuture<'a, Result<Waited, Error>> {
        Box::pin(self.wait(key, until))
    }

    fn backlog(&self) -> Backlog {
        Backlog {
            records: self.directory.as_ref().map_or(0, Handle::backlog),
            ..self.queue.backlog()
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(directory) = &self.directory {
                let _ = directory.close().await;
            }
            let closed = self.queue.close();
            let _ = closed.await;
        })
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            drop(directory.close());
        }
        drop(self.queue.close());
    }
}
