//! Certificates, and the files that they are in.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tempfile::TempDir;
use webpki::EndEntityCert;

use crate::support::write_private;

/// How many authorities there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Issues certificates.
pub struct Authority {
    number: usize,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        Self::numbered(COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Another authority by the same name.
    pub fn forger(&self) -> Self {
        Self::numbered(self.number)
    }

    fn numbered(number: usize) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // By their names clients tell which of several authorities it was.
        let name = format!("authority {number}");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            number,
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate with these names, DNS or URI.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(&params(names))
    }

    /// The same, which is no longer valid.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = params(names);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(&params)
    }

    /// The same, which is valid from one time to another.
    pub fn issue_for(&self, names: &[&str], from: SystemTime, until: SystemTime) -> Identity {
        let mut params = params(names);
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_epoch(from);
        params.not_after = epoch + since_epoch(until);
        self.sign(&params)
    }

    /// A revocation list with these certificates, in PEM, which holds until a time.
    pub fn revoke(&self, revoked: &[&Identity], until: SystemTime) -> String {
        let long_ago = date_time_ymd(2020, 1, 1);
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial(),
            revocation_time: long_ago,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: long_ago,
            next_update: date_time_ymd(1970, 1, 1) + since_epoch(until),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Identity {
    fn serial(&self) -> SerialNumber {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let certificate = EndEntityCert::try_from(&certificate).unwrap();
        SerialNumber::from_slice(certificate.serial())
    }
}

/// The whole seconds up to a time: certificates have no parts of them.
fn since_epoch(time: SystemTime) -> Duration {
    Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names
        .iter()
        .map(|&name| match name {
            uri if uri.contains("://") => SanType::URI(uri.try_into().unwrap()),
            ip if ip.parse::<std::net::IpAddr>().is_ok() => SanType::IpAddress(ip.parse().unwrap()),
            name => SanType::DnsName(name.try_into().unwrap()),
        })
        .collect();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

/// Files that change as Kubernetes changes those of a Secret: all at once, by a symbolic
/// link to their folder.
pub struct Files {
    directory: TempDir,
    version: usize,
}

impl Files {
    pub fn new(identity: &Identity, client_authorities: &str) -> Self {
        let mut files = Self {
            directory: tempfile::tempdir().unwrap(),
            version: 0,
        };
        files.replace(identity, client_authorities);
        for name in ["tls.crt", "tls.key", "clients.crt"] {
            let link = Path::new("..data").join(name);
            symlink(link, files.directory.path().join(name)).unwrap();
        }
        files
    }

    /// Puts others in their place.
    pub fn replace(&mut self, identity: &Identity, client_authorities: &str) {
        self.version += 1;
        let root = self.directory.path();
        let folder = format!("..{}", self.version);
        fs::create_dir(root.join(&folder)).unwrap();
        for (name, content) in [
            ("tls.crt", identity.certificate.as_str()),
            ("tls.key", &identity.key),
            ("clients.crt", client_authorities),
        ] {
            write_private(&root.join(&folder).join(name), content);
        }
        symlink(&folder, root.join("..new")).unwrap();
        fs::rename(root.join("..new"), root.join("..data")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings of TLS, and with `mutual` of mutual TLS.
    pub fn settings(&self, mutual: bool) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("tls-certificate-file", "tls.crt"),
            ("tls-key-file", "tls.key"),
        ];
        settings.extend(mutual.then_some(("tls-client-ca-file", "clients.crt")));
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        settings
            .into_iter()
            .map(|(setting, name)| (setting, path(name)))
            .collect()
    }

    /// The same, as flags.
    pub fn flags(&self, mutual: bool) -> Vec<String> {
        let settings = self.settings(mutual).into_iter();
        let flags = settings.map(|(setting, path)| [format!("--{setting}"), path]);
        flags.flatten().collect()
    }
}
