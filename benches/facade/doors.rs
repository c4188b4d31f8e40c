//! What a call in JSON costs beside the same one by gRPC, in the same process.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    Effort, LOADS,
    identity::Identity,
    load::{Load, cpu_a_call, median, ratio},
    process::{KEY, Server},
    servers::{facade, of_role},
};

/// The most that a call in JSON may cost of one by gRPC.
const BAR: f64 = 1.5;

/// A request as `Load` makes it, but for its message.
const REQUEST: &str = r#"{"fromAddress":"alice","toAddress":"bob","message":"MESSAGE"}"#;

/// Measures both in turn, and tells whether the bar is reached.
pub async fn measure(effort: Effort, identity: Option<&Identity>) -> bool {
    let backend = of_role(&["backend", "messages"], identity);
    let (server, _settings) = facade(&backend, 1, "", identity);
    let server = &server;
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
    let clients: Vec<Client<_, Full<Bytes>>> = (0..load.connections)
        .map(|_| {
            Client::builder(TokioExecutor::new())
                .http2_only(!is_http1)
                .build(connector(server, is_http1))
        })
        .collect();
    let url = server.url_of("/mesibo.v1.MessageService/SendMessage");
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

/// Opens connections to a server, with TLS if it has a certificate.
fn connector(server: &Server, is_http1: bool) -> HttpsConnector<HttpConnector> {
    let mut roots = RootCertStore::empty();
    if let Some(certificate) = &server.certificate {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
        let certificate = certificate.expect("it is one");
        roots.add(certificate).expect("it can be trusted");
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    if is_http1 {
        https.enable_http1().wrap_connector(tcp)
    } else {
        https.enable_http2().wrap_connector(tcp)
    }
}
