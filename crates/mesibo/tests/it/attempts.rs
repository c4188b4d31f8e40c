//! Attempts that fail, and what the next one makes of it.

use mesibo::{Operation, operation::op};

use crate::support::{Answer, Backend, Recorder, later};

#[tokio::test]
async fn a_stale_connection_after_a_lost_one_is_replaced_within_the_attempt() {
    // Two calls at a time leave two connections. The first of them to be used again is
    // closed with the request unanswered, and then so is the other, which is idle.
    let backend = Backend::new(|request| match request {
        0 | 1 => Answer::held(r#"{"result": true}"#),
        2 => Answer::CloseAll,
        _ => Answer::reply(r#"{"result": true}"#),
    })
    .await;
    let observer = Recorder::default();
    let client = backend.client(observer.clone());
    let list = || client.call(Operation::users_get(None, None), later());
    let release = async {
        backend.got(2).await;
        backend.release();
        backend.release();
    };
    let (first, second, ()) = tokio::join!(list(), list(), release);
    first.unwrap();
    second.unwrap();

    list().await.unwrap();
    let events = observer.events();
    assert_eq!(events.attempts, [op::USERS_GET; 4], "one is repeated, once");
    assert_eq!(events.opened, 3);
}
