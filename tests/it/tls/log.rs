//! What the log says of a client certificate.

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use webpki::EndEntityCert;

use super::{
    NAME,
    authority::{Authority, Files},
    connect, list,
};
use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon, settings_file, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_named_by_its_serial_number_whether_it_is_let_in_or_not() {
    let (server, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&server.issue(&[NAME]), &clients.pem);
    let settings = settings_file(
        "[callers.reader]\ncertificates = [\"reader.example\"]\nmay-call = [\"*\"]\n",
    );
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let mut flags = files.flags(true);
    flags.extend(["--config".into(), settings.path().to_str().unwrap().into()]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let process = Process::serve(&backend.url(), &flags);
    assert!(process.log().contains("tls=\"mutual\""));
    for name in ["reader.example", "other.example"] {
        let identity = clients.issue(&[name]);
        let channel = connect(&process.address, &server.pem, Some(&identity)).await;
        let result = list(channel.unwrap(), None).await;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let certificate = EndEntityCert::try_from(&certificate).unwrap();
        let credential = format!("credential=cert:{}", hex::encode(certificate.serial()));
        soon(process.logged(&credential)).await;
        let log = process.log();
        let line = log.lines().find(|line| line.contains(&credential)).unwrap();
        let part = match result {
            Ok(()) => "caller=\"reader\"",
            Err(status) => {
                assert_eq!(told(&status).2, "UNKNOWN_CERTIFICATE");
                "reason=\"UNKNOWN_CERTIFICATE\""
            }
        };
        assert!(line.contains(part), "{line}");
    }
}
