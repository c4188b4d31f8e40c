//! Very many items through one stream.

use std::env;

use super::{Messages, item_of, message};
use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon};

/// How many items: a million, as an operator moves them, takes many minutes with a program
/// that is not optimized.
fn items() -> usize {
    env::var("STREAM_ITEMS").map_or(10_000, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_of_a_long_stream_is_answered_in_memory_that_does_not_grow() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    // A million take longer than a connection is kept by default.
    let args = ["--audit-log", "/dev/null", "--max-connection-age", "1h"];
    let server = Process::serve(&backend.url(), &args);
    let channel = server.channel().await;
    let count = items();
    let mut stream = Messages::open(&channel).await;
    stream.send_all((0..count).map(|number| {
        let mut request = message("Hello");
        request.recipient = Some(super::Recipient::ToAddress("bob".into()));
        item_of(&number.to_string(), request)
    }));
    let mut seen = vec![false; count];
    let mut answered = 0;
    // What a stream takes it has taken by then.
    let mut settled = 0;
    while let Some(answer) = soon(stream.answers.message()).await.unwrap() {
        let (key, result) = super::read(answer);
        result.unwrap();
        let earlier = std::mem::replace(&mut seen[key.parse::<usize>().unwrap()], true);
        assert!(!earlier, "two answers to {key}");
        answered += 1;
        if answered == count / 4 {
            settled = server.memory();
        }
    }
    assert_eq!(answered, count);
    let grown = server.memory().saturating_sub(settled);
    assert!(grown < 8 << 10, "{grown} KiB more than {settled} KiB");
}
