//! Fixtures: a scripted backend, the facade in front of it, and the program itself.

pub mod backend;
pub mod doors;
pub mod emulator;
pub mod facade;
pub mod http2;
pub mod postgres;
pub mod process;
pub mod thread;

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

pub use backend::{Answer, Backend};
pub use emulator::Emulator;
pub use facade::Facade;
pub use postgres::Postgres;
pub use process::Process;
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What every secret in the tests has in it, and nothing else has. Whatever the fixtures
/// see come out of a server, they look for it there.
pub const SENTINEL: &str = "s3ntinel";

/// The application token of every test. It must show up nowhere but in the body of
/// requests to Mesibo.
pub const TOKEN: &str = "s3ntinel/app+token";

/// A reply that keeps the promises of every operation.
pub const EVERYTHING: &str = r#"{"op": "any", "result": true,
    "user": {"uid": "5302", "token": "89314021d442c8169b2f3baf71c79caa"},
    "group": {"gid": 102529}, "mid": 1387628, "users": [], "members": []}"#;

/// What a program reads of a status: the code, the domain, the reason, and the
/// metadata of its `ErrorInfo`, but for `attempts`, which has tests of its own.
pub type Told = (Code, String, String, HashMap<String, String>);

/// What a program reads of `status`, which gives nothing away.
pub fn told(status: &Status) -> Told {
    let bytes = String::from_utf8_lossy(status.details());
    assert_no_secret("a status", &format!("{status:?} {bytes}"));
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    let mut metadata = info.metadata.clone();
    metadata.remove("attempts");
    let (domain, reason) = (info.domain.clone(), info.reason.clone());
    (status.code(), domain, reason, metadata)
}

/// What a program should read of a status.
pub fn telling(code: Code, domain: &str, reason: &str, metadata: &[(&str, &str)]) -> Told {
    let metadata = metadata
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    (code, domain.to_owned(), reason.to_owned(), metadata)
}

/// A settings file. Its last line ends, as it must.
pub fn settings_file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{content}").unwrap();
    file
}

/// Writes a file that its user alone can read, as a secret must be.
pub fn write_private(path: &Path, content: &str) {
    let mut file = OpenOptions::new();
    let file = file.create(true).truncate(true).write(true).mode(0o600);
    let mut file = file.open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

/// A file in a folder with the password of a [`Postgres`], as a server reads it.
pub fn password_file(folder: &TempDir) -> String {
    let path = folder.path().join("password");
    write_private(&path, postgres::PASSWORD);
    path.display().to_string()
}

/// Fails if a text that came out of a server has a secret in it.
pub fn assert_no_secret(what: &str, text: &str) {
    if let Some(at) = text.find(SENTINEL) {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        panic!("{what} gives away {}", &text[line..at + SENTINEL.len()]);
    }
}

/// What an emulator holds.
pub async fn sandbox_state(emulator: SocketAddr) -> Value {
    serde_json::from_str(&get(emulator, "/sandbox/state").await).unwrap()
}

/// The body of what an HTTP server has at a path.
pub async fn get(server: SocketAddr, path: &str) -> String {
    get_with(server, path, "").await.1
}

/// The head and the body of what an HTTP server has at a path, for a request with these
/// header lines. HTTP/1.0 has no chunks.
pub async fn get_with(server: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert_no_secret(path, &response);
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Says that a test is skipped because it lacks something, and what to install.
/// Where `REQUIRE_TOOLS` is set nothing may be skipped.
pub fn skip(lacks: &str) {
    assert!(std::env::var_os("REQUIRE_TOOLS").is_none(), "lacks {lacks}");
    say(&format!("SKIPPED: lacks {lacks}\n"));
}

/// Prints a text even if the test passes.
pub fn say(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap();
}
