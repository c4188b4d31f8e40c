//! What more of everything costs: calls in flight, bytes, callers, connections.

use tokio::net::TcpStream;

use crate::{
    Effort,
    load::{self, Load},
    process::{Kind, Servers},
    rounds,
};

/// How many idle connections there are.
const IDLE: usize = 10_000;

/// Measures and prints it.
pub async fn measure(effort: Effort) {
    let servers = Servers::start(1);
    for in_flight in [1, 16, 256, 2048] {
        let connections = in_flight.min(16);
        let figures = rounds(&servers, Load::closed(in_flight, connections), effort).await;
        println!("\n{in_flight} in flight\n\n{}", load::table(&figures));
    }
    for message in [100, 10 << 10, (1 << 20) - 1] {
        let load = Load {
            message,
            ..Load::closed(16, 4)
        };
        let figures = rounds(&servers, load, effort).await;
        println!(
            "\n{message} bytes a message, 16 in flight\n\n{}",
            load::table(&figures)
        );
    }
    drop(servers);
    for callers in [1, 100, 10_000] {
        let servers = Servers::start(callers);
        let figures = rounds(&servers, Load::closed(64, 4), effort).await;
        println!(
            "\n{callers} callers, 64 in flight\n\n{}",
            load::table(&figures)
        );
    }
    idle().await;
}

/// The memory that idle connections take.
async fn idle() {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = IDLE.min(limit.saturating_sub(200));
    let servers = Servers::start(1);
    let server = servers.of(Kind::Facade);
    load::first_answer(server.address).await;
    let before = server.peak_memory();
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(server.address)
            .await
            .expect("it accepts");
        // The preface, and SETTINGS without any: a connection with no call.
        let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        tokio::io::AsyncWriteExt::write_all(&mut stream, hello)
            .await
            .expect("it reads");
        idle.push(stream);
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let after = server.peak_memory();
    println!("\n{count} idle connections: {before:.1} MiB before, {after:.1} MiB with them");
}
