//! Calls whose callers go away.

use std::{future::poll_fn, pin::pin, sync::mpsc, task::Poll, thread, time::Duration};

use mesibo::{Failure, Operation, operation::op};
use tokio::{runtime, select, sync::oneshot};

use crate::support::{Answer, Backend, Recorder, later};

#[tokio::test]
async fn a_read_whose_caller_goes_away_is_counted_as_cancelled() {
    let backend = Backend::new(|_| Answer::held("OK")).await;
    let observer = Recorder::default();
    let client = backend.client(observer.clone());
    select! {
        _ = client.call(Operation::users_get(None, None), later()) => panic!("it has no answer"),
        () = backend.got(1) => {}
    }
    let events = observer.events();
    assert_eq!(events.calls, [(op::USERS_GET, "cancelled")]);
    assert!(mesibo::Error::OUTCOMES.contains(&"cancelled"));
}

#[tokio::test]
async fn a_write_whose_caller_goes_away_before_it_is_sent_is_cancelled() {
    let backend = Backend::new(|_| Answer::held("OK")).await;
    let observer = Recorder::default();
    let client = backend.client_with(observer.clone(), |config| config.max_in_flight = 1);
    let (sender, outcome) = mpsc::channel();
    let tell = move |result: &Result<_, mesibo::Error>| {
        let error = result.as_ref().unwrap_err();
        assert!(matches!(error.failure(), Failure::Cancelled));
        assert!(!error.outcome_unknown());
        sender.send(()).unwrap();
    };
    select! {
        // The first is sent, and the second waits for it to end.
        _ = client.call(Operation::users_get(None, None), later()) => panic!("it has no answer"),
        _ = async {
            backend.got(1).await;
            client.write(Operation::user_del(7), later(), tell).await
        } => panic!("it is not sent"),
        () = async {
            while client.state().waiting == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    outcome.try_recv().expect("the outcome is known");
    assert!(
        observer
            .events()
            .calls
            .contains(&(op::USER_DEL, "cancelled"))
    );
    client.drained().await;
}

#[tokio::test]
async fn a_shutdown_can_wait_for_writes_whose_callers_went_away() {
    let backend = Backend::new(|_| Answer::held("OK")).await;
    let observer = Recorder::default();
    let client = backend.client(observer.clone());
    client.drained().await;

    // The caller is on a runtime of its own, as on a thread of a server.
    let (go, gone) = (oneshot::channel::<()>(), oneshot::channel::<()>());
    let (sender, outcome) = mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let caller = thread::spawn({
        let client = client.clone();
        move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let tell = move |result: &Result<_, _>| sender.send(result.is_ok()).unwrap();
                select! {
                    _ = client.write(Operation::user_del(7), later(), tell) => {
                        panic!("it has no answer")
                    }
                    _ = go.1 => {}
                }
                gone.0.send(()).unwrap();
                ended.await.unwrap();
            });
        }
    });
    backend.got(1).await;
    go.0.send(()).unwrap();
    gone.1.await.unwrap();
    let mut drained = pin!(client.drained());
    let at_once = poll_fn(|context| Poll::Ready(drained.as_mut().poll(context))).await;
    assert!(at_once.is_pending(), "the write is under way");
    backend.release();
    drained.await;
    assert_eq!(outcome.try_recv(), Ok(true));
    assert_eq!(observer.events().calls, [(op::USER_DEL, "ok")]);
    end.send(()).unwrap();
    caller.join().unwrap();
}

#[tokio::test]
async fn what_callers_give_up_opens_the_breaker_only_beyond_its_patience() {
    for (patience, is_open) in [(Duration::ZERO, true), (Duration::from_mins(1), false)] {
        let backend = Backend::new(|_| Answer::held("OK")).await;
        let client = backend.client_with((), |config| config.patience = patience);
        for count in 1..=10 {
            select! {
                _ = client.call(Operation::users_get(None, None), later()) => {
                    panic!("it has no answer")
                }
                () = backend.got(count) => {}
            }
        }
        assert_eq!(client.state().breaker_open, is_open, "{patience:?}");
    }
}
