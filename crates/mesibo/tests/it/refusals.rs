//! What a failure tells of a reply, and what it keeps to itself.

use std::error::Error as _;

use mesibo::{Error, Failure, Operation, chain};

use crate::support::{Answer, Backend, TOKEN, later};

/// A user's token, of the form that Mesibo's have.
const USER_TOKEN: &str = "89314021d442c8169b2f3baf71c79caa3b026c16daedd3ee9";

async fn failure_after(body: &str) -> Error {
    let reply = Answer::reply(body);
    let backend = Backend::new(move |_| reply.clone()).await;
    let call = Operation::user_del(7);
    backend.client(()).call(call, later()).await.unwrap_err()
}

#[tokio::test]
async fn what_is_no_error_code_is_an_excerpt() {
    for (body, code, excerpt) in [
        (
            r#"{"result": false, "error": "NOUSER"}"#,
            Some("NOUSER"),
            None,
        ),
        (r#"{"result": false, "error": 42}"#, Some("42"), None),
        (
            r#"{"result": false, "error": "no \"user\"\n\u202E caller=admin"}"#,
            None,
            Some(r#""no \"user\"\n\u{202e} caller=admin""#),
        ),
        ("FAIL", None, Some(r#""FAIL""#)),
        (
            r#"{"result": false, "why": "no credit"}"#,
            None,
            Some(r#""{\"result\": false, \"why\": \"no credit\"}""#),
        ),
    ] {
        let error = failure_after(body).await;
        let Failure::Refused {
            code: told,
            excerpt: shown,
            ..
        } = error.failure()
        else {
            panic!("{body} is a refusal");
        };
        assert_eq!(
            (told.as_deref(), shown.as_deref()),
            (code, excerpt),
            "{body}"
        );
    }
}

#[tokio::test]
async fn no_failure_has_a_token() {
    let percent: Vec<_> = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let percent = percent.concat();
    let form: String = form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
    for secret in [
        TOKEN,
        USER_TOKEN,
        &percent,
        &form,
        &TOKEN.replace('/', r"\/"),
    ] {
        for body in [
            secret.to_owned(),
            format!(r#"{{"result": false, "error": "{secret}"}}"#),
            format!(r#"{{"result": false, "error": "BAD_{secret}"}}"#),
            format!(r#"{{"result": false, "error": "the token {secret} is wrong"}}"#),
            format!(r#"{{"result": "maybe", "token": "{secret}"}}"#),
            format!("{secret}{}", " ".repeat(2 << 20)),
        ] {
            let error = failure_after(&body).await;
            let told = format!("{error} {error:?} {} {:?}", chain(&error), error.source());
            for forbidden in [secret, TOKEN] {
                assert!(!told.contains(forbidden), "{told}");
            }
            assert!(told.contains("[redacted]"), "{told}");
        }
    }
}
