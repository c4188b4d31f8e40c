//! The requests to Mesibo: their time limits, how many there may be, and what they mean.

use std::time::Duration;

use super::{Group, Setting};
use crate::{config::values, service::TokenDeletion, status::ErrorCodes};

pub(crate) const UPSTREAM_CONNECT_TIMEOUT: Setting<Duration> = Setting::new(
    Group::Requests,
    "upstream-connect-timeout",
    "DURATION",
    values::duration,
)
.default("3s")
.help("Longest time to connect to Mesibo, TLS included");

pub(crate) const UPSTREAM_IDLE_TIMEOUT: Setting<Duration> = Setting::new(
    Group::Requests,
    "upstream-idle-timeout",
    "DURATION",
    values::duration,
)
.default("15s")
.help("How long an idle connection to Mesibo is kept; keep it shorter than Mesibo does");

pub(crate) const UPSTREAM_CONNECTION_LIFETIME: Setting<Duration> = Setting::new(
    Group::Requests,
    "upstream-connection-lifetime",
    "DURATION",
    values::duration,
)
.default("5m")
.help("How long connections to Mesibo are used before its name is looked up again");

pub(crate) const UPSTREAM_MAX_IN_FLIGHT: Setting<usize> = Setting::new(
    Group::Requests,
    "upstream-max-in-flight",
    "NUMBER",
    values::number,
)
.default("1024")
.help("Most requests to Mesibo in flight at a time");

pub(crate) const UPSTREAM_MAX_WAITING: Setting<usize> = Setting::new(
    Group::Requests,
    "upstream-max-waiting",
    "NUMBER",
    values::number,
)
.default("256")
.help("Most requests that wait for one in flight to end; one above is refused at once");

pub(crate) const UPSTREAM_MAX_WAIT: Setting<Duration> = Setting::new(
    Group::Requests,
    "upstream-max-wait",
    "DURATION",
    values::duration,
)
.default("500ms")
.help("Longest time that a request waits before it is refused");

pub(crate) const MAX_REPLY_BYTES: Setting<usize> =
    Setting::new(Group::Requests, "max-reply-bytes", "BYTES", values::bytes)
        .default("1048576")
        .help("Largest reply of Mesibo that is read");

pub(crate) const DELETE_USER_TOKEN_OP: Setting<TokenDeletion> = Setting::new(
    Group::Requests,
    "delete-user-token-op",
    "OP",
    values::token_deletion,
)
.default("usertoken")
.help(
    "Operation that DeleteUserToken sends: usertoken, or userdel, as Mesibo's \
             documentation prints it and which deletes the user",
);

pub(crate) const ERROR_CODES: Setting<ErrorCodes> = Setting::new(
    Group::Requests,
    "error-codes",
    "CODE=STATUS,...",
    values::error_codes,
)
.default("")
.help(
    "gRPC statuses of Mesibo's error codes that the rules get wrong, such as \
             NOCREDIT=RESOURCE_EXHAUSTED; a table in the settings file",
);
