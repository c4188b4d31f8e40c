//! Looking and waiting: lists, filters, pages, events, and the API's own errors.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Running, json, status};

async fn column(sandbox: &Running, path: &str, list: &str, field: &str) -> Vec<Value> {
    let page = sandbox.get(path).await;
    let rows = page[list].as_array().expect("a list").iter();
    rows.map(|row| row[field].clone()).collect()
}

/// Three users, a group, and four messages.
async fn populated() -> (Running, u64) {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice", "bob", "carol"]).await;
    let group = sandbox.ok("op=groupadd&name=Team&m=alice,bob").await;
    let gid = group["group"]["gid"].as_u64().expect("a gid");
    sandbox
        .ok("op=message&from=alice&to=bob&msg=Hello+Bob")
        .await;
    sandbox
        .ok("op=message&from=bob&to=alice,carol&msg=Hi+all&type=3")
        .await;
    sandbox
        .ok(&format!("op=message&from=alice&gid={gid}&msg=Hello+team"))
        .await;
    sandbox.ok("op=message&from=carol&to=alice&msg=Bye").await;
    (sandbox, gid)
}

#[tokio::test]
async fn messages_are_found_by_what_they_are() {
    let (sandbox, gid) = populated().await;
    for (query, found) in [
        (
            String::new(),
            vec!["Hello Bob", "Hi all", "Hello team", "Bye"],
        ),
        ("from=alice".into(), vec!["Hello Bob", "Hello team"]),
        ("to=alice".into(), vec!["Hi all", "Bye"]),
        ("address=carol".into(), vec!["Hi all", "Bye"]),
        ("to=c*".into(), vec!["Hi all"]),
        (format!("gid={gid}"), vec!["Hello team"]),
        ("contains=hello".into(), vec!["Hello Bob", "Hello team"]),
        ("type=3".into(), vec!["Hi all"]),
        ("order=desc&page_size=1".into(), vec!["Bye"]),
        (
            "since=2000-01-01T00:00:00%2B01:00&from=carol".into(),
            vec!["Bye"],
        ),
        ("since=2100-01-01T00:00:00Z".into(), vec![]),
        ("from=alice&world=elsewhere".into(), vec![]),
    ] {
        let path = format!("/sandbox/messages?{query}");
        assert_eq!(
            column(&sandbox, &path, "messages", "msg").await,
            found,
            "{query}"
        );
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn users_and_groups_are_found_by_what_they_are() {
    let (sandbox, gid) = populated().await;
    sandbox.ok("op=userset&uid=5304&active=0").await;
    for (query, found) in [
        ("address=*o*", vec!["bob", "carol"]),
        ("active=false", vec!["carol"]),
        ("contains=ALI", vec!["alice"]),
    ] {
        let path = format!("/sandbox/users?{query}");
        assert_eq!(
            column(&sandbox, &path, "users", "address").await,
            found,
            "{query}"
        );
    }
    for (query, count) in [
        ("member=alice", 1),
        ("member=carol", 0),
        ("contains=team", 1),
    ] {
        let page = sandbox.get(&format!("/sandbox/groups?{query}")).await;
        assert_eq!(page["total"], count, "{query}");
    }
    let group = sandbox.get(&format!("/sandbox/groups/{gid}")).await;
    assert_eq!(group["members"][1]["address"], "bob");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_request_is_logged_with_its_form_its_reply_and_links_to_what_it_made() {
    let sandbox = Running::start().await;
    sandbox
        .ok("op=useradd&addr=alice&appid=demo&sig=none")
        .await;
    let reply = sandbox.ok("op=message&from=alice&to=alice&msg=hi").await;
    let page = sandbox.get("/sandbox/requests?address=alice").await;
    let [added, sent] = page["requests"].as_array().expect("a list").as_slice() else {
        panic!("two requests: {page}");
    };
    let form = json!([
        ["token", "***"],
        ["op", "useradd"],
        ["addr", "alice"],
        ["appid", "demo"],
        ["sig", "none"],
    ]);
    assert_eq!(added["form"], form);
    assert_eq!(added["ignored"], json!(["sig"]));
    assert_eq!(added["uid"], 5302);
    assert_eq!(
        (&sent["method"], &sent["path"]),
        (&json!("POST"), &json!("/api.php"))
    );
    assert_eq!(
        (&sent["status"], &sent["outcome"]),
        (&json!(200), &json!("done"))
    );
    assert_eq!(sent["mid"], reply["mid"]);
    let logged: Value = serde_json::from_str(sent["reply"].as_str().expect("a text")).unwrap();
    assert_eq!(logged, reply);
    assert!(sent["duration_ms"].as_f64().expect("a number") >= 0.0);
    let by_mid = format!("/sandbox/requests?mid={}", reply["mid"]);
    assert_eq!(sandbox.get(&by_mid).await["total"], 1);
    assert_eq!(sandbox.get("/sandbox/requests/2").await, *sent);
    sandbox.stop().await;
}

#[tokio::test]
async fn no_answer_holds_an_application_token() {
    let sandbox = Running::start().await;
    let token = "a-real-token-of-somebody";
    let form = format!("op={token}&token={token}&id={token}&addr=x{token}x");
    json(sandbox.form(&form)).await;
    let worlds = sandbox.get("/sandbox/worlds").await.to_string();
    let world = worlds
        .split('"')
        .find(|text| text.starts_with("token-"))
        .expect("a world");
    let log = sandbox
        .get(&format!("/sandbox/requests?world={world}"))
        .await;
    assert_eq!(log["total"], 1);
    // A value that only contains the token is shown as it came: it is another text.
    let log = log.to_string().replace(&format!("x{token}x"), "");
    assert!(
        !log.contains(token) && !worlds.contains(token),
        "{log} {worlds}"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other_in_either_order() {
    let sandbox = Running::start().await;
    let users: Vec<_> = (0..25).map(|number| format!("user{number:02}")).collect();
    let users: Vec<_> = users.iter().map(String::as_str).collect();
    sandbox.add_users(&users).await;
    for (order, expected) in [
        ("asc", users.clone()),
        ("desc", users.iter().rev().copied().collect()),
    ] {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("/sandbox/users?page_size=10&order={order}&page_token={token}");
            let page = sandbox.get(&path).await;
            assert_eq!(page["total"], 25);
            let rows = page["users"].as_array().expect("a list");
            found.extend(rows.iter().map(|row| row["address"].clone()));
            match page["next_page_token"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        assert_eq!(found, expected, "{order}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wait_ends_as_soon_as_something_matches() {
    let sandbox = Running::start().await;
    sandbox.add_users(&["alice", "bob"]).await;
    let waiting = sandbox.request(Method::GET, "/sandbox/messages?contains=second&wait=30s");
    let waiting = tokio::spawn(json(waiting));
    sandbox
        .ok("op=message&from=alice&to=bob&msg=the+first")
        .await;
    sandbox
        .ok("op=message&from=alice&to=bob&msg=the+second")
        .await;
    let found = waiting.await.expect("no panic");
    assert_eq!(found["messages"][0]["msg"], "the second");
    // What is there already is not waited for.
    let found = sandbox
        .get("/sandbox/messages?contains=first&wait=30s")
        .await;
    assert_eq!(found["total"], 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wait_in_a_world_that_is_not_there_yet_sees_it_come() {
    let sandbox = Running::start().await;
    let path = "/sandbox/users?world=later&wait=30s";
    let waiting = tokio::spawn(json(sandbox.request(Method::GET, path)));
    sandbox
        .ok_in("later", "op=useradd&addr=alice&appid=demo")
        .await;
    assert_eq!(waiting.await.expect("no panic")["total"], 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wait_for_nothing_is_empty_when_its_time_is_over() {
    let sandbox = Running::start().await;
    let found = sandbox.get("/sandbox/messages?wait=1ms").await;
    assert_eq!(found, json!({ "messages": [], "total": 0 }));
    // And a shutdown does not wait for it.
    let waiting = sandbox
        .request(Method::GET, "/sandbox/messages?wait=1m")
        .send();
    let waiting = tokio::spawn(waiting);
    sandbox.get("/sandbox/state").await;
    sandbox.stop().await;
    let _ = tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("it ended");
}

#[tokio::test]
async fn entries_are_deleted_one_by_one_or_all_together() {
    let (sandbox, gid) = populated().await;
    for (list, id, left) in [
        ("messages", 1_387_628, 3),
        ("users", 5304, 2),
        ("groups", gid, 0),
        ("requests", 1, 7),
    ] {
        let single = format!("/sandbox/{list}/{id}");
        sandbox.delete(&single).await;
        for method in [Method::GET, Method::DELETE] {
            let gone = status(sandbox.request(method, &single)).await;
            assert_eq!(gone, StatusCode::NOT_FOUND, "{single}");
        }
        let path = format!("/sandbox/{list}");
        assert_eq!(sandbox.get(&path).await["total"], left, "{list}");
        sandbox.delete(&path).await;
        assert_eq!(sandbox.get(&path).await["total"], 0, "{list}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn events_tell_of_changes() {
    let sandbox = Running::start().await;
    let mut events = sandbox
        .request(Method::GET, "/sandbox/events")
        .send()
        .await
        .unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut next = async || {
        let chunk = events.chunk().await.expect("no error").expect("an event");
        let text = String::from_utf8(chunk.to_vec()).expect("a text");
        let data = text.split("data: ").nth(1).expect("data").trim();
        serde_json::from_str::<Value>(data).expect("JSON")
    };
    let begin = next().await;
    sandbox.add_users(&["alice"]).await;
    let mut changed = next().await;
    // The user and the record of the request may come apart.
    while changed["requests"] == begin["requests"] {
        changed = next().await;
    }
    assert_ne!(changed["users"], begin["users"]);
    assert_eq!(changed["messages"], begin["messages"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_what_is_allowed() {
    let sandbox = Running::start().await;
    for (path, wrong) in [
        (
            "messages?form=alice",
            "there is no parameter \"form\"; there are world, page_size",
        ),
        (
            "messages?since=yesterday",
            "since is \"yesterday\": it must be a time such as",
        ),
        (
            "messages?wait=2",
            "wait is \"2\": it must be a duration such as 500ms",
        ),
        ("messages?wait=2m", "wait must be at most 1m"),
        ("messages?page_size=0", "page_size must be 1 to 1000"),
        ("messages?gid=x", "gid is \"x\": it must be a whole number"),
        (
            "messages?order=up",
            "order is \"up\": it must be asc or desc",
        ),
        (
            "users?active=1",
            "active is \"1\": it must be true or false",
        ),
        (
            "users?world=a%20b",
            "world is \"a b\": it must be 1 to 63 letters",
        ),
        ("users/alice", "\"alice\" is no id"),
        (
            "requests?outcome=good",
            "outcome is \"good\": it must be done or refused",
        ),
    ] {
        let request = sandbox.request(Method::GET, &format!("/sandbox/{path}"));
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let error: Value = response.json().await.expect("JSON");
        let error = error["error"].as_str().expect("a text");
        assert!(error.starts_with(wrong), "{path}: {error}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_description_names_every_path_and_method_there_is() {
    let sandbox = Running::start().await;
    let document = sandbox.get("/sandbox/openapi.json").await;
    assert!(
        document["openapi"]
            .as_str()
            .expect("a version")
            .starts_with("3.1")
    );
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        let path = path.replace("{id}", "1").replace("{name}", "nothing");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let described = methods.get(method.as_str().to_lowercase()).is_some();
            // An event stream has no end.
            let response = sandbox.request(method.clone(), &path).body("{}").send();
            let status = response.await.expect("a response").status();
            let exists = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(described, exists, "{method} {path}: {status}");
        }
    }
    for path in [
        "users", "groups", "messages", "requests", "worlds", "state", "snapshot",
    ] {
        assert!(paths.contains_key(&format!("/sandbox/{path}")), "{path}");
    }
    sandbox.stop().await;
}
