//! The way to Mesibo: the proxy, and one call for each app.

use std::{collections::HashMap, io::ErrorKind, path::PathBuf, sync::Arc, time::Duration};

use mesibo::{Client, Error, Failure, Operation, Proxy, chain, is_loopback};
use rustls::AlertDescription;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    cause::{causes, io_error, tls_error},
    report::{Outcome, Report},
};
use crate::{
    call::Apps,
    config::{Config, apps::AppConfig, settings},
};

/// What an operator can mend about the token of an app.
pub(super) struct Token {
    app: Arc<str>,
    file: Option<PathBuf>,
    has_proxy: bool,
}

impl Token {
    pub(super) fn of(app: &AppConfig) -> Self {
        let upstream = &app.upstream;
        Self {
            app: Arc::clone(&upstream.app),
            file: app.token_file.clone(),
            has_proxy: upstream.proxy.is_some() && !is_loopback(&upstream.url),
        }
    }

    /// The place that the token is from.
    fn place(&self) -> String {
        self.file.as_ref().map_or_else(
            || "the environment".into(),
            |file| file.display().to_string(),
        )
    }
}

/// Connects to the proxy, if one is used. `serve` starts without it: it may come later.
pub(super) async fn check_proxy(config: &Config, report: &mut Report) {
    let name = settings::UPSTREAM_PROXY.name();
    let mut ways = config.apps.iter().map(|app| &app.upstream);
    let Some((upstream, Proxy(url))) =
        ways.find_map(|upstream| Some((upstream, upstream.proxy.as_ref()?)))
    else {
        return;
    };
    if config.apps.iter().all(|app| is_loopback(&app.upstream.url)) {
        let text = "is not used: every upstream-url is a loopback address";
        return report.add(Outcome::Warning, name, text);
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    // An IPv6 address stands in brackets in a URL, and without them elsewhere.
    let address = (host.trim_matches(['[', ']']), port);
    match timeout(upstream.connect_timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => report.add(
            Outcome::Ok,
            name,
            format!("{host}:{port} takes connections"),
        ),
        Ok(Err(error)) => {
            let text =
                format!("cannot connect to {host}:{port}: {error}; no call leaves without it");
            report.add(Outcome::Warning, name, text);
        }
        Err(_) => {
            let limit = upstream.connect_timeout;
            let text = format!(
                "{host}:{port} does not answer within {limit:?}; no call leaves without it"
            );
            report.add(Outcome::Warning, name, text);
        }
    }
}

/// Makes one call to Mesibo for each app, which lists one user and changes nothing.
pub(super) async fn ask(apps: &Apps, tokens: Vec<Token>, patience: Duration, report: &mut Report) {
    let clients: HashMap<_, _> = apps
        .clients()
        .into_iter()
        .map(|client| (Arc::clone(client.app()), client))
        .collect();
    for token in tokens {
        let Some(client) = clients.get(&token.app) else {
            continue;
        };
        let (outcome, text) = asked(client, &token, patience).await;
        report.add(outcome, format_args!("token of {}", token.app), text);
    }
}

async fn asked(client: &Client, token: &Token, patience: Duration) -> (Outcome, String) {
    let begin = Instant::now();
    let operation = Operation::users_get(None, Some(1));
    match client.call(operation, begin + patience).await {
        Ok(_) => {
            let took = begin.elapsed().as_millis();
            (
                Outcome::Ok,
                format!("Mesibo takes it, and answered in {took} ms"),
            )
        }
        Err(error) => explained(&error, token),
    }
}

/// What the failure of the call means, and what to do.
fn explained(error: &Error, token: &Token) -> (Outcome, String) {
    let place = token.place();
    match error.failure() {
        Failure::Refused {
            code: Some(code), ..
        } if code == "TOKENBREACH" => (
            Outcome::Wrong,
            "Mesibo has disabled the application (TOKENBREACH), for its token was used from more \
             than five IP addresses: let all servers leave by one, such as a NAT or \
             upstream-proxy, and ask Mesibo to enable it again"
                .into(),
        ),
        Failure::Refused {
            code: Some(code), ..
        } if code == "AUTHFAIL" || code.ends_with("TOKEN") => (
            Outcome::Wrong,
            format!(
                "Mesibo rejects it ({code}): it is no token of an application, or it was changed; \
                 put the one that Mesibo's console shows into {place}"
            ),
        ),
        Failure::Refused { code, .. } => {
            let code = code.as_deref().unwrap_or("no error code");
            let text = format!("Mesibo refuses to list users ({code}): see docs/errors.md");
            (Outcome::Wrong, text)
        }
        Failure::Redirect { status } => (
            Outcome::Wrong,
            format!(
                "HTTP status {status} leads elsewhere, which is not followed, for the token would \
                 go along: upstream-url is not where the API is"
            ),
        ),
        Failure::Http { status, .. } if *status >= 500 || *status == 429 => (
            Outcome::Unavailable,
            format!("Mesibo, or a gateway before it, answers with HTTP status {status}"),
        ),
        Failure::Http { status, .. } => (
            Outcome::Wrong,
            format!(
                "HTTP status {status} without a reply: something other than the API answers, such \
                 as a proxy or a firewall, or upstream-url is not where the API is"
            ),
        ),
        Failure::Malformed { problem, .. } => (
            Outcome::Wrong,
            format!("something other than the API answers at upstream-url: {problem}"),
        ),
        Failure::Unreachable => unreachable_because(error, token),
        Failure::ConnectionLost
        | Failure::OutOfTime { .. }
        | Failure::Overloaded { .. }
        | Failure::Down { .. }
        | Failure::Cancelled => (Outcome::Unavailable, format!("no answer: {}", chain(error))),
    }
}

/// Why no connection was made.
fn unreachable_because(error: &Error, token: &Token) -> (Outcome, String) {
    if let Some(tls) = tls_error(error) {
        let hint = match tls {
            rustls::Error::InvalidCertificate(_) => {
                "upstream-ca-file names an authority to trust besides the system's, such as that \
                 of a proxy that opens TLS"
            }
            rustls::Error::InvalidMessage(_) => "the port does not speak TLS",
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                "it does not speak the version of HTTP that upstream-protocol wants"
            }
            _ => "something between here and Mesibo may cut TLS",
        };
        return (
            Outcome::Wrong,
            format!("the TLS handshake failed: {tls}; {hint}"),
        );
    }
    let all = chain(error);
    // Without an I/O error it was the proxy that said no: it was reached.
    let is_refused = io_error(error).is_none()
        && causes(error).any(|cause| cause.to_string().contains("tunnel"));
    if token.has_proxy && is_refused {
        let hint = if all.contains("authorization") {
            "it wants a user and a password: see upstream-proxy-password-file"
        } else {
            "it does not let this machine connect to the host of upstream-url"
        };
        return (
            Outcome::Wrong,
            format!("upstream-proxy refuses the way: {all}; {hint}"),
        );
    }
    let hint = match io_error(error).map(std::io::Error::kind) {
        _ if all.contains("lookup") => "the name is not found: look at DNS, and at upstream-url",
        Some(ErrorKind::ConnectionRefused) => "nothing listens there",
        _ if all.contains("HTTP/2") => "look at upstream-protocol",
        _ if all.contains("timed out") || all.contains("elapsed") => {
            "nothing answers: look at the firewall, and at upstream-proxy"
        }
        _ => "look at the network, and at upstream-proxy",
    };
    (
        Outcome::Unavailable,
        format!("no connection: {all}; {hint}"),
    )
}
