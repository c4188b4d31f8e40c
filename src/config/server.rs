//! How to serve, as the settings say.

use std::{num::NonZero, path::PathBuf, thread::available_parallelism, time::Duration};

use super::{
    Reader,
    settings::{self, Setting},
    values,
};
use crate::server::{
    Config, Deadlines, Limits,
    net::tls::{Files, Tls},
};

impl<L: Fn(&Setting) -> Option<String>> Reader<L> {
    pub(super) fn server(&mut self) -> Config {
        let deadlines = Deadlines {
            default: self.get(&settings::DEFAULT_DEADLINE, values::duration),
            longest: self.get(&settings::MAX_DEADLINE, values::duration),
        };
        if deadlines.default > deadlines.longest {
            self.mistakes.push(format!(
                "{}: expected at most {}",
                settings::DEFAULT_DEADLINE.name,
                settings::MAX_DEADLINE.name,
            ));
        }
        Config {
            listen: self.get(&settings::LISTEN, values::address),
            health_listen: self.find(&settings::HEALTH_LISTEN, values::address),
            tls: self.tls(),
            deadlines,
            limits: self.limits(),
            worker_threads: self
                .find(&settings::WORKER_THREADS, values::threads)
                .unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get)),
            lame_duck: Duration::ZERO,
            shutdown_grace: self.get(&settings::SHUTDOWN_GRACE, values::duration),
        }
    }

    fn tls(&mut self) -> Option<Tls> {
        let file = |path: &str| Ok(PathBuf::from(path));
        let certificate = self.find(&settings::TLS_CERTIFICATE_FILE, file);
        let key = self.find(&settings::TLS_KEY_FILE, file);
        let client_ca = self.find(&settings::TLS_CLIENT_CA_FILE, file);
        let client_may_be_unknown = self.get(
            &settings::TLS_CLIENT_CERTIFICATE,
            values::client_may_be_unknown,
        );
        let (Some(certificate), Some(key)) = (&certificate, &key) else {
            if certificate.is_some() || key.is_some() || client_ca.is_some() {
                self.mistakes.push(format!(
                    "{}: expected together with {}, and {} with both",
                    settings::TLS_CERTIFICATE_FILE.name,
                    settings::TLS_KEY_FILE.name,
                    settings::TLS_CLIENT_CA_FILE.name
                ));
            }
            return None;
        };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca,
            client_may_be_unknown,
        };
        Tls::new(files)
            .map_err(|mistake| self.mistakes.push(format!("tls: {mistake}")))
            .ok()
    }

    fn limits(&mut self) -> Limits {
        Limits {
            max_connections: self.get(&settings::MAX_CONNECTIONS, values::number),
            max_concurrent_streams: self.get(&settings::MAX_CONCURRENT_STREAMS, values::number),
            max_header_bytes: self.get(&settings::MAX_HEADER_BYTES, values::bytes),
            handshake_timeout: self.get(&settings::HANDSHAKE_TIMEOUT, values::duration),
            keepalive_time: self.get(&settings::KEEPALIVE_TIME, values::duration),
            keepalive_timeout: self.get(&settings::KEEPALIVE_TIMEOUT, values::duration),
            max_connection_idle: self.get(&settings::MAX_CONNECTION_IDLE, values::duration),
            max_connection_age: self.get(&settings::MAX_CONNECTION_AGE, values::duration),
            max_connection_age_grace: self
                .get(&settings::MAX_CONNECTION_AGE_GRACE, values::duration),
        }
    }
}
