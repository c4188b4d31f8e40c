//! The lines that requests leave in the log.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Running, json};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn every_request_leaves_a_line_with_its_outcome_and_never_a_token() {
    let lines = Lines::default();
    // With one subscriber, whoever first comes by a line asks that of its own thread whether
    // the line is wanted, and tests on other threads have none; with two, all are asked.
    let _another = tracing::Dispatch::new(NoSubscriber::default());
    let logging = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .finish();
    // The runtime of this test has one thread, the one that this holds for.
    let logging = tracing::subscriber::set_default(logging);
    let sandbox = Running::start().await;
    let token = "a-real-token-of-somebody";
    for form in [
        format!("op=useradd&addr=alice&appid=demo&sig=none&token={token}"),
        format!("op=userset&token={token}"),
        format!("op={token}&token={token}"),
        format!("op=usersget&addr=fault-status-503&token={token}"),
    ] {
        sandbox.form(&form).send().await.expect("a response");
    }
    sandbox.put("/sandbox/faults", &json!([])).await;
    json(sandbox.form("op=usersget")).await;
    sandbox.stop().await;
    drop(logging);

    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).expect("a text");
    assert!(!text.contains(token), "{text}");
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("answered a request"))
        .collect();
    for (line, expected) in lines.iter().zip([
        [
            r#"op="useradd" outcome=Done"#,
            r#"ignored="[\"sig\"]""#,
            "INFO",
            "duration_ms=",
        ],
        [
            r#"op="userset" outcome=Refused"#,
            r#"error="MISSINGPARA""#,
            r#"parameter="uid""#,
            "INFO",
        ],
        [
            r#"op="unknown" outcome=Refused"#,
            r#"error="BADOP""#,
            r#"parameter="op""#,
            "INFO",
        ],
        [
            r#"op="usersget" outcome=Faulted"#,
            r#"fault="HTTP status 503""#,
            "status=503",
            "INFO",
        ],
        [
            r#"op="usersget" outcome=Refused"#,
            r#"parameter="token""#,
            r#"world="default""#,
            "INFO",
        ],
    ]) {
        for part in expected {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!(lines.len(), 5, "{text}");
}
