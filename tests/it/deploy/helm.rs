//! The chart, as Helm renders it.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use mesibo_grpc::store::Location;
use serde_json::{Value, json};

use super::{
    at, document, documents,
    kubernetes::{self, Manifests},
    list, path, read, text,
};
use crate::support::skip;

const CHART: &str = "helm/mesibo-grpc";

/// The objects of a release.
struct Release(Vec<Value>);

impl Release {
    fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        let mut objects = self.0.iter();
        objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    fn of(&self, kind: &str, name: &str) -> &Value {
        let object = self.find(kind, name);
        object.unwrap_or_else(|| panic!("no {kind} {name}"))
    }
}

/// A release named like the chart, with these values, or why Helm refuses them. If there is
/// no Helm, nothing.
fn release(values: &Value) -> Option<Result<Release, String>> {
    let mut python = Command::new("python3");
    let helm = python.args(["-c", "import helm_python"]).output();
    if !helm.is_ok_and(|output| output.status.success()) {
        skip("helm_python, which is in the PyPI package helm-python-sdk");
        return None;
    }
    let mut python = Command::new("python3")
        .arg(path("../tests/it/deploy/helm.py"))
        .arg(path(CHART))
        .args(["mesibo-grpc", "mesibo-grpc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(values.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    let (printed, told) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    Some(if output.status.success() {
        Ok(Release(documents(&printed)))
    } else {
        Err(told)
    })
}

/// What the manifests without Helm have no use for.
const LABELS_OF_HELM: [&str; 4] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
];

fn without_labels_of_helm(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for label in LABELS_OF_HELM {
                fields.remove(label);
            }
            fields.values_mut().for_each(without_labels_of_helm);
        }
        Value::Array(items) => items.iter_mut().for_each(without_labels_of_helm),
        _ => {}
    }
}

#[test]
fn the_chart_makes_what_the_manifests_have() {
    let (Some(manifests), Some(release)) = (Manifests::render(), release(&json!({}))) else {
        return;
    };
    let mut objects = release.unwrap().0;
    objects.iter_mut().for_each(without_labels_of_helm);
    let release = Manifests::by_kind(objects).0;
    let mut expected = manifests.0;
    // A namespace is made before its release is.
    expected.remove("Namespace").unwrap();
    for (kind, manifest) in &mut expected {
        let metadata = manifest["metadata"].as_object_mut().unwrap();
        metadata.remove("namespace").unwrap();
        assert_eq!(release[kind], *manifest, "{kind}");
    }
    assert_eq!(release.len(), expected.len());
}

#[test]
fn the_chart_is_of_the_version_of_the_program() {
    let chart = document("helm/mesibo-grpc/Chart.yaml");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn wrong_values_are_refused_by_their_names() {
    let wrong = [
        (json!({"replica": 2}), "'replica' not allowed"),
        (json!({"replicas": 0}), "'/replicas': minimum"),
        (json!({"store": {"mode": "mysql"}}), "'/store/mode'"),
        (
            json!({"store": {"mode": "memory"}}),
            "which replicas do not share",
        ),
        (
            json!({"store": {"mode": "memory"}, "autoscaling": {"enabled": false}}),
            "which replicas do not share",
        ),
        (
            json!({"autoscaling": {"minReplicas": 5}}),
            "autoscaling.minReplicas is above autoscaling.maxReplicas",
        ),
        (
            json!({"podDisruptionBudget": {"maxUnavailable": 0}}),
            "'/podDisruptionBudget/maxUnavailable'",
        ),
        (
            json!({"topologySpread": {"whenUnsatisfiable": "Never"}}),
            "'/topologySpread/whenUnsatisfiable'",
        ),
        (
            json!({"networkPolicy": {"callerNamespaces": "shop"}}),
            "'/networkPolicy/callerNamespaces'",
        ),
        (
            json!({"networkPolicy": {"dnsNamespaces": []}}),
            "'/networkPolicy/dnsNamespaces'",
        ),
        (
            json!({"networkPolicy": {"storeCidrs": ["192.0.2.7"]}}),
            "'/networkPolicy/storeCidrs/0'",
        ),
        // The chart sets it, from the Secret.
        (
            json!({"env": {"MESIBO_GRPC_STORE": "memory"}}),
            "'MESIBO_GRPC_STORE'",
        ),
        (
            json!({"env": {"MESIBO_APP_TOKEN": "t0k"}}),
            "'MESIBO_APP_TOKEN'",
        ),
        (
            json!({"podLabels": {"app.kubernetes.io/name": "other"}}),
            "'app.kubernetes.io/name'",
        ),
        (json!({"image": {"digest": "latest"}}), "'/image/digest'"),
    ];
    for (values, reason) in wrong {
        let Some(release) = release(&values) else {
            return;
        };
        let refused = release.err().unwrap_or_else(|| panic!("{values} is taken"));
        assert!(refused.contains(reason), "{values}: {refused}");
    }
}

/// Fails if a schema and the values that it is for have different names.
fn compare(at: &str, values: &Value, schema: &Value) {
    let Some(properties) = schema.get("properties") else {
        return;
    };
    let names = |of: &Value| -> BTreeSet<_> {
        let names = of.as_object().unwrap().keys();
        // Helm hands it to every chart.
        names.filter(|name| *name != "global").cloned().collect()
    };
    let (known, there) = (names(properties), names(values));
    assert_eq!(known, there, "{at}");
    assert_eq!(schema["additionalProperties"], false, "{at}");
    for name in there {
        compare(&format!("{at}/{name}"), &values[&name], &properties[&name]);
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let values = document(&format!("{CHART}/values.yaml"));
    let schema = read(&format!("{CHART}/values.schema.json"));
    compare("", &values, &serde_json::from_str(&schema).unwrap());
}

#[test]
fn a_release_without_a_store_is_one_pod_that_starts_without_one() {
    let values = json!({
        "store": {"mode": "memory"}, "replicas": 1, "autoscaling": {"enabled": false},
    });
    let Some(release) = release(&values) else {
        return;
    };
    let release = release.unwrap();
    let deployment = release.of("Deployment", "mesibo-grpc");
    assert_eq!(at(deployment, "/spec/replicas"), 1);
    assert!(
        release
            .find("HorizontalPodAutoscaler", "mesibo-grpc")
            .is_none()
    );
    let container = at(deployment, "/spec/template/spec/containers/0");
    for variable in list(container, "/env") {
        assert!(!text(variable, "/name").contains("STORE"), "{variable}");
    }
    let volumes = list(deployment, "/spec/template/spec/volumes");
    let names = |of: &[Value]| -> Vec<_> { of.iter().map(|one| one["name"].clone()).collect() };
    assert_eq!(names(volumes), names(list(container, "/volumeMounts")));
    assert!(volumes.iter().all(|volume| volume["name"] != "store"));
    let egress = list(release.of("NetworkPolicy", "mesibo-grpc"), "/spec/egress");
    let ports = egress.iter().flat_map(|rule| list(rule, "/ports"));
    let ports: Vec<_> = ports.map(|port| port["port"].clone()).collect();
    assert_eq!(ports, [53, 53, 443]);
}

#[test]
fn the_postgresql_of_the_chart_is_reached_by_the_pods_alone() {
    let values = json!({"store": {"mode": "postgresql"}});
    let (Some(release), Some(made)) = (release(&values), kubernetes::made()) else {
        return;
    };
    let release = release.unwrap();
    let mut ours = release.0.clone();
    ours.retain(|object| object["metadata"]["name"] == "mesibo-grpc");
    let manifests = Manifests::by_kind(ours);
    let config = manifests.start(&made).config();
    let Location::Postgres(url) = config.store.location else {
        panic!("another store: {}", config.store.location);
    };
    assert!(config.store.allow_plaintext);
    let (deployment, container) = (&manifests.0["Deployment"], manifests.container());
    let host = url.host_str().unwrap();
    let server = release.of("StatefulSet", host);
    let pod = at(server, "/spec/template");
    let database = at(pod, "/spec/containers/0");
    let variable = |name: &str| {
        let variables = list(database, "/env");
        let variable = variables.iter().find(|variable| variable["name"] == name);
        text(variable.unwrap(), "/value")
    };
    assert_eq!(variable("POSTGRES_USER"), url.username());
    assert_eq!(variable("POSTGRES_DB"), url.path().trim_start_matches('/'));
    let password = "/etc/mesibo-grpc/store/store-password";
    assert_eq!(variable("POSTGRES_PASSWORD_FILE"), password);
    let secret = |of: &Value, name: &str| {
        let volumes = list(of, "/volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == name);
        text(volume.unwrap(), "/secret/secretName").to_owned()
    };
    let facade = at(deployment, "/spec/template/spec");
    assert_eq!(secret(&pod["spec"], "password"), secret(facade, "store"));

    // It may do no more than the facade.
    let security = &database["securityContext"];
    assert_eq!(*security, container["securityContext"]);
    let security = at(pod, "/spec/securityContext");
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");

    let labels = at(pod, "/metadata/labels");
    let facade = at(deployment, "/spec/template/metadata/labels");
    assert_eq!(at(release.of("Service", host), "/spec/selector"), labels);
    assert_eq!(at(server, "/spec/selector/matchLabels"), labels);
    let policy = at(release.of("NetworkPolicy", host), "/spec");
    assert_eq!(at(policy, "/podSelector/matchLabels"), labels);
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy.get("egress"), None);
    let peers = json!([{"from": [{"podSelector": {"matchLabels": facade}}],
        "ports": [{"port": "postgresql"}]}]);
    assert_eq!(policy["ingress"], peers);
    let egress = list(release.of("NetworkPolicy", "mesibo-grpc"), "/spec/egress");
    let way = json!({"to": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": 5432}]});
    assert!(egress.contains(&way), "{egress:#?}");
}

#[test]
fn the_network_policy_names_the_namespaces_of_the_values() {
    let values = json!({"networkPolicy": {
        "callerNamespaces": ["shop", "support"], "monitoringNamespaces": [],
        "storeNamespaces": ["databases"], "storeCidrs": ["192.0.2.7/32"],
    }});
    let Some(release) = release(&values) else {
        return;
    };
    let release = release.unwrap();
    let spec = at(release.of("NetworkPolicy", "mesibo-grpc"), "/spec");
    let of = |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    let callers = json!([{"from": [of("shop"), of("support")], "ports": [{"port": "grpc"}]}]);
    assert_eq!(spec["ingress"], callers);
    let store = json!({"to": [of("databases"), {"ipBlock": {"cidr": "192.0.2.7/32"}}],
        "ports": [{"port": 5432}]});
    assert!(list(spec, "/egress").contains(&store));
}

#[test]
fn the_pod_monitor_and_the_settings_are_made_if_they_are_wanted() {
    let values = json!({
        "podMonitor": {"enabled": true},
        "settings": {"content": read("settings.toml")},
    });
    let Some(release) = release(&values) else {
        return;
    };
    let release = release.unwrap();
    let mut monitor = release.of("PodMonitor", "mesibo-grpc").clone();
    without_labels_of_helm(&mut monitor);
    let ours = document("kubernetes/prometheus-operator/podmonitor.yaml");
    assert_eq!(monitor, ours);
    let settings = release.of("ConfigMap", "mesibo-grpc-settings");
    assert_eq!(text(settings, "/data/settings.toml"), read("settings.toml"));
    let pod = at(
        release.of("Deployment", "mesibo-grpc"),
        "/spec/template/spec",
    );
    let volume = &list(pod, "/volumes")[0];
    assert_eq!(volume["configMap"]["name"], settings["metadata"]["name"]);
}
