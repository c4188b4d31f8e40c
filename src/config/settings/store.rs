//! The store: what is remembered of calls with a `request_id`.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{Group, SWITCH, Setting};
use crate::{
    config::values::{self, files},
    store::Location,
};

pub(crate) const STORE: Setting<Location> = Setting::new(
    Group::Store,
    "store",
    "memory|sqlite:FILE|postgres://USER@HOST/DATABASE",
    values::store,
)
.default("memory")
.secret()
.common()
.help(
    "Where calls with a request_id are remembered: memory forgets them with the process, \
     sqlite:FILE keeps them on this machine, postgres://USER@HOST/DATABASE shares them among \
     servers",
);

/// The password, and the path of its file.
pub(crate) const STORE_PASSWORD_FILE: Setting<(SecretString, PathBuf)> =
    Setting::new(Group::Store, "store-password-file", "FILE", files::password)
        .help("File that holds the password for PostgreSQL; the variable PGPASSWORD if not set");

pub(crate) const STORE_CA_FILE: Setting<PathBuf> = Setting::new(
    Group::Store,
    "store-ca-file",
    "FILE",
    files::certificates_path,
)
.help("PEM file of certificate authorities to trust for PostgreSQL besides the system's");

pub(crate) const STORE_ALLOW_PLAINTEXT: Setting<bool> = Setting::new(
    Group::Store,
    "store-allow-plaintext",
    SWITCH,
    values::switch,
)
.default("false")
.help(
    "Speak to a PostgreSQL on another machine without TLS, or with a certificate of an \
       unknown authority",
);

pub(crate) const STORE_MAX_CONNECTIONS: Setting<u32> = Setting::new(
    Group::Store,
    "store-max-connections",
    "NUMBER",
    values::store_connections,
)
.default("8")
.help("Most connections to PostgreSQL");

pub(crate) const STORE_TIMEOUT: Setting<Duration> =
    Setting::new(Group::Store, "store-timeout", "DURATION", values::duration)
        .default("2s")
        .help("Longest time that a call waits for the store before it is refused");

pub(crate) const DIRECTORY: Setting<bool> =
    Setting::new(Group::Store, "directory", SWITCH, values::switch)
        .default("true")
        .help(
            "Keep users, groups and members in the store as well, if it is a database: what \
             DirectoryService answers from",
        );

pub(crate) const DIRECTORY_LOOKUP_INTERVAL: Setting<Duration> = Setting::new(
    Group::Store,
    "directory-lookup-interval",
    "DURATION",
    values::duration,
)
.default("1s")
.help(
    "Shortest time between two look-ups of uncertain users at Mesibo, for each app and all \
     servers together",
);

pub(crate) const REQUEST_ID_RETENTION: Setting<Duration> = Setting::new(
    Group::Store,
    "request-id-retention",
    "DURATION",
    values::duration,
)
.default("24h")
.help("How long a request_id is remembered");

pub(crate) const REQUEST_IDS_PER_CALLER: Setting<usize> = Setting::new(
    Group::Store,
    "request-ids-per-caller",
    "NUMBER",
    values::number,
)
.default("100000")
.help(
    "How many ids of one caller are remembered in memory; above it, the caller's oldest are \
     forgotten. A database remembers all",
);
