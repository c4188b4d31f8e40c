//! `compose.yaml`.

use std::collections::BTreeSet;

use mesibo_grpc::{cli::Task, store::Location};
use serde_json::Value;

use super::{
    document, duration, image, list,
    start::{Start, brought},
    text, words,
};

/// The services that are there for callers elsewhere.
const SERVE: [&str; 2] = ["serve", "serve-own-store"];

/// The ports of a container that a service publishes.
fn published(service: &Value) -> BTreeSet<u16> {
    let ports = words(&service["ports"]);
    ports
        .iter()
        .map(|port| port.rsplit(':').next().unwrap().parse().unwrap())
        .collect()
}

/// What `serve` finds: each config and secret at its place, with the file that it is
/// from.
fn serve(compose: &Value) -> Start {
    service(compose, "serve")
}

fn service(compose: &Value, name: &str) -> Start {
    let service = &compose["services"][name];
    let mut start = Start::of_image(words(&service["command"]));
    let variables = service["environment"].as_object().unwrap();
    for (name, value) in variables {
        start
            .env
            .insert(name.clone(), value.as_str().unwrap().into());
    }
    let brought = brought();
    let content = |kind: &str, name: &str| {
        let file = text(&compose[kind][name], "/file");
        brought[file.rsplit('/').next().unwrap()].clone()
    };
    for config in list(service, "/configs") {
        let content = content("configs", text(config, "/source"));
        start.files.insert(text(config, "/target").into(), content);
    }
    for secret in words(&service["secrets"]) {
        let content = content("secrets", &secret);
        start
            .files
            .insert(format!("/run/secrets/{secret}"), content);
    }
    start
}

#[test]
fn serve_starts_with_what_it_is_given() {
    let compose = document("compose.yaml");
    let config = serve(&compose).config();
    assert!(config.server.tls.is_some());
    assert_eq!(config.callers.len(), 1);
    assert_eq!(config.metrics_listen.unwrap().port(), 9464);

    let service = &compose["services"]["serve"];
    assert_eq!(published(service), [config.server.listen.port()].into());
    let stops_by_itself = config.server.lame_duck + config.server.shutdown_grace;
    assert!(duration(text(service, "/stop_grace_period")) > stops_by_itself);
}

#[test]
fn serve_keeps_its_ids_in_a_postgres_that_nobody_else_reaches() {
    let compose = document("compose.yaml");
    let services = &compose["services"];
    let (serve, config) = (&services["serve"], serve(&compose).config());
    let Location::Postgres(url) = config.store.location else {
        panic!("another store: {}", config.store.location);
    };
    let host = url.host_str().unwrap();
    let postgres = &services[host];
    let health = text(serve, &format!("/depends_on/{host}/condition"));
    assert_eq!(health, "service_healthy");
    assert_eq!(postgres["profiles"], serve["profiles"]);
    let environment = &postgres["environment"];
    assert_eq!(environment["POSTGRES_USER"], url.username());
    let database = url.path().trim_start_matches('/');
    assert_eq!(environment["POSTGRES_DB"], database);
    let password = &serve["environment"]["MESIBO_GRPC_STORE_PASSWORD_FILE"];
    assert_eq!(environment["POSTGRES_PASSWORD_FILE"], *password);
    let secret = password.as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(words(&postgres["secrets"]), [secret]);

    // It speaks in plaintext, on a network of the two.
    assert!(config.store.allow_plaintext);
    assert_eq!(postgres.get("ports"), None);
    let networks = words(&postgres["networks"]);
    assert_eq!(networks, ["store"]);
    assert_eq!(compose["networks"]["store"]["internal"], true);
    for (name, service) in services.as_object().unwrap() {
        let is_on_it = service
            .get("networks")
            .is_some_and(|on| words(on).contains(&networks[0]));
        assert_eq!(is_on_it, [host, "serve"].contains(&name.as_str()), "{name}");
    }
}

#[test]
fn serve_takes_a_postgres_of_its_operator_by_tls_alone() {
    let compose = document("compose.yaml");
    let name = "serve-own-store";
    let own = &compose["services"][name];
    let mut start = service(&compose, name);
    let variable = start.env.get_mut("MESIBO_GRPC_STORE").unwrap();
    assert_eq!(*variable, "${MESIBO_GRPC_STORE:-}");
    *variable = "postgres://mesibo@db.example.com/mesibo".into();
    let config = start.config();
    assert!(config.store.location.is_remote() && !config.store.allow_plaintext);
    assert!(config.store.password.is_some());

    assert_eq!(words(&own["profiles"]), [name]);
    for field in ["networks", "depends_on"] {
        assert_eq!(own.get(field), None);
    }
}

#[test]
fn the_sandbox_publishes_what_it_listens_on_to_this_machine_alone() {
    let compose = document("compose.yaml");
    let service = &compose["services"]["sandbox"];
    let Ok(Task::Sandbox(config)) = Start::of_image(words(&service["command"])).task() else {
        panic!("it is another command");
    };
    let listens = [config.facade.server.listen, config.emulator.listen];
    assert_eq!(
        published(service),
        listens.map(|address| address.port()).into()
    );
    for (name, service) in compose["services"].as_object().unwrap() {
        let ports = service.get("ports").map_or(Vec::new(), words);
        for port in ports {
            assert!(
                SERVE.contains(&name.as_str()) || port.starts_with("127.0.0.1:"),
                "{name}: {port}"
            );
        }
    }
}

#[test]
fn prometheus_scrapes_both_by_their_names() {
    let compose = document("compose.yaml");
    let config = document("prometheus/prometheus.yaml");
    let discovery = &config["scrape_configs"][0]["dns_sd_configs"][0];
    assert_eq!(discovery["port"], image::port("METRICS_LISTEN"));
    for name in words(&discovery["names"]) {
        assert!(compose["services"][&name].is_object(), "{name}");
    }
}
