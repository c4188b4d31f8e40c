//! The tables of apps and callers.

use std::{
    num::NonZeroUsize,
    time::{Duration, UNIX_EPOCH},
};

use super::*;
use crate::access::key::KeyHash;

/// The hash of a key, as text.
fn hash(key: &str) -> String {
    KeyHash::of(key.as_bytes()).to_string()
}

/// A token file, and a settings file in which `TOKEN` stands for its path, `HASH` for a
/// hash, and `KEYS` for a line with it.
fn read_file(content: &str, settings: &[(&str, &str)]) -> Result<Config, String> {
    let token = file("t0k");
    let content = content
        .replace("TOKEN", path(&token))
        .replace("KEYS", &format!("keys = [\"{}\"]", hash("one")))
        .replace("HASH", &hash("one"));
    let holds = file(&content);
    let mut values = vec![("config", path(&holds))];
    values.extend(settings);
    read(&values).map_err(|error| error.replace(path(&holds), "FILE"))
}

#[test]
fn apps_have_a_token_each_and_what_they_leave_out_from_the_others() {
    let config = read_file(
        "upstream-max-in-flight = 9\n\
         [apps.shop]\ntoken-file = \"TOKEN\"\nupstream-url = \"https://shop.example/\"\n\
         upstream-max-wait = \"1s\"\nrate = 2.5\n\
         [apps.support]\ntoken-file = \"TOKEN\"\nupstream-max-waiting = 3\n",
        &[("app-token", "t0k")],
    );
    let config = config.unwrap();
    // The token outside of any table is that of the default app.
    assert_eq!(&*config.default_app, "default");
    let names: Vec<_> = config.apps.iter().map(|app| &*app.upstream.app).collect();
    assert_eq!(names, ["shop", "support", "default"]);
    let [shop, support, default] = &config.apps[..] else {
        panic!()
    };
    assert_eq!(shop.upstream.url.as_str(), "https://shop.example/");
    assert_eq!(shop.upstream.max_wait.as_secs(), 1);
    assert_eq!(shop.upstream.max_waiting, 256);
    assert!(shop.rate.is_some() && support.rate.is_none());
    assert_eq!(support.upstream.max_waiting, 3);
    for app in [shop, support, default] {
        assert_eq!(app.upstream.max_in_flight, 9);
        let of_default = &*app.upstream.app == "default";
        assert_eq!(app.token_file.is_none(), of_default);
        if !of_default {
            assert!(app.token_file.is_some());
        }
    }

    let one = read_file("[apps.shop]\ntoken-file = \"TOKEN\"\n", &[]).unwrap();
    assert_eq!(&*one.default_app, "shop");
}

#[test]
fn callers_may_do_what_their_tables_say() {
    let config = read_file(
        "[callers.orders]\nKEYS\nmay-call = [\"mesibo.v1.MessageService/*\"]\n\
         [callers.admin]\nkeys = [\"HASH\"]\nmay-call = [\"*\"]\n"
            .replace("HASH", &hash("two"))
            .as_str(),
        &[("app-token", "t0k")],
    );
    let [admin, orders] = &config.unwrap().callers[..] else {
        panic!()
    };
    assert!(admin.may_call("mesibo.v1.UserService/ListUsers"));
    assert!(orders.may_call("mesibo.v1.MessageService/SendMessage"));
    assert!(!orders.may_call("mesibo.v1.UserService/ListUsers"));
    assert!(orders.may_use("default") && !orders.may_use("shop"));
    assert!(orders.may_send_from("anyone") && orders.rate.is_none());
}

#[test]
fn a_key_may_have_an_end_and_a_caller_a_share() {
    let content = "[callers.orders]\nkeys = [\"one\", { hash = \"two\", not-after = \
                   \"2027-12-31T00:00:00Z\" }, { hash = \"three\", not-after = \
                   2027-12-31T00:00:00Z }, { hash = \"four\" }]\nmay-call = [\"*\"]\n\
                   read-tokens = true\nmax-in-flight = 7\n";
    let keys = ["one", "two", "three", "four"];
    let content = keys.iter().fold(content.to_owned(), |content, key| {
        content.replace(&format!("\"{key}\""), &format!("\"{}\"", hash(key)))
    });
    let config = read_file(&content, &[("app-token", "t0k")]).unwrap();
    let orders = &config.callers[0];
    let end = UNIX_EPOCH + Duration::from_hours(508_392);
    let ends: Vec<_> = orders.keys.iter().map(|key| key.not_after).collect();
    assert_eq!(ends, [None, Some(end), Some(end), None]);
    assert!(orders.read_tokens);
    assert_eq!(orders.max_in_flight, NonZeroUsize::new(7));
}

#[test]
fn each_mistake_in_a_table_is_told_with_its_line_and_without_secrets() {
    let rule = "expected 1 to 63 of the characters a to z, 0 to 9, -, _ and .";
    for (content, expected) in [
        (
            "apps = 1",
            "apps: expected tables, such as [apps.NAME] (FILE:1)",
        ),
        (
            "[callers]\norders = 1",
            "callers.orders: expected a table (FILE:2)",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nmaycall = 1\nx = 1",
            "callers.orders.maycall: no such key; expected one of keys, certificates, may-call, \
             apps, from-addresses, app-ids, read-tokens, max-in-flight, burst, rate; did you mean may-call? \
             (FILE:4)\n\
             callers.orders.x: no such key; expected one of keys, certificates, may-call, apps, \
             from-addresses, app-ids, read-tokens, max-in-flight, burst, rate (FILE:5)",
        ),
        (
            "[callers.orders]\nkeys = [\n\"HASH\",\n\"mgk_s3cret\"]\nmay-call = [\"*\"]",
            "callers.orders.keys: expected the hash of a key, sha256: and 64 hexadecimal \
             digits, as mesibo-grpc key NAME makes it (FILE:4)",
        ),
        (
            "[callers.orders]\nkeys = [{ hash = \"HASH\", s3cret = 1 }]\nmay-call = [\"*\"]",
            "callers.orders.keys: expected the hash of a key, or a table such as { hash = \
             \"sha256:...\", not-after = \"2030-12-31T00:00:00Z\" } (FILE:2)",
        ),
        (
            "[callers.orders]\nkeys = [{ not-after = 2027-12-31T00:00:00Z }]\nmay-call = [\"*\"]",
            "callers.orders.keys: expected the hash of a key, or a table such as { hash = \
             \"sha256:...\", not-after = \"2030-12-31T00:00:00Z\" } (FILE:2)",
        ),
        (
            "[callers.orders]\nkeys = [{ hash = \"HASH\", not-after = \"s3cret\" }]\n\
             may-call = [\"*\"]",
            "callers.orders.keys: expected not-after as a time in UTC, as RFC 3339 has it, \
             such as 2030-12-31T00:00:00Z (FILE:2)",
        ),
        (
            "[callers.orders]\nkeys = [\"HASH\", { hash = \"HASH\" }]\nmay-call = [\"*\"]",
            "callers: expected every key once",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nmax-in-flight = 0",
            "callers.orders.max-in-flight: expected a number from 1 to 1000000 (FILE:4: \"0\")",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nread-tokens = 1",
            "callers.orders.read-tokens: expected true or false (FILE:4: \"1\")",
        ),
        (
            "[callers.orders]\nkeys = \"HASH\"\nmay-call = [\"*\"]",
            "callers.orders.keys: expected a list of texts, such as [\"one\", \"another\"] \
             (FILE:2)",
        ),
        (
            "[callers.orders]\nmay-call = [\"*\"]",
            "callers.orders: expected keys or certificates, to know it by (FILE:1)",
        ),
        (
            "[callers.orders]\nKEYS",
            "callers.orders: expected may-call, such as [\"mesibo.v1.MessageService/*\"] (FILE:1)",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"mesibo.v1.Nothing/*\"]",
            "callers.orders.may-call: expected RPCs, such as \
             mesibo.v1.MessageService/SendMessage, mesibo.v1.UserService/* or * (FILE:3: \
             \"mesibo.v1.Nothing/*\")",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\napps = [\"nothing\"]",
            "callers.orders.apps: expected some of the apps: default (FILE:4: \"nothing\")",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nfrom-addresses = []",
            "callers.orders.from-addresses: expected a list of texts, such as [\"one\", \
             \"another\"] (FILE:4)",
        ),
        (
            "[callers.orders]\ncertificates = [\"*.example\"]\nmay-call = [\"*\"]",
            "callers.orders.certificates: expected a DNS name or a URI of a client \
             certificate, such as orders.example.com or spiffe://example.com/orders (FILE:2: \
             \"*.example\")",
        ),
        (
            "[callers.orders]\ncertificates = [\"orders.example\"]\nmay-call = [\"*\"]",
            "callers.orders: expected tls-client-ca-file, without which no client shows a \
             certificate (FILE:1)",
        ),
        (
            "[callers.one]\nKEYS\nmay-call = [\"*\"]\n[callers.two]\nKEYS\nmay-call = [\"*\"]",
            "callers: expected every key once",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nrate = 0",
            "callers.orders.rate: expected calls a second, from 0.001 to 1000000 (FILE:4: \"0\")",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nburst = 1",
            "callers.orders: expected a rate with the burst (FILE:1)",
        ),
        (
            "[callers.anonymous]\nKEYS\nmay-call = [\"*\"]",
            "callers.anonymous: expected another name: every client has this one without \
             callers (FILE:1)",
        ),
        (
            "[callers.Orders]\nKEYS\nmay-call = [\"*\"]",
            &format!("callers.Orders: {rule} (FILE:1)"),
        ),
        (
            "[apps.\"\"]\ntoken-file = \"TOKEN\"",
            &format!("apps.: {rule} (FILE:1)"),
        ),
        (
            "[apps.shop]",
            "apps.shop: expected one of token-file and token-env (FILE:1)",
        ),
        (
            "[apps.shop]\ntoken-file = \"TOKEN\"\ntoken-env = \"PATH\"",
            "apps.shop: expected one of token-file and token-env (FILE:1)",
        ),
        (
            "[apps.shop]\ntoken-env = \"S3CRET_THAT_IS_NOT_SET\"",
            "apps.shop.token-env: expected an environment variable that is set (FILE:2)",
        ),
        (
            "[apps.shop]\ntoken-file = \"TOKEN\"\ntoken = \"s3cret\"",
            "apps.shop.token: no such key; expected one of token-file, token-env, upstream-url, \
             upstream-max-in-flight, upstream-max-waiting, upstream-max-wait, burst, rate; did \
             you mean token-env? (FILE:3)",
        ),
        (
            "[apps.shop]\ntoken-file = \"TOKEN\"\nupstream-url = \"http://s3cret.example\"",
            "apps.shop.upstream-url: expected https: plain HTTP is for a loopback address \
             (FILE:3)",
        ),
        (
            "[apps.default]\ntoken-file = \"TOKEN\"",
            "apps.default: expected another name: default is the app of app-token",
        ),
        (
            "default-app = \"nothing\"\n[apps.shop]\ntoken-file = \"TOKEN\"",
            "default-app: expected one of the apps: shop, default (FILE:1: \"nothing\")",
        ),
    ] {
        let error = read_file(content, &[("app-token", "t0k")]).unwrap_err();
        assert_eq!(error, expected, "{content}");
    }
    let two = "[apps.one]\ntoken-file = \"TOKEN\"\n[apps.two]\ntoken-file = \"TOKEN\"";
    let error = read_file(two, &[]).unwrap_err();
    assert_eq!(error, "default-app: expected one of the apps: one, two");
}
