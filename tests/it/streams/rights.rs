//! Rights that change while a stream is open.

use std::{fs, time::Duration};

use mesibo_grpc::{access::key::KeyHash, proto::SendMessageRequest};
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::Code;

use super::{A_WHILE, Messages, ends::sent, item, item_of, message, read, texts};
use crate::support::{Answer, Backend, EVERYTHING, Process, facade::soon, told};

const KEY: &str = "mgk_s3ntinel_desk";

/// Messages that may be in flight at a time.
const WINDOW: usize = 64;

/// A server whose settings change.
struct Fixture {
    folder: TempDir,
    backend: Backend,
    server: Process,
}

impl Fixture {
    /// The caller `desk` has the key, and its table has this in addition.
    fn new(rights: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        fs::write(&file, desk(KEY, rights)).unwrap();
        let backend = Backend::slow(Duration::from_millis(50), Answer::ok(EVERYTHING));
        let server = Process::serve(&backend.url(), &["--config", file.to_str().unwrap()]);
        Self {
            folder,
            backend,
            server,
        }
    }

    /// Puts other settings in the place of those that are in force.
    fn replace(&self, settings: &str) {
        let [new, file] = ["new", "settings.toml"].map(|name| self.folder.path().join(name));
        fs::write(&new, settings).unwrap();
        fs::rename(new, file).unwrap();
    }

    async fn open(&self) -> Messages {
        let channel = self.server.channel().await;
        Messages::open_as(&channel, KEY).await.unwrap()
    }
}

fn desk(key: &str, rights: &str) -> String {
    let hash = KeyHash::of(key.as_bytes());
    format!("[callers.desk]\nkeys = [\"{hash}\"]\n{rights}\n")
}

/// A stream at work ends with this status after a change of the settings. Nothing is sent
/// from then on, and all that was sent is in the audit.
async fn ends(settings: &str, expected: (Code, &str)) {
    let mut fixture = Fixture::new("may-call = [\"*\"]");
    let mut stream = fixture.open().await;
    // More than can be sent meanwhile.
    stream.send_all(texts(1_000_000).map(|text| item(&text)));
    soon(fixture.backend.got(2 * WINDOW)).await;
    fixture.replace(settings);
    let (answers, ended) = stream.rest().await;
    let status = ended.unwrap_err();
    assert_eq!((status.code(), told(&status).2.as_str()), expected);

    sleep(A_WHILE).await;
    let sent_by_then = sent(&fixture.backend);
    let mut done = 0;
    for (key, answer) in &answers {
        assert_eq!(sent_by_then.contains(key), answer.is_ok(), "{answer:?}");
        match answer {
            Ok(_) => done += 1,
            // An item may ask for its right before the stream learns that it has none.
            Err((code, _, reason, _)) => assert_eq!((*code, reason.as_str()), expected),
        }
    }
    let unanswered = sent_by_then.len() - done;
    assert!(unanswered <= WINDOW, "{unanswered} have no answer");
    sleep(A_WHILE).await;
    assert_eq!(sent(&fixture.backend).len(), sent_by_then.len());
    fixture.server.signal("TERM");
    let (status, log) = fixture.server.end();
    assert!(status.success(), "{log}");
    let done = log.matches(r#"outcome="done""#).count();
    assert_eq!(done, sent_by_then.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_removed_sends_nothing_more_by_the_stream_that_it_has_open() {
    let another = desk("mgk_s3ntinel_another", "may-call = [\"*\"]");
    ends(&another, (Code::Unauthenticated, "INVALID_KEY")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_may_no_longer_call_the_rpc_sends_nothing_more_by_its_stream() {
    let less = desk(KEY, "may-call = [\"mesibo.v1.MessageService/SendMessage\"]");
    ends(&less, (Code::PermissionDenied, "RPC_NOT_ALLOWED")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_has_the_rights_of_its_own_moment_and_the_stream_goes_on() {
    let all = "may-call = [\"*\"]";
    let fixture = Fixture::new(all);
    let mut stream = fixture.open().await;
    stream.send(item("of alice")).await;
    let answer = soon(stream.answers.message()).await.unwrap().unwrap();
    assert!(read(answer).1.is_ok());

    fixture.replace(&desk(KEY, &format!("{all}\nfrom-addresses = [\"desk-*\"]")));
    let denied = soon(async {
        loop {
            stream.send(item("of alice again")).await;
            let answer = stream.answers.message().await.unwrap().unwrap();
            match read(answer).1 {
                Ok(_) => sleep(Duration::from_millis(50)).await,
                Err(denied) => return denied,
            }
        }
    });
    let (code, _, reason, _) = denied.await;
    let expected = (Code::PermissionDenied, "SENDER_NOT_ALLOWED");
    assert_eq!((code, reason.as_str()), expected);
    let from_desk = SendMessageRequest {
        from_address: "desk-7".into(),
        ..message("of the desk")
    };
    stream.send(item_of("of the desk", from_desk)).await;
    stream.finish();
    let (answers, ended) = stream.rest().await;
    ended.unwrap();
    assert!(answers["of the desk"].is_ok());
}
