//! What a call in JSON costs beside the same one by gRPC, in the same process.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{
    Effort, LOADS,
    load::{Load, cpu_a_call, median, ratio},
    process::{KEY, Server},
    servers::{Kind, Servers},
};

/// The most that a call in JSON may cost of one by gRPC.
const BAR: f64 = 1.5;

/// A request as `Load` makes it, but for its message.
const REQUEST: &str = r#"{"fromAddress":"alice","toAddress":"bob","message":"MESSAGE"}"#;

/// Measures both in turn, and tells whether the bar is reached.
pub async fn measure(effort: Effort) -> bool {
    let servers = Servers::start(1, "");
    let server = servers.of(Kind::Facade);
    let (_, load) = LOADS[0];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..effort.rounds {
        load.run(server, effort.time / 10).await;
        times[0].push(load.run(server, effort.time).await.cpu);
        for (times, is_http1) in times[1..].iter_mut().zip([false, true]) {
            run(load, server, is_http1, effort.time / 10).await;
            times.push(run(load, server, is_http1, effort.time).await);
        }
    }
    let [grpc, json, json_http1] = times.map(median);
    println!("\n| call | CPU a call | of one by gRPC |\n|---|---|---|");
    for (name, time) in [
        ("gRPC", grpc),
        ("JSON, HTTP/2", json),
        ("JSON, HTTP/1.1", json_http1),
    ] {
        let microseconds = time.as_secs_f64() * 1e6;
        println!(
            "| {name} | {microseconds:.1} µs | {:.2} |",
            ratio(time, grpc)
        );
    }
    ratio(json, grpc) <= BAR && ratio(json_http1, grpc) <= BAR
}

/// Puts the load on a server in JSON for a while, and gives its CPU time a call.
async fn run(load: Load, server: &Server, is_http1: bool, time: Duration) -> Duration {
    let body: Bytes = REQUEST.replace("MESSAGE", &"x".repeat(load.message)).into();
    let clients: Vec<Client<HttpConnector, Full<Bytes>>> = (0..load.connections)
        .map(|_| {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            Client::builder(TokioExecutor::new())
                .http2_only(!is_http1)
                .build(connector)
        })
        .collect();
    let url = format!(
        "http://{}/mesibo.v1.MessageService/SendMessage",
        server.address
    );
    cpu_a_call(server, load.in_flight, time, move |worker| {
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {KEY}"))
            .body(Full::new(body.clone()))
            .expect("it is a request");
        let response = clients[worker % clients.len()].request(request);
        async move {
            let response = response.await.expect("it is answered");
            assert!(response.status().is_success(), "no call fails");
            let body = response.into_body().collect().await;
            body.expect("it is whole");
        }
    })
    .await
}
