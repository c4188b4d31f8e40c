//! Fixtures: a scripted backend, the facade in front of it, and the program itself.

pub mod backend;
pub mod facade;
pub mod process;
pub mod thread;

use std::collections::HashMap;

pub use backend::{Answer, Backend};
pub use facade::Facade;
pub use process::Process;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The application token of every test. A sentinel: it must show up nowhere but in
/// the body of requests to Mesibo.
pub const TOKEN: &str = "s3ntinel/app+token";

/// A reply that keeps the promises of every operation.
pub const EVERYTHING: &str = r#"{"op": "any", "result": true,
    "user": {"uid": "5302", "token": "89314021d442c8169b2f3baf71c79caa"},
    "group": {"gid": 102529}, "mid": 1387628, "users": [], "members": []}"#;

/// What a program reads of a status: the code, the domain, the reason, and the
/// metadata of its `ErrorInfo`.
pub type Told = (Code, String, String, HashMap<String, String>);

/// What a program reads of `status`.
pub fn told(status: &Status) -> Told {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    (
        status.code(),
        info.domain.clone(),
        info.reason.clone(),
        info.metadata.clone(),
    )
}

/// What a program should read of a status.
pub fn telling(code: Code, domain: &str, reason: &str, metadata: &[(&str, &str)]) -> Told {
    let metadata = metadata
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    (code, domain.to_owned(), reason.to_owned(), metadata)
}
