//! Connections and the threads that serve them.

use std::{fs, net::SocketAddr, time::Duration};

use mesibo_grpc::proto::{
    SendMessageRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{Process, get, process::ticks_of, say};

/// Calls in flight on each connection that is hot.
const IN_FLIGHT: usize = 4;

/// A message to many, of whom one is there twice: much to do for the server, and little for
/// the client.
fn message() -> SendMessageRequest {
    let receivers: Vec<_> = (0..1_000).map(|user| (user % 999).to_string()).collect();
    SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::ToAddress(receivers.join(","))),
        message: "Hello".into(),
        ..Default::default()
    }
}

/// Makes a call. Each is answered, but for those that the client had not sent when its
/// connection ended, and that hyper does not repeat.
async fn call(channel: &Channel) {
    let mut messages = MessageServiceClient::new(channel.clone());
    let status = messages.send_message(message()).await.unwrap_err();
    assert!(
        is_unsent(&status) || status.code() == Code::InvalidArgument,
        "{status:?}"
    );
}

/// Whether the client's connection ended before it had sent the call, or with a GOAWAY that
/// says that the call was not looked at.
fn is_unsent(status: &Status) -> bool {
    status.message() == "operation was canceled"
        || format!("{status:?}").contains(r#"GoAway(b"", NO_ERROR, Remote)"#)
}

/// How many calls the server began and did not answer.
async fn cut_short(metrics: SocketAddr) -> u64 {
    let text = get(metrics, "/metrics").await;
    let handled = text
        .lines()
        .filter(|line| line.starts_with("grpc_server_handled_total{"));
    let cut_short = handled.filter(|line| line.contains(r#"grpc_code="Canceled""#));
    let counts = cut_short.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    counts.sum()
}

/// Makes calls on a connection for a while, or until it is aborted.
fn heat(calls: &mut JoinSet<()>, channel: &Channel, time: Duration) {
    let end = Instant::now() + time;
    for _ in 0..IN_FLIGHT {
        let channel = channel.clone();
        calls.spawn(async move {
            while Instant::now() < end {
                call(&channel).await;
            }
        });
    }
}

/// The processor times of the worker threads so far, in clock ticks.
fn worker_times(process: u32) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let workers = stats.filter(|stat| stat.contains("(worker-"));
    workers.map(|stat| ticks_of(&stat)).collect()
}

/// What each thread works while `time` passes, in clock ticks.
async fn work(process: u32, time: Duration) -> [u64; 2] {
    let before = worker_times(process);
    sleep(time).await;
    let after = worker_times(process);
    let work = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before);
    work.collect::<Vec<_>>().try_into().expect("there are two")
}

/// The number of the thread that serves a connection.
async fn thread_of(process: u32, channel: &Channel) -> bool {
    let mut calls = JoinSet::new();
    let time = Duration::from_millis(500);
    heat(&mut calls, channel, time);
    let [first, second] = work(process, time).await;
    calls.join_all().await;
    second > first
}

/// The part of the work that the thread with less of it does while `time` passes.
async fn lesser_part(process: u32, time: Duration) -> f64 {
    let work = work(process, time).await;
    let [first, second] = work.map(|ticks| f64::from(u32::try_from(ticks).unwrap()));
    first.min(second) / (first + second)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hot_connections_of_a_thread_one_comes_back_to_another_and_no_call_is_cut_short() {
    let args = ["--worker-threads", "2", "--metrics-listen", "127.0.0.1:0"];
    let server = Process::serve("http://127.0.0.1:1/", &args);
    let metrics = server.logged_address("metrics=");
    // Of three connections, two are on the same thread.
    let mut threads = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        let channel = server.channel().await;
        let thread = thread_of(server.id(), &channel).await;
        threads[usize::from(thread)].push(channel);
    }
    let hot = threads.iter().find(|channels| channels.len() >= 2);
    let mut calls = JoinSet::new();
    for channel in hot.unwrap() {
        heat(&mut calls, channel, Duration::from_hours(1));
    }
    // Shorter than a thread has to be busy before a connection goes.
    let before = lesser_part(server.id(), Duration::from_millis(500)).await;
    assert!(before < 0.25, "all are on one thread: {before}");

    let begun = Instant::now();
    while !get(metrics, "/metrics")
        .await
        .contains("connections_moved_total 1")
    {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", server.log());
        sleep(Duration::from_millis(200)).await;
    }
    // The thread that gave it up serves what is left of its calls.
    sleep(Duration::from_secs(1)).await;
    let after = lesser_part(server.id(), Duration::from_secs(2)).await;
    say(&format!(
        "the lesser part of the work was {before:.2}, and is {after:.2}"
    ));
    assert!(after > 0.25, "{after}");
    assert_eq!(cut_short(metrics).await, 0);
    assert!(calls.try_join_next().is_none(), "no call failed");
}
