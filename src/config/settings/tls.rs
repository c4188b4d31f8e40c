//! TLS on the gRPC port.

use std::path::PathBuf;

use super::{Group, Setting};
use crate::config::values::{self, files};

pub(crate) const TLS_CERTIFICATE_FILE: Setting<PathBuf> = Setting::new(
    Group::Tls,
    "tls-certificate-file",
    "FILE",
    files::certificates_path,
)
.common()
.help(
    "PEM file of the server's certificate and its chain; plaintext if not set. Read again \
         when it changes",
);

pub(crate) const TLS_KEY_FILE: Setting<PathBuf> =
    Setting::new(Group::Tls, "tls-key-file", "FILE", files::key)
        .common()
        .help("PEM file of the certificate's private key. Read again when it changes");

pub(crate) const TLS_CLIENT_CA_FILE: Setting<PathBuf> = Setting::new(
    Group::Tls,
    "tls-client-ca-file",
    "FILE",
    files::certificates_path,
)
.help(
    "PEM file of the certificate authorities of clients, for mutual TLS. Read again when \
         it changes",
);

pub(crate) const TLS_CLIENT_CRL_FILE: Setting<PathBuf> = Setting::new(
    Group::Tls,
    "tls-client-crl-file",
    "FILE",
    files::certificates_path,
)
.help(
    "PEM file of the revocation lists of all these authorities: a client is refused if its \
     certificate is on one, or if its authority has none that is valid. Read again when it \
     changes",
);

/// Whether a client may connect without a certificate.
pub(crate) const TLS_CLIENT_CERTIFICATE: Setting<bool> = Setting::new(
    Group::Tls,
    "tls-client-certificate",
    "required|optional",
    values::client_may_be_unknown,
)
.default("required")
.help(
    "Whether a client needs a certificate under mutual TLS, or may connect without one and \
     show a key",
);
