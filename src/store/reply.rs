//! Replies of the store's thread to calls of others, and what wakes it for these. Those of a
//! batch go together: each thread is woken once for all of its calls, and not once for each, and
//! wakes the store's thread once for what is ready to run.

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
    /// `None` if nobody waits for it.
    sender: Option<oneshot::Sender<T>>,
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
struct Arrived {
    deliveries: Vec<Delivery>,
    /// Whom to wake.
    wakes: Vec<Arc<Notify>>,
}

/// The end of a home, with that of its runtime.
struct Leaving(Arc<Home>);

/// A reply to a call of this thread.
pub(super) fn channel<T>() -> (Reply<T>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let reply = Reply {
        sender: Some(sender),
        home: Home::here(),
    };
    (reply, receiver)
}

/// A reply that nobody waits for.
pub(super) fn unawaited<T>() -> Reply<T> {
    Reply {
        sender: None,
        home: None,
    }
}

/// Wakes somebody once the tasks that are ready on this thread have had their turn: those that
/// have something for the same are many at times.
pub(super) fn wake_after_others(whom: &Arc<Notify>) {
    match Home::here() {
        Some(home) => home.wake(whom),
        None => whom.notify_one(),
    }
}

impl<T: Send + 'static> Reply<T> {
    /// Whether nobody waits for it any longer.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Completes when nobody waits for it any longer.
    pub(super) async fn closed(&mut self) {
        if let Some(sender) = &mut self.sender {
            sender.closed().await;
        }
    }

    /// Replies at once.
    pub(super) fn send(self, value: T) {
        if let Some(sender) = self.sender {
            let _ = sender.send(value);
        }
    }
}

impl Replies {
    /// Adds a reply to those that go together.
    pub(super) fn add<T: Send + 'static>(&mut self, reply: Reply<T>, value: T) {
        let Reply { sender, home } = reply;
        let Some(sender) = sender.filter(|sender| !sender.is_closed()) else {
            return;
        };
        let Some(home) = home else {
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
        self.with(|arrived| arrived.deliveries.extend(deliveries));
        self.arrived();
    }

    fn wake(&self, whom: &Arc<Notify>) {
        self.with(|arrived| arrived.wakes.push(Arc::clone(whom)));
        self.arrived();
    }

    fn arrived(&self) {
        self.notify.notify_one();
        // What came after the task's last look.
        if self.is_gone() {
            self.hand_out();
        }
    }

    fn hand_out(&self) {
        let Arrived { deliveries, wakes } = self.with(mem::take);
        for deliver in deliveries {
            deliver();
        }
        for whom in wakes {
            whom.notify_one();
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Arrived) -> R) -> R {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut arrived)
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
        f.debug_struct("Arrived")
            .field("deliveries", &self.deliveries.len())
            .field("wakes", &self.wakes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use futures_util::{FutureExt as _, future::join_all};
    use tokio::{
        runtime::{Builder, Runtime},
        task::yield_now,
    };

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
    fn the_store_is_woken_once_for_the_tasks_that_are_ready() {
        let woken = Arc::new(Notify::new());
        let is_woken = || woken.notified().now_or_never().is_some();
        runtime().block_on(async {
            for _ in 0..CALLS {
                wake_after_others(&woken);
                assert!(!is_woken());
            }
            yield_now().await;
            assert!(is_woken());
            yield_now().await;
            assert!(!is_woken());
            wake_after_others(&woken);
        });
        // With the end of the runtime.
        assert!(is_woken());
        wake_after_others(&woken);
        assert!(is_woken());
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
