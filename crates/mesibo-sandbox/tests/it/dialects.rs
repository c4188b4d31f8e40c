//! The ways in which clients of the backend API send their parameters.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::multipart;
use serde_json::{Value, json};

use crate::support::{FORM, Running, json, status};

const LIMIT: usize = 8 * 1024 * 1024;

#[tokio::test]
async fn parameters_arrive_in_a_form_or_in_the_query_of_a_get_or_a_post() {
    let sandbox = Running::start().await;
    let params = "op=groupadd&token=sandbox";
    let query = format!("/api.php?{params}");
    let in_any_case = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    let requests = [
        sandbox.form(params),
        sandbox
            .form("")
            .header(CONTENT_TYPE, in_any_case)
            .body(params),
        sandbox.request(Method::GET, &query),
        sandbox.request(Method::POST, &query),
        sandbox.request(Method::GET, &format!("/backend/?{params}")),
        sandbox.request(Method::GET, &format!("/backend?{params}")),
    ];
    for (request, gid) in requests.into_iter().zip(102_529..) {
        let whole = json!({ "group": { "gid": gid }, "op": "groupadd", "result": true });
        assert_eq!(json(request).await, whole);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_multipart_body_holds_parameters() {
    let sandbox = Running::start().await;
    let form = multipart::Form::new()
        .text("op", "useradd")
        .text("token", "sandbox")
        .text("addr", "alice")
        .text("appid", "demo");
    let request = sandbox.request(Method::POST, "/api.php").multipart(form);
    assert_eq!(json(request).await["user"]["uid"], "5302");
    let record = &sandbox.get("/sandbox/requests").await["requests"][0];
    assert_eq!(
        (&record["dialect"], &record["op"]),
        (&json!("multipart"), &json!("useradd"))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_json_body_holds_parameters_flat_or_nested() {
    let sandbox = Running::start().await;
    let send = async |body: &Value| {
        let request = sandbox.request(Method::POST, "/api.php");
        json(
            request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string()),
        )
        .await
    };
    let flat = json!({ "op": "useradd", "token": "sandbox", "addr": "alice", "appid": "demo" });
    assert_eq!(send(&flat).await["user"]["uid"], "5302");
    let nested = json!({
        "op": "useradd", "token": "sandbox", "id": 7,
        "user": { "address": "bob", "active": true, "token": { "appid": "demo", "expiry": 10 } },
    });
    let reply = send(&nested).await;
    assert_eq!(
        (&reply["user"]["uid"], &reply["id"]),
        (&json!("5303"), &json!("7"))
    );
    let group = json!({
        "op": "groupadd", "token": "sandbox",
        "group": { "name": "team", "members": [{ "address": "alice" }, { "address": "bob" }] },
    });
    let gid = send(&group).await["group"]["gid"].clone();
    let message = json!({
        "op": "message", "token": "sandbox",
        "message": { "from": "alice", "gid": gid, "message": "hi", "flags": null },
    });
    assert_eq!(send(&message).await["result"], true);
    let held = sandbox.get("/sandbox/messages").await;
    assert_eq!(
        (&held["messages"][0]["msg"], &held["total"]),
        (&json!("hi"), &json!(1))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn the_body_of_a_post_wins_over_its_query_and_that_of_a_get_is_not_read() {
    let sandbox = Running::start().await;
    let query = "/api.php?op=fromquery&token=sandbox";
    for (method, op) in [(Method::POST, "frombody"), (Method::GET, "fromquery")] {
        let request = sandbox.request(method, query).header(CONTENT_TYPE, FORM);
        let refused = json!({ "op": op, "result": false, "error": "BADOP" });
        assert_eq!(json(request.body("op=frombody")).await, refused);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_readable_holds_no_parameters_and_the_log_says_so() {
    let sandbox = Running::start().await;
    let params = "op=groupadd&token=sandbox";
    let missing = json!({ "op": "", "result": false, "error": "MISSINGPARA" });
    let post = |media: &str, body: &'static str| {
        let request = sandbox.request(Method::POST, "/api.php");
        request.header(CONTENT_TYPE, media).body(body)
    };
    for (request, dialect) in [
        (post("text/plain", params), "unknown"),
        (
            sandbox.request(Method::POST, "/api.php").body(params),
            "unknown",
        ),
        (post("application/json", "[1]"), "malformed"),
        (post("application/json", "{"), "malformed"),
        (post("multipart/form-data", "--x"), "malformed"),
        (
            post("multipart/form-data; boundary=x", "--x\r\nrubbish"),
            "malformed",
        ),
        (sandbox.form(""), "query"),
    ] {
        assert_eq!(json(request).await, missing, "{dialect}");
        let requests = sandbox
            .get("/sandbox/requests?order=desc&page_size=1")
            .await;
        assert_eq!(requests["requests"][0]["dialect"], dialect);
        assert_eq!(requests["requests"][0]["parameter"], "op");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn what_the_vendors_php_sends_beside_to_is_taken() {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice", "bob"]).await;
    let php = "op=message&from=alice&to=bob&gid=0&channel=&type=1&expiry=&flag=&forced=0&msg=hi";
    sandbox.ok(php).await;
    let record = &sandbox.get("/sandbox/requests?op=message").await["requests"][0];
    assert_eq!(record["ignored"], json!(["forced"]));

    sandbox
        .ok("op=useradd&addr=carol&appid=demo&session=&expiry=&flag=1&active=true")
        .await;
    let gid = sandbox.ok("op=groupadd&gid=0&name=team&m=alice").await["group"]["gid"].clone();
    sandbox
        .ok(&format!(
            "op=groupset&gid={gid}&name=team&flag=0&m=alice,bob"
        ))
        .await;
    let members = sandbox.ok(&format!("op=getmembers&gid={gid}")).await;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2));
    sandbox.ok("op=deluser&addr=bob&appid=demo").await;
    sandbox.ok("op=deltoken&uid=5302").await;
    let users = sandbox.get("/sandbox/users").await;
    assert_eq!(users["users"][0]["tokens"], json!([]));
    assert_eq!(
        (&users["total"], &users["users"][1]["address"]),
        (&json!(2), &json!("carol"))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_in_the_error_and_its_parameter_in_the_log() {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice"]).await;
    for (form, error, parameter) in [
        (
            "op=useradd&addr=bob&appid=x&active=maybe",
            "BADPARA",
            "active",
        ),
        ("op=useradd&addr=a,b&appid=x", "BADPARA", "addr"),
        ("op=message&from=alice&to=bob&msg=hi", "NOUSER", "to"),
        ("op=message&from=alice&msg=hi&gid=0", "MISSINGPARA", "to"),
        ("op=deltoken", "MISSINGPARA", "uid"),
        ("op=groupset&gid=7&m=nobody", "NOUSER", "m"),
        ("op=otp", "BADOP", "op"),
    ] {
        assert_eq!(sandbox.error(form).await, error, "{form}");
        let record = &sandbox
            .get("/sandbox/requests?order=desc&page_size=1")
            .await["requests"][0];
        assert_eq!(
            (&record["error"], &record["parameter"]),
            (&json!(error), &json!(parameter))
        );
        assert_eq!(record["outcome"], "refused");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_answered_like_any_others() {
    let sandbox = Running::start().await;
    let mut body = b"op=groupadd&token=sandbox&name=".to_vec();
    body.extend([0xFF, 0xC0, 0x00]);
    assert_eq!(json(sandbox.form("").body(body)).await["result"], true);
    let query = "/api.php?op=%FF%FE&token=sandbox";
    let refused = json(sandbox.request(Method::GET, query)).await;
    assert_eq!(refused["error"], "BADOP");
    sandbox.stop().await;
}

#[tokio::test]
async fn another_path_is_404_and_another_method_405() {
    let sandbox = Running::start().await;
    for path in [
        "/api.php/",
        "/sandbox",
        "/sandbox/nothing",
        "/assets/secret",
    ] {
        let request = sandbox.request(Method::GET, path);
        assert_eq!(status(request).await, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH] {
        let request = sandbox.request(method.clone(), "/api.php");
        let response = request.send().await.expect("a response");
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
        assert_eq!(response.headers()[ALLOW], "GET, POST", "{method}");
    }
    let request = sandbox.request(Method::POST, "/sandbox/state");
    assert_eq!(status(request).await, StatusCode::METHOD_NOT_ALLOWED);
    let rejected = sandbox.get("/sandbox/requests?outcome=rejected").await;
    assert_eq!(
        (&rejected["total"], &rejected["requests"][0]["status"]),
        (&json!(4), &json!(405))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_body_may_have_8_mib_and_no_more() {
    let sandbox = Running::start().await;
    let largest = json(sandbox.form(&"x".repeat(LIMIT))).await;
    assert_eq!(largest["error"], "MISSINGPARA");
    for size in [LIMIT + 1, 3 * LIMIT] {
        let status = status(sandbox.form(&"x".repeat(size))).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{size}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_message_of_1_mib_is_taken_when_all_of_it_is_percent_encoded() {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice", "bob"]).await;
    let text = "%26".repeat(1024 * 1024);
    sandbox
        .ok(&format!("op=message&from=alice&to=bob&msg={text}"))
        .await;
    sandbox.stop().await;
}
