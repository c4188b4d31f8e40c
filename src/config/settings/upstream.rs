//! Settings of the way to Mesibo, and of what Mesibo says.

use super::Setting;

/// From the environment only: a command line can be read by everyone on the machine.
pub(crate) const APP_TOKEN: Setting = Setting {
    name: "app-token",
    env: "MESIBO_APP_TOKEN",
    value: "TOKEN",
    default: None,
    help: "Token of the Mesibo application, from the environment only",
};

pub(crate) const APP_TOKEN_FILE: Setting = Setting {
    name: "app-token-file",
    env: "MESIBO_APP_TOKEN_FILE",
    value: "FILE",
    default: None,
    help: "File that holds the token of the Mesibo application",
};

pub(crate) const UPSTREAM_URL: Setting = Setting {
    name: "upstream-url",
    env: "MESIBO_GRPC_UPSTREAM_URL",
    value: "URL",
    default: Some("https://api.mesibo.com/api.php"),
    help: "URL of Mesibo's backend API; plain HTTP is for a loopback address",
};

pub(crate) const UPSTREAM_PROXY: Setting = Setting {
    name: "upstream-proxy",
    env: "MESIBO_GRPC_UPSTREAM_PROXY",
    value: "URL",
    default: None,
    help: "HTTP proxy on the way to Mesibo; a loopback upstream is never proxied",
};

pub(crate) const UPSTREAM_CA_FILE: Setting = Setting {
    name: "upstream-ca-file",
    env: "MESIBO_GRPC_UPSTREAM_CA_FILE",
    value: "FILE",
    default: None,
    help: "PEM file of certificate authorities to trust besides the system's",
};

pub(crate) const UPSTREAM_CONNECT_TIMEOUT: Setting = Setting {
    name: "upstream-connect-timeout",
    env: "MESIBO_GRPC_UPSTREAM_CONNECT_TIMEOUT",
    value: "DURATION",
    default: Some("3s"),
    help: "Longest time to connect to Mesibo, TLS included",
};

pub(crate) const UPSTREAM_IDLE_TIMEOUT: Setting = Setting {
    name: "upstream-idle-timeout",
    env: "MESIBO_GRPC_UPSTREAM_IDLE_TIMEOUT",
    value: "DURATION",
    default: Some("15s"),
    help: "How long an idle connection to Mesibo is kept; keep it shorter than Mesibo does",
};

pub(crate) const UPSTREAM_CONNECTION_LIFETIME: Setting = Setting {
    name: "upstream-connection-lifetime",
    env: "MESIBO_GRPC_UPSTREAM_CONNECTION_LIFETIME",
    value: "DURATION",
    default: Some("5m"),
    help: "How long connections to Mesibo are used before its name is looked up again",
};

pub(crate) const UPSTREAM_MAX_IN_FLIGHT: Setting = Setting {
    name: "upstream-max-in-flight",
    env: "MESIBO_GRPC_UPSTREAM_MAX_IN_FLIGHT",
    value: "NUMBER",
    default: Some("1024"),
    help: "How many requests to Mesibo may be in flight at a time",
};

pub(crate) const UPSTREAM_MAX_WAITING: Setting = Setting {
    name: "upstream-max-waiting",
    env: "MESIBO_GRPC_UPSTREAM_MAX_WAITING",
    value: "NUMBER",
    default: Some("256"),
    help: "How many more may wait for one to end; what is above is turned away at once",
};

pub(crate) const UPSTREAM_MAX_WAIT: Setting = Setting {
    name: "upstream-max-wait",
    env: "MESIBO_GRPC_UPSTREAM_MAX_WAIT",
    value: "DURATION",
    default: Some("500ms"),
    help: "Longest time that one waits before it is turned away",
};

pub(crate) const MAX_REPLY_BYTES: Setting = Setting {
    name: "max-reply-bytes",
    env: "MESIBO_GRPC_MAX_REPLY_BYTES",
    value: "BYTES",
    default: Some("1048576"),
    help: "Largest reply of Mesibo that is read",
};

pub(crate) const DELETE_USER_TOKEN_OP: Setting = Setting {
    name: "delete-user-token-op",
    env: "MESIBO_GRPC_DELETE_USER_TOKEN_OP",
    value: "OP",
    default: Some("usertoken"),
    help: "What DeleteUserToken sends: usertoken, or userdel, as Mesibo's documentation \
           prints it and which deletes the user",
};

pub(crate) const ERROR_CODES: Setting = Setting {
    name: "error-codes",
    env: "MESIBO_GRPC_ERROR_CODES",
    value: "CODE=STATUS,...",
    default: Some(""),
    help: "gRPC statuses of Mesibo's error codes that the rules get wrong, such as \
           NOCREDIT=RESOURCE_EXHAUSTED; a table in the settings file",
};

pub(crate) const DEFAULT_APP: Setting = Setting {
    name: "default-app",
    env: "MESIBO_GRPC_DEFAULT_APP",
    value: "NAME",
    default: None,
    help: "App of calls that name none in the metadata mesibo-app; the only one if not set",
};
