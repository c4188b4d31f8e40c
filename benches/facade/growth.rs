//! What more of everything costs: calls in flight, bytes, callers, connections.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};

use crate::{
    Effort,
    load::{Figures, Load, table},
    rounds,
    servers::{Kind, Servers},
};

/// Most calls in flight, more than a facade lets through to Mesibo by default.
const IN_FLIGHT: usize = 2048;

/// How many idle connections there are.
const IDLE: usize = 10_000;

/// File descriptors that a process needs for everything else.
const OTHER_FILES: usize = 200;

/// Measures and prints it.
pub async fn measure(effort: Effort) {
    // A caller may have half of them.
    let in_flight = format!("upstream-max-in-flight = {}\n", 2 * IN_FLIGHT);
    let servers = Servers::start(1, &in_flight, None);
    for in_flight in [1, 16, 256, IN_FLIGHT] {
        let load = Load::closed(in_flight, in_flight.min(16));
        let figures = rounds(&servers, load, effort).await;
        show(&format!("{in_flight} in flight"), &figures);
    }
    drop(servers);
    let servers = Servers::start(
        1,
        &format!("max-connections = {}\n", IDLE + OTHER_FILES),
        None,
    );
    for message in [100, 10 << 10, 1 << 20] {
        let load = Load {
            message,
            ..Load::closed(16, 4)
        };
        let figures = rounds(&servers, load, effort).await;
        show(&format!("{message} bytes, 16 in flight"), &figures);
    }
    idle(&servers, effort).await;
    drop(servers);
    for callers in [1, 100, 10_000] {
        let servers = Servers::start(callers, "", None);
        let figures = rounds(&servers, Load::closed(64, 4), effort).await;
        show(&format!("{callers} callers, 64 in flight"), &figures);
    }
}

/// The memory that idle connections take, and what calls cost beside them.
async fn idle(servers: &Servers, effort: Effort) {
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be raised");
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = IDLE.min(limit - OTHER_FILES);
    let server = servers.of(Kind::Facade);
    let before = server.memory();
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(server.address)
            .await
            .expect("it accepts");
        // The preface, and SETTINGS without any: a connection with no call.
        let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        stream.write_all(hello).await.expect("it reads");
        idle.push(stream);
    }
    sleep(Duration::from_secs(2)).await;
    let after = server.memory();
    println!("\n{count} idle connections: {before:.1} MiB before, {after:.1} MiB with them");
    let figures = rounds(servers, Load::closed(64, 4), effort).await;
    show("64 in flight beside them", &figures);
}

fn show(name: &str, figures: &[Figures; 3]) {
    println!("\n{name}\n\n{}", table(figures));
}
