//! Servers and connections that come and go under the load of a stock Python client
//! with the service config.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{SERVICE_CONFIG, Script, python};
use crate::support::{Answer, Backend, EVERYTHING, Process};

#[test]
fn the_service_config_balances_over_servers_that_serve() {
    let Some(mut script) = python("balanced.py") else {
        return;
    };
    let backends = [0, 1].map(|_| Backend::always(Answer::ok(r#"{"result": true}"#)));
    let servers = [0, 1].map(|n: usize| Process::serve(&backends[n].url(), &["--lame-duck", "5m"]));
    let addresses = servers.each_ref().map(|server| server.address.as_str());
    script.args([SERVICE_CONFIG, &addresses.join(",")]);
    let mut script = Script::start(script);
    while backends.iter().any(|backend| backend.requests().is_empty()) {
        script.line();
    }
    // A lame duck goes on to serve, but who heeds its health goes elsewhere.
    servers[0].signal("TERM");
    loop {
        let before = backends[0].requests().len();
        script.line();
        if backends[0].requests().len() == before {
            break;
        }
    }
    let before = backends.each_ref().map(|backend| backend.requests().len());
    script.line();
    let after = backends.each_ref().map(|backend| backend.requests().len());
    assert_eq!(after[0], before[0]);
    assert!(after[1] > before[1]);
}

/// Waits until a backend gets more requests than it has by now.
fn goes_on(backend: &Backend) {
    let (before, start) = (backend.requests().len(), Instant::now());
    while backend.requests().len() == before {
        assert!(start.elapsed() < Duration::from_secs(20), "no more calls");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Asserts that no call of `loaded.py` failed, and that each message was sent once.
fn assert_all_sent_once(printed: &[String], backends: &[Backend]) {
    let sent = backends
        .iter()
        .flat_map(Backend::requests)
        .filter(|request| request.get("op") == Some("message"))
        .count();
    assert_eq!(printed, [format!("{sent} messages sent")]);
}

#[test]
fn servers_are_replaced_one_by_one_under_load_and_no_call_fails() {
    // A port is free while its server is replaced. On an address that is no client's,
    // nobody takes it.
    const ADDRESS: &str = "127.0.0.2:0";
    let Some(mut script) = python("loaded.py") else {
        return;
    };
    let backends = [0; 3].map(|_| Backend::always(Answer::ok(EVERYTHING)));
    let serve = |address: &str, backend: &Backend| {
        Process::serve_on(address, &backend.url(), &["--lame-duck", "1s"])
    };
    let mut servers = backends.each_ref().map(|backend| serve(ADDRESS, backend));
    let addresses = servers.each_ref().map(|server| server.address.as_str());
    script.args([SERVICE_CONFIG, &addresses.join(",")]);
    let script = Script::start(script);

    for (server, backend) in servers.iter_mut().zip(&backends) {
        backends.iter().for_each(goes_on);
        server.signal("TERM");
        let (status, log) = server.end();
        assert!(status.success(), "{log}");
        *server = serve(&server.address, backend);
    }
    backends.iter().for_each(goes_on);
    assert_all_sent_once(&script.finish(), &backends);
}

#[test]
fn old_connections_are_replaced_under_load_and_no_call_fails() {
    let Some(mut script) = python("loaded.py") else {
        return;
    };
    let backends = [Backend::always(Answer::ok(EVERYTHING))];
    let server = Process::serve(
        &backends[0].url(),
        &["--max-connection-age", "300ms", "--log", "debug"],
    );
    script.args([SERVICE_CONFIG, &server.address]);
    let script = Script::start(script);
    while server.log().matches("end=Old").count() < 8 {
        goes_on(&backends[0]);
    }
    assert_all_sent_once(&script.finish(), &backends);
}
