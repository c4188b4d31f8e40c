//! The tables of apps and callers.

use super::*;
use crate::access::key::KeyHash;

/// The hash of a key, as text.
fn hash(key: &str) -> String {
    KeyHash::of(key.as_bytes()).to_string()
}

/// A token file, and a settings file in which `TOKEN` stands for its path, `HASH` for a
/// hash, and `KEYS` for a line with it.
fn read_file(content: &str, settings: &[(&Setting, &str)]) -> Result<Config, String> {
    let token = file("t0k");
    let content = content
        .replace("TOKEN", token.path().to_str().unwrap())
        .replace("KEYS", &format!("keys = [\"{}\"]", hash("one")))
        .replace("HASH", &hash("one"));
    let holds = file(&content);
    let mut values = vec![(&CONFIG, holds.path().to_str().unwrap())];
    values.extend(settings);
    read(&values)
}

#[test]
fn apps_have_a_token_each_and_what_they_leave_out_from_the_others() {
    let config = read_file(
        "upstream-max-in-flight = 9\n\
         [apps.shop]\ntoken-file = \"TOKEN\"\nupstream-url = \"https://shop.example/\"\n\
         upstream-max-wait = \"1s\"\nrate = 2.5\n\
         [apps.support]\ntoken-file = \"TOKEN\"\nupstream-max-waiting = 3\n",
        &[(&APP_TOKEN, "t0k")],
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
        &[(&APP_TOKEN, "t0k")],
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
fn each_mistake_in_a_table_is_told_without_its_value() {
    let rule = "expected 1 to 63 of the characters a to z, 0 to 9, -, _ and .";
    for (content, expected) in [
        (
            "apps = 1",
            "config: the file has apps as something other than tables",
        ),
        ("[callers]\norders = 1", "callers.orders: expected a table"),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\ns3cret = 1",
            "callers.orders: s3cret is none of keys, certificates, may-call, apps, \
             from-addresses, app-ids, rate, burst",
        ),
        (
            "[callers.orders]\nkeys = [\"mgk_s3cret\"]\nmay-call = [\"*\"]",
            "callers.orders.keys: expected the hash of a key, sha256: and 64 hexadecimal \
             digits, as mesibo-grpc key NAME makes it",
        ),
        (
            "[callers.orders]\nkeys = \"HASH\"\nmay-call = [\"*\"]",
            "callers.orders.keys: expected a list of texts, such as [\"one\", \"another\"]",
        ),
        (
            "[callers.orders]\nmay-call = [\"*\"]",
            "callers.orders: expected keys or certificates, to know it by",
        ),
        (
            "[callers.orders]\nKEYS",
            "callers.orders: expected may-call, such as [\"mesibo.v1.MessageService/*\"]",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"mesibo.v1.S3cret/*\"]",
            "callers.orders.may-call: expected RPCs, such as \
             mesibo.v1.MessageService/SendMessage, mesibo.v1.UserService/* or *",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\napps = [\"s3cret\"]",
            "callers.orders.apps: expected some of the apps: default",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nfrom-addresses = []",
            "callers.orders.from-addresses: expected a list of texts, such as [\"one\", \
             \"another\"]",
        ),
        (
            "[callers.orders]\ncertificates = [\"*.s3cret\"]\nmay-call = [\"*\"]",
            "callers.orders.certificates: expected a DNS name or a URI of a client \
             certificate, such as orders.example.com or spiffe://example.com/orders",
        ),
        (
            "[callers.orders]\ncertificates = [\"orders.example\"]\nmay-call = [\"*\"]",
            "callers.orders: expected tls-client-ca-file, without which no client shows a \
             certificate",
        ),
        (
            "[callers.one]\nKEYS\nmay-call = [\"*\"]\n[callers.two]\nKEYS\nmay-call = [\"*\"]",
            "callers: expected every key once",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nrate = 0",
            "callers.orders.rate: expected calls a second, from 0.001 to 1000000",
        ),
        (
            "[callers.orders]\nKEYS\nmay-call = [\"*\"]\nburst = 1",
            "callers.orders: expected a rate with the burst",
        ),
        (
            "[callers.anonymous]\nKEYS\nmay-call = [\"*\"]",
            "callers.anonymous: expected another name: this is what whoever calls is called",
        ),
        (
            "[callers.Orders]\nKEYS\nmay-call = [\"*\"]",
            &format!("callers.Orders: {rule}"),
        ),
        (
            "[apps.\"\"]\ntoken-file = \"TOKEN\"",
            &format!("apps.: {rule}"),
        ),
        (
            "[apps.shop]",
            "apps.shop: expected one of token-file and token-env",
        ),
        (
            "[apps.shop]\ntoken-file = \"TOKEN\"\ntoken-env = \"PATH\"",
            "apps.shop: expected one of token-file and token-env",
        ),
        (
            "[apps.shop]\ntoken-env = \"S3CRET_THAT_IS_NOT_SET\"",
            "apps.shop.token-env: expected an environment variable that is set",
        ),
        (
            "[apps.shop]\ntoken-file = \"TOKEN\"\ntoken = \"s3cret\"",
            "apps.shop: token is none of token-file, token-env, upstream-url, \
             upstream-max-in-flight, upstream-max-waiting, upstream-max-wait, rate, burst",
        ),
        (
            "[apps.shop]\ntoken-file = \"TOKEN\"\nupstream-url = \"http://s3cret.example\"",
            "apps.shop.upstream-url: expected https: plain HTTP is for a loopback address",
        ),
        (
            "[apps.default]\ntoken-file = \"TOKEN\"",
            "apps: expected every name once, and default is that of app-token",
        ),
        (
            "default-app = \"s3cret\"\n[apps.shop]\ntoken-file = \"TOKEN\"",
            "default-app: expected one of the apps: shop, default",
        ),
    ] {
        let error = read_file(content, &[(&APP_TOKEN, "t0k")]).unwrap_err();
        assert_eq!(error, expected, "{content}");
    }
    let two = "[apps.one]\ntoken-file = \"TOKEN\"\n[apps.two]\ntoken-file = \"TOKEN\"";
    let error = read_file(two, &[]).unwrap_err();
    assert_eq!(error, "default-app: expected one of the apps: one, two");
}
