//! Settings of TLS, and of who may call.

use super::Setting;

pub(crate) const HEALTH_LISTEN: Setting = Setting {
    name: "health-listen",
    env: "MESIBO_GRPC_HEALTH_LISTEN",
    value: "ADDR",
    default: None,
    help: "IP address and port to serve health on besides, without TLS, for the probes of \
           Kubernetes; none if not set",
};

pub(crate) const TLS_CERTIFICATE_FILE: Setting = Setting {
    name: "tls-certificate-file",
    env: "MESIBO_GRPC_TLS_CERTIFICATE_FILE",
    value: "FILE",
    default: None,
    help: "PEM file of the certificate to serve gRPC with, and of its chain; plaintext if not \
           set. Read again when it changes",
};

pub(crate) const TLS_KEY_FILE: Setting = Setting {
    name: "tls-key-file",
    env: "MESIBO_GRPC_TLS_KEY_FILE",
    value: "FILE",
    default: None,
    help: "PEM file of its private key. Read again when it changes",
};

pub(crate) const TLS_CLIENT_CA_FILE: Setting = Setting {
    name: "tls-client-ca-file",
    env: "MESIBO_GRPC_TLS_CLIENT_CA_FILE",
    value: "FILE",
    default: None,
    help: "PEM file of the certificate authorities of clients, for mutual TLS. Read again when \
           it changes",
};

pub(crate) const TLS_CLIENT_CERTIFICATE: Setting = Setting {
    name: "tls-client-certificate",
    env: "MESIBO_GRPC_TLS_CLIENT_CERTIFICATE",
    value: "required|optional",
    default: Some("required"),
    help: "Whether a client needs a certificate under mutual TLS, or may do with a key",
};

pub(crate) const ALLOW_ANONYMOUS: Setting = Setting {
    name: "allow-anonymous",
    env: "MESIBO_GRPC_ALLOW_ANONYMOUS",
    value: "true|false",
    default: Some("false"),
    help: "Serve whoever calls, without callers, on an address that is not of this machine \
           alone",
};

pub(crate) const ALLOW_PLAINTEXT: Setting = Setting {
    name: "allow-plaintext",
    env: "MESIBO_GRPC_ALLOW_PLAINTEXT",
    value: "true|false",
    default: Some("false"),
    help: "Take keys without TLS on an address that is not of this machine alone: something in \
           front does the TLS",
};

pub(crate) const OPEN_REFLECTION: Setting = Setting {
    name: "open-reflection",
    env: "MESIBO_GRPC_OPEN_REFLECTION",
    value: "true|false",
    default: Some("false"),
    help: "Let whoever calls use server reflection, without a key",
};
