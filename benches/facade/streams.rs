//! What an item of a stream costs, beside a call on the same server.

use std::time::{Duration, Instant};

use mesibo_grpc::proto::{
    SendMessageRequest, SendMessagesRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient, send_messages_response::Result as ItemResult,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    Effort,
    identity::Identity,
    load::{Figures, Load, connect, ratio},
    process::{KEY, Server},
    servers::{facade, of_role},
};

/// How many streams there are, each on a connection of its own.
const STREAMS: usize = 4;

/// Measures calls, 64 in flight, and items of streams, in turn.
pub async fn measure(effort: Effort, identity: Option<&Identity>) {
    let backend = of_role(&["backend", "messages"], identity);
    let (server, _settings) = facade(&backend, 1, "", identity);
    let (mut calls, mut items) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let load = Load::closed(64, 4);
        load.run(&server, effort.time / 10).await;
        calls.push(load.run(&server, effort.time).await);
        run(&server, effort.time / 10).await;
        items.push(run(&server, effort.time).await);
    }
    let [calls, items] = [calls, items].map(|all| Figures::median(&all));
    let row = |name, figures: &Figures| {
        let cpu = figures.cpu.as_secs_f64() * 1e6;
        println!("| {name} | {:.0} | {cpu:.1} µs |", figures.rate);
    };
    println!("\n| | a second | CPU each |\n|---|---|---|");
    row("calls, 64 in flight", &calls);
    row("items of 4 streams", &items);
    println!("\n| figure | bar | measured |\n|---|---|---|");
    println!(
        "| CPU an item, to a call | at most 0.75 | {:.2} |",
        ratio(items.cpu, calls.cpu)
    );
    println!(
        "| items a second, to calls | at least 1.3 | {:.2} |",
        items.rate / calls.rate
    );
}

/// Sends items through the streams for a while, as fast as they go.
async fn run(server: &Server, time: Duration) -> Figures {
    let mut clients = Vec::new();
    for _ in 0..STREAMS {
        clients.push(connect(server).await);
    }
    let (cpu, begun) = (server.cpu_time(), Instant::now());
    let mut streams = JoinSet::new();
    for client in clients {
        streams.spawn(send(client, begun + time));
    }
    let mut items = 0;
    while let Some(answered) = streams.join_next().await {
        items += answered.expect("no item fails");
    }
    Figures {
        rate: f64::from(items) / begun.elapsed().as_secs_f64(),
        cpu: server.cpu_time().saturating_sub(cpu) / items.max(1),
        ..Figures::default()
    }
}

/// Sends items until `end`, and gives the number of answers.
async fn send(mut client: MessageServiceClient<Channel>, end: Instant) -> u32 {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        for number in 0_u64.. {
            let item = SendMessagesRequest {
                key: number.to_string(),
                request: Some(SendMessageRequest {
                    from_address: "alice".into(),
                    recipient: Some(Recipient::ToAddress("bob".into())),
                    message: "x".repeat(100),
                    ..Default::default()
                }),
            };
            if Instant::now() >= end || sender.send(item).await.is_err() {
                break;
            }
        }
    });
    let mut request = Request::new(ReceiverStream::new(receiver));
    let key: MetadataValue<Ascii> = format!("Bearer {KEY}").parse().expect("it is ASCII");
    request.metadata_mut().insert("authorization", key);
    let stream = client.send_messages(request).await;
    let mut answers = stream.expect("a stream opens").into_inner();
    let mut answered = 0;
    while let Some(answer) = answers.message().await.expect("no stream fails") {
        assert!(matches!(answer.result, Some(ItemResult::Response(_))));
        answered += 1;
    }
    answered
}
