//! The server in the settings.

use std::{net::SocketAddr, num::NonZero, thread::available_parallelism, time::Duration};

use super::{
    reader::Reader,
    settings::{self, Setting},
    values,
};
use crate::server::{
    Config, Deadlines, Limits,
    config::Doors,
    net::tls::{Files, Tls},
};

impl Reader<'_> {
    /// The server. Its `lame_duck` is zero, for `serve` to set.
    pub(super) fn server(&mut self) -> Config {
        let deadlines = Deadlines {
            default: self.get(&settings::DEFAULT_DEADLINE),
            longest: self.get(&settings::MAX_DEADLINE),
        };
        if deadlines.default > deadlines.longest {
            let what = format!(
                "expected at most {}, and {:?} is more than {:?}",
                settings::MAX_DEADLINE.name(),
                deadlines.default,
                deadlines.longest
            );
            self.mistakes.push(settings::DEFAULT_DEADLINE.name(), what);
        }
        let doors = self.doors();
        Config {
            listen: self.get(&settings::LISTEN),
            health_listen: self.find(&settings::HEALTH_LISTEN),
            tls: self.tls(&doors),
            proxy_protocol: self.get(&settings::PROXY_PROTOCOL),
            doors,
            deadlines,
            limits: self.limits(),
            worker_threads: self
                .find(&settings::WORKER_THREADS)
                .unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get)),
            lame_duck: Duration::ZERO,
            shutdown_grace: self.get(&settings::SHUTDOWN_GRACE),
        }
    }

    /// The address that metrics are served on, if they are.
    pub(super) fn metrics_listen(
        &mut self,
        setting: &'static Setting<Option<SocketAddr>>,
    ) -> Option<SocketAddr> {
        let listen = self.get(setting);
        if let Some(listen) = listen.filter(|listen| values::is_exposed(*listen)) {
            self.warnings.push(format!(
                "{}: every machine that reaches {listen} can read the metrics, which have no \
                 TLS and know no callers",
                setting.name()
            ));
        }
        listen
    }

    fn doors(&mut self) -> Doors {
        let doors = Doors {
            protocols: self.get(&settings::PROTOCOLS),
            cors_origins: self.get(&settings::CORS_ORIGINS),
        };
        if !doors.cors_origins.is_empty() && !doors.speaks_http1() {
            let what = format!(
                "expected grpc-web or connect in {}, for browsers speak no gRPC",
                settings::PROTOCOLS.name()
            );
            self.wrong(&settings::CORS_ORIGINS, what, None);
        }
        doors
    }

    fn tls(&mut self, doors: &Doors) -> Option<Tls> {
        let certificate = self.find(&settings::TLS_CERTIFICATE_FILE);
        let key = self.find(&settings::TLS_KEY_FILE);
        let client_ca = self.find(&settings::TLS_CLIENT_CA_FILE);
        let client_crl = self.find(&settings::TLS_CLIENT_CRL_FILE);
        if client_crl.is_some() && client_ca.is_none() {
            let what = format!(
                "expected together with {}",
                settings::TLS_CLIENT_CA_FILE.name()
            );
            self.mistakes
                .push(settings::TLS_CLIENT_CRL_FILE.name(), what);
        }
        let client_may_be_unknown = self.get(&settings::TLS_CLIENT_CERTIFICATE);
        let is_set = certificate.is_some() || key.is_some() || client_ca.is_some();
        let (Some(certificate), Some(key)) = (certificate, key) else {
            if is_set {
                let what = format!(
                    "expected together with {}, and {} with both",
                    settings::TLS_KEY_FILE.name(),
                    settings::TLS_CLIENT_CA_FILE.name()
                );
                self.mistakes
                    .push(settings::TLS_CERTIFICATE_FILE.name(), what);
            }
            return None;
        };
        self.check_readers(settings::TLS_KEY_FILE.name(), &key);
        let files = Files {
            certificate,
            key,
            client_ca,
            client_crl,
            client_may_be_unknown,
            http1: doors.speaks_http1(),
        };
        Tls::new(files)
            .map_err(|mistake| self.mistakes.push("tls", mistake))
            .ok()
    }

    fn limits(&mut self) -> Limits {
        let limits = Limits {
            max_connections: self.get(&settings::MAX_CONNECTIONS),
            max_connections_per_address: self.get(&settings::MAX_CONNECTIONS_PER_ADDRESS),
            loopback_is_limited: false,
            max_request_bytes: self.get(&settings::MAX_REQUEST_BYTES),
            max_request_memory: self.get(&settings::MAX_REQUEST_MEMORY),
            max_request_memory_per_connection: self
                .get(&settings::MAX_REQUEST_MEMORY_PER_CONNECTION),
            request_body_timeout: self.get(&settings::REQUEST_BODY_TIMEOUT),
            max_concurrent_streams: self.get(&settings::MAX_CONCURRENT_STREAMS),
            max_header_bytes: self.get(&settings::MAX_HEADER_BYTES),
            handshake_timeout: self.get(&settings::HANDSHAKE_TIMEOUT),
            keepalive_time: self.get(&settings::KEEPALIVE_TIME),
            keepalive_timeout: self.get(&settings::KEEPALIVE_TIMEOUT),
            max_connection_idle: self.get(&settings::MAX_CONNECTION_IDLE),
            max_connection_age: self.get(&settings::MAX_CONNECTION_AGE),
            max_connection_age_grace: self.get(&settings::MAX_CONNECTION_AGE_GRACE),
        };
        // Otherwise the largest message would never be taken.
        let largest = limits.largest_call();
        for (setting, share, whole) in [
            (
                &settings::MAX_REQUEST_MEMORY_PER_CONNECTION,
                limits.max_request_memory_per_connection,
                largest,
            ),
            (
                &settings::MAX_REQUEST_MEMORY,
                limits.request_memory_of_callers(),
                largest.saturating_mul(4) / 3 + 4,
            ),
        ] {
            if share < largest {
                let what = format!(
                    "expected at least {whole}, so that a message of {} has room",
                    settings::MAX_REQUEST_BYTES.name()
                );
                self.mistakes.push(setting.name(), what);
            }
        }
        limits
    }
}
