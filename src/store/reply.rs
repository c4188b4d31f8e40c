//! Replies of the store's thread to calls of others. Those of a batch go together: each thread
//! is woken once for all of its calls, and not once for each.

use std::{
    cell::RefCell,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

/// Where a reply goes.
#[derive(Debug)]
pub(super) struct Reply<T> {
    sender: oneshot::Sender<T>,
    home: Option<Arc<Home>>,
}

/// The replies of a batch.
#[derive(Default)]
pub(super) struct Replies(Vec<(Arc<Home>, Vec<Delivery>)>);

/// Where the replies to the calls of a thread arrive. A task of its runtime hands them out.
#[derive(Debug, Default)]
struct Home {
    arrived: Mutex<Arrived>,
    notify: Notify,
    is_gone: AtomicBool,
}

type Delivery = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Arrived(Vec<Delivery>);

/// The end of a home, with that of its runtime.
struct Leaving(Arc<Home>);

/// A reply to a call of this thread.
pub(super) fn channel<T>() -> (Reply<T>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let home = Home::here();
    (Reply { sender, home }, receiver)
}

/// A reply that nobody waits for.
pub(super) fn unawaited<T>() -> Reply<T> {
    Reply {
        sender: oneshot::channel().0,
        home: None,
    }
}

impl<T: Send + 'static> Reply<T> {
    /// Whether nobody waits for it any longer.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Completes when nobody waits for it any longer.
    pub(super) async fn closed(&mut self) {
        self.sender.closed().await;
    }

    /// Replies at once.
    pub(super) fn send(self, value: T) {
        let _ = self.sender.send(value);
    }
}

impl Replies {
    /// Adds a reply to those that go together.
    pub(super) fn add<T: Send + 'static>(&mut self, reply: Reply<T>, value: T) {
        let Reply { sender, home } = reply;
        let Some(home) = home.filter(|_| !sender.is_closed()) else {
            let _ = sender.send(value);
            return;
        };
        let delivery: Delivery = Box::new(move || drop(sender.send(value)));
        let to = self.0.iter_mut().find(|(to, _)| Arc::ptr_eq(to, &home));
        match to {
            Some((_, deliveries)) => deliveries.push(delivery),
            None => self.0.push((home, vec![delivery])),
        }
    }

    /// Sends the replies.
    pub(super) fn send(self) {
        for (home, deliveries) in self.0 {
            home.deliver(deliveries);
        }
    }
}

impl Home {
    /// That of the thread that calls, with its runtime. `None` outside of a runtime.
    fn here() -> Option<Arc<Self>> {
        thread_local! {
            static HERE: RefCell<Option<Arc<Home>>> = const { RefCell::new(None) };
        }
        HERE.with_borrow_mut(|here| {
            // A thread may outlive its runtime, and have another.
            if let Some(home) = here.as_ref().filter(|home| !home.is_gone()) {
                return Some(Arc::clone(home));
            }
            let runtime = Handle::try_current().ok()?;
            let home = Arc::<Self>::default();
            runtime.spawn(Leaving(Arc::clone(&home)).hand_out());
            *here = Some(Arc::clone(&home));
            Some(home)
        })
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.with(|arrived| arrived.extend(deliveries));
        self.notify.notify_one();
        // What came after the task's last look.
        if self.is_gone() {
            self.hand_out();
        }
    }

    fn hand_out(&self) {
        for deliver in self.with(mem::take) {
            deliver();
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Vec<Delivery>) -> R) -> R {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut arrived.0)
    }
}

impl Leaving {
    async fn hand_out(self) {
        loop {
            self.0.notify.notified().await;
            self.0.hand_out();
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.is_gone.store(true, Ordering::Release);
        self.0.hand_out();
    }
}

impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Arrived").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use futures_util::future::join_all;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const CALLS: u64 = 100;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn a_thread_is_woken_once_for_the_replies_of_a_batch() {
        let runtime = runtime();
        runtime.block_on(async {
            let (replies, calls): (Vec<_>, Vec<_>) = (0..CALLS).map(|_| channel()).unzip();
            let parks = || Handle::current().metrics().worker_park_count(0);
            let before = parks();
            let store = thread::spawn(move || {
                let mut batch = Replies::default();
                for (reply, number) in replies.into_iter().zip(0..) {
                    batch.add(reply, number);
                    thread::sleep(Duration::from_millis(1));
                }
                batch.send();
            });
            let answers = join_all(calls).await;
            let answers = answers.into_iter().map(Result::unwrap);
            assert!(answers.eq(0..CALLS));
            let parks = parks() - before;
            assert!(parks < CALLS / 10, "{parks}");
            store.join().unwrap();
        });
    }

    #[test]
    fn what_comes_after_the_end_of_a_runtime_is_not_kept() {
        let (first, second) = (runtime(), runtime());
        let (reply, mut call) = first.block_on(async { channel() });
        drop(first);
        let mut batch = Replies::default();
        batch.add(reply, ());
        batch.send();
        assert_eq!(call.try_recv(), Ok(()));

        // The thread has another runtime now.
        second.block_on(async {
            let (reply, call) = channel();
            let mut batch = Replies::default();
            batch.add(reply, ());
            batch.send();
            call.await.unwrap();
        });
    }
}
