//! The formats of metrics, and the metrics of the process.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesibo_grpc::proto::{ListUsersRequest, user_service_client::UserServiceClient};

use crate::{
    deploy::{prometheus::PACKAGE, tool},
    support::{Answer, Backend, EVERYTHING, Process, facade::soon, get, get_with},
    tls::Secured,
};

const OPEN_METRICS: &str = "accept: application/openmetrics-text;version=1.0.0;q=0.5,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n";

/// The names of all series, with their labels.
fn series(body: &str) -> BTreeSet<&str> {
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0).collect()
}

/// The value of a series without labels.
async fn value(metrics: SocketAddr, name: &str) -> f64 {
    let body = get(metrics, "/metrics").await;
    let mut lines = body.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_scraper_gets_open_metrics_if_it_asks_and_else_what_every_tool_reads() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let server = Secured::serve(&backend, &[]);
    let metrics = server.metrics();

    // The port answers a moment before the server serves, and has all series by then.
    let _connected = server.channel().await;
    let (head, open_metrics) = get_with(metrics, "/metrics", OPEN_METRICS).await;
    let media_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(media_type), "{head}");
    assert!(open_metrics.ends_with("# EOF\n"));
    assert!(open_metrics.contains("# TYPE grpc_server_started counter\n"));

    for accept in ["", "accept: */*\r\n", "accept: text/plain\r\n"] {
        let (head, text) = get_with(metrics, "/metrics", accept).await;
        let media_type = "content-type: text/plain; version=0.0.4; charset=utf-8";
        assert!(head.contains(media_type), "{head}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
        assert!(text.contains("# TYPE grpc_server_started_total counter\n"));
        assert!(text.contains("# TYPE mesibo_grpc_build_info gauge\n"));
        assert_eq!(series(&text), series(&open_metrics));
    }

    let text = get(metrics, "/metrics").await;
    let Some(mut promtool) = tool("promtool", &["check", "metrics"], PACKAGE) else {
        return;
    };
    let mut promtool = promtool
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_metrics_of_the_process_are_those_of_the_system() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let args = ["--metrics-listen", "127.0.0.1:0", "--max-connections", "77"];
    let server = Process::serve(&backend.url(), &args);
    let metrics = server.logged_address("metrics=");
    assert!((value(metrics, "mesibo_grpc_max_connections").await - 77.0).abs() < 0.5);

    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let of_status = |name: &str| {
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        value
            .split_whitespace()
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let resident = value(metrics, "process_resident_memory_bytes").await;
    let expected = of_status("VmRSS:") * 1024.0;
    assert!(
        (0.5..2.0).contains(&(resident / expected)),
        "{resident} and {expected}"
    );
    let threads = value(metrics, "process_threads").await;
    assert!((1.0..99.0).contains(&threads), "{threads}");
    let (_, limit) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
    let text = get(metrics, "/metrics").await;
    assert!(text.contains(&format!("\nprocess_max_fds {limit}\n")));

    let open_files = value(metrics, "process_open_fds").await;
    let mut channels = Vec::new();
    for _ in 0..10 {
        channels.push(server.channel().await);
    }
    let users = UserServiceClient::new(channels[0].clone());
    // A client is connected before the server has accepted it.
    soon(async { while value(metrics, "process_open_fds").await - open_files < 10.0 {} }).await;

    let started = value(metrics, "process_start_time_seconds").await;
    let difference = Duration::from_secs_f64(started).abs_diff(before);
    assert!(difference < Duration::from_secs(10), "{difference:?}");
    let cpu = value(metrics, "process_cpu_seconds_total").await;
    while value(metrics, "process_cpu_seconds_total").await <= cpu {
        users
            .clone()
            .list_users(ListUsersRequest::default())
            .await
            .unwrap();
    }
}
