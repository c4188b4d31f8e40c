//! Where the store is, and its limits.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;
use url::{Host, Url};

/// A store's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is.
    pub location: Location,
    /// PostgreSQL's password. Without one, libpq's `PGPASSWORD` and password file apply.
    pub password: Option<SecretString>,
    /// Whether a database keeps a directory, too.
    pub directory: bool,
    /// The shortest time between two look-ups of uncertain users, for each app and all
    /// processes together: 1 s.
    pub lookup_interval: Duration,
    /// The longest time that a claim waits for the database, the queue included: 2 s.
    pub timeout: Duration,
    /// How long an id is remembered, counted from its claim: 24 hours. It has to be longer
    /// than any lease.
    pub retention: Duration,
    /// How many settled ids of one caller are remembered in memory: 100,000. Above it, the
    /// oldest of that caller are forgotten. A database remembers all.
    pub ids_per_caller: usize,
    /// The most connections to PostgreSQL: 8, at least 4.
    pub max_connections: u32,
    /// PEM certificates of authorities that PostgreSQL's certificate may be issued by, in
    /// addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether a PostgreSQL on another machine may be spoken to without TLS, or with a
    /// certificate that nobody vouches for.
    pub allow_plaintext: bool,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `memory`: in this process.
    Memory,
    /// `sqlite:FILE`: in a file on this machine, not on a network file system.
    Sqlite(PathBuf),
    /// `postgres://USER@HOST[:PORT]/DATABASE`: in PostgreSQL, for any number of processes.
    Postgres(Url),
}

/// Why a text is no location. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocationError(&'static str);

impl Config {
    /// The defaults for a location.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self {
            location,
            password: None,
            directory: true,
            lookup_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            retention: Duration::from_hours(24),
            ids_per_caller: 100_000,
            max_connections: 8,
            ca_file: None,
            allow_plaintext: false,
        }
    }

    /// How long a start waits for a database that cannot be reached yet, or a file that is
    /// locked.
    pub(super) fn open_timeout(&self) -> Duration {
        5 * self.timeout
    }
}

impl Location {
    /// Whether it is a PostgreSQL on another machine.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Postgres(url) if !is_local(url))
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if let Some(file) = text.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            return match file {
                "" | ":memory:" => Err(LocationError("sqlite: must be followed by a file name")),
                _ => Ok(Self::Sqlite(file.into())),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return server(text).map(Self::Postgres).map_err(LocationError);
        }
        Err(LocationError(
            "a store is memory, sqlite:FILE, or postgres://USER@HOST/DATABASE",
        ))
    }
}

fn server(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it must read postgres://USER@HOST/DATABASE")?;
    if url.password().is_some() {
        return Err("the URL must not hold the password: give it in a file, or in PGPASSWORD");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must have no parameters: there are settings for them");
    }
    if url.username().is_empty() || url.host_str().is_none_or(str::is_empty) {
        return Err("the URL must name a user and a host");
    }
    let database = url.path().trim_start_matches('/');
    if database.is_empty() || database.contains('/') {
        return Err("the URL must name one database");
    }
    Ok(url)
}

/// Whether a PostgreSQL is on this machine, by its URL: a loopback address, `localhost`,
/// or the percent-encoded path of a socket.
pub(super) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => {
            let address: Option<IpAddr> = name.parse().ok();
            name.eq_ignore_ascii_case("localhost")
                || name.to_ascii_lowercase().starts_with("%2f")
                || address.is_some_and(|address| address.is_loopback())
        }
        None => false,
    }
}

impl fmt::Display for Location {
    /// Without the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(url) => {
                let host = url.host_str().unwrap_or_default();
                write!(f, "postgres://{host}{}", url.path())
            }
        }
    }
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for LocationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_or_refused_with_what_is_allowed() {
        let read = |text: &str| text.parse::<Location>();
        assert_eq!(read("memory"), Ok(Location::Memory));
        for file in ["sqlite:/var/a.db", "sqlite:///var/a.db"] {
            assert_eq!(read(file), Ok(Location::Sqlite("/var/a.db".into())));
        }
        for url in [
            "postgres://u@db.example/ids",
            "postgresql://u@[::1]:5433/ids",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/ids",
        ] {
            assert!(matches!(read(url), Ok(Location::Postgres(_))), "{url}");
        }
        for (text, says) in [
            ("", "memory, sqlite:FILE"),
            ("redis://a", "memory, sqlite:FILE"),
            ("sqlite:", "file name"),
            ("sqlite::memory:", "file name"),
            ("postgres://u:hunter2@h/d", "must not hold the password"),
            ("postgres://u@h/d?sslmode=disable", "no parameters"),
            ("postgres://h/d", "a user and a host"),
            ("postgres://u@/d", "USER@HOST"),
            ("postgres://u@h", "one database"),
            ("postgres://u@h/a/b", "one database"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        let is_local = |host: &str| {
            let url = format!("postgres://u@{host}/d");
            super::is_local(&url.parse().unwrap())
        };
        for host in [
            "localhost",
            "127.0.0.2",
            "[::1]:5433",
            "%2Frun%2Fpostgresql",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "db.example",
            "10.0.0.1",
            "[2001:db8::1]",
            "127.0.0.1.example",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
