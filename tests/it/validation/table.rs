//! The table of rules for clients, `docs/rules.json`, beside what a server does: both sides
//! of each rule are sent.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf as _, BufMut as _, Bytes};
use mesibo_grpc::{call::Policy, proto::FILE_DESCRIPTOR_SET, status::Rule};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Map, Value, json};
use tonic::{
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::*;

const RULES: &str = include_str!("../../../docs/rules.json");

type Fields = Map<String, Value>;

/// Messages that are bytes already.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A request that breaks no rule.
fn valid(rpc: &str) -> Value {
    let (_, method) = rpc.split_once('/').unwrap();
    match method {
        "CreateUser" => json!({"address": "a", "app_id": "b"}),
        "EditUser" => json!({"uid": 1, "flags": 1}),
        "DeleteUser" | "DeleteUserToken" => json!({"uid": 1}),
        "RegenerateUserToken" => json!({"uid": 1, "app_id": "b"}),
        "ListUsers" | "CreateGroup" | "SearchUsers" | "SearchGroups" => json!({}),
        "LookupUser" => json!({"address": "a"}),
        "EditGroup" => json!({"gid": 1, "name": "n"}),
        "DeleteGroup" | "ListGroupMembers" | "LookupGroup" | "SearchGroupMembers" => {
            json!({"gid": 1})
        }
        "EditGroupMembers" => json!({"gid": 1, "members": ["a"], "action": "ACTION_ADD"}),
        "SendMessage" => json!({"from_address": "a", "to_address": "b", "message": "m"}),
        other => panic!("{other} has rules, and no request here"),
    }
}

/// The values of a field that break a rule, and those at its border that do not. No value is
/// a field that is not set.
fn sides(rule: &Value) -> (Vec<Option<Value>>, Vec<Option<Value>>) {
    let number = |name: &str| {
        rule[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {rule}"))
    };
    let times = |name: &str| usize::try_from(number(name)).unwrap();
    let seconds = |seconds: u64| json!(format!("{seconds}s"));
    let list = |entries: Vec<String>| match rule["separator"].as_str() {
        Some(separator) => json!(entries.join(separator)),
        None => json!(entries),
    };
    let names = |names: &[&str]| list(names.iter().map(|&it| it.into()).collect());
    let field = rule["field"].as_str().unwrap();
    let (broken, kept) = match rule["reason"].as_str().unwrap() {
        "REQUIRED" => match field {
            "recipient" | "key" => return (vec![None], Vec::new()),
            "members" => (vec![json!([])], vec![json!(["a"])]),
            "action" => (vec![json!(0)], vec![json!(1), json!(2)]),
            _ => (vec![json!("")], vec![json!("x")]),
        },
        "TOO_LONG" => {
            let text = |bytes: usize| json!("x".repeat(bytes));
            let max = times("max_bytes");
            (vec![text(max + 1)], vec![text(max)])
        }
        "CONTROL_CHARACTER" => (
            vec![json!("x\u{0}x"), json!("x\u{85}x")],
            vec![json!("x x")],
        ),
        "WHITE_SPACE" => (vec![json!(" x"), json!("x\u{2003}")], vec![json!("x y")]),
        "COMMA" => (vec![json!("x,y")], vec![json!("x;y")]),
        "ZERO" => (vec![json!(0)], vec![json!(1), json!(u64::MAX.to_string())]),
        "OUT_OF_RANGE" if rule["max"].is_u64() => {
            let (min, max) = (number("min"), number("max"));
            let below = min.checked_sub(1).map(|below| json!(below));
            let broken = below.into_iter().chain([json!(max + 1)]);
            (broken.collect(), vec![json!(min), json!(max)])
        }
        "OUT_OF_RANGE" => {
            let (min, max) = (number("min_seconds"), number("max_seconds"));
            (
                vec![json!("0s"), json!("-60s")],
                vec![seconds(min), seconds(max)],
            )
        }
        "NOT_WHOLE" => {
            let unit = number("unit_seconds");
            let broken = vec![
                json!(format!("{unit}.5s")),
                json!(format!("{unit}.000000001s")),
            ];
            (broken, vec![seconds(unit), seconds(2 * unit)])
        }
        "TOO_MANY" => {
            let max = times("max_entries");
            (vec![list(addresses(max + 1))], vec![list(addresses(max))])
        }
        "DUPLICATE" => (vec![names(&["x", "y", "x"])], vec![names(&["x", "y"])]),
        "NOT_UUID" => (
            vec![
                json!("x"),
                json!("00000000-0000-0000-0000-000000000000"),
                json!("6f1ed002ab5b4a1fa1e63c1f4b2d8c0e"),
            ],
            vec![json!("6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e")],
        ),
        "UNKNOWN_VALUE" => (vec![json!(3), json!(-1)], vec![json!(1), json!(2)]),
        other => panic!("{other} is no rule of one field"),
    };
    let some = |values: Vec<Value>| values.into_iter().map(Some).collect();
    (some(broken), some(kept))
}

/// The request with a value in a field of the table, whose `[]` is an entry of a list.
fn with(rpc: &str, field: &str, value: Option<Value>) -> Fields {
    let mut request = valid(rpc).as_object().unwrap().clone();
    // What stands in the place of the field.
    match field {
        "recipient" | "gid" => request.remove("to_address"),
        "key" | "uid" => request.remove("address"),
        "address" => request.remove("uid"),
        _ => None,
    };
    if let Some(value) = value {
        match field.strip_suffix("[]") {
            Some(field) => request.insert(field.into(), json!([value])),
            None => request.insert(field.into(), value),
        };
    }
    request
}

/// The requests that break a rule, and those that do not.
fn requests(rpc: &str, rule: &Value) -> (Vec<Fields>, Vec<Fields>) {
    let field = rule["field"].as_str().unwrap();
    let object = |value: Value| value.as_object().unwrap().clone();
    match rule["reason"].as_str().unwrap() {
        "AT_LEAST_ONE" => {
            let mut none = object(valid(rpc));
            let mut kept = Vec::new();
            for field in rule["fields"].as_array().unwrap() {
                none.remove(field.as_str().unwrap());
            }
            for field in rule["fields"].as_array().unwrap() {
                let field = field.as_str().unwrap();
                let value = match field {
                    "name" => json!(""),
                    "active" => json!(false),
                    "flags" => json!(0),
                    _ => json!("60s"),
                };
                let mut one = none.clone();
                one.insert(field.into(), value);
                kept.push(one);
            }
            (vec![none], kept)
        }
        "CONFLICT" if rule["opaque"] == true => {
            let with = |token: &str| with(rpc, field, Some(json!(token)));
            (vec![with("00"), with("page 2")], vec![with("")])
        }
        "CONFLICT" if rule["without"].is_array() => {
            let alone = with(rpc, field, Some(json!("a")));
            let mut both = alone.clone();
            for other in rule["without"].as_array().unwrap() {
                both.insert(other.as_str().unwrap().into(), json!(1));
            }
            (vec![both], vec![alone])
        }
        "CONFLICT" => {
            let with = |action: &Value| {
                let mut request = with(rpc, field, Some(json!({"can_send": true})));
                request.insert("action".into(), action.clone());
                request
            };
            let other = json!("ACTION_REMOVE");
            (vec![with(&other)], vec![with(&rule["only_with"]["action"])])
        }
        _ => {
            let (broken, kept) = sides(rule);
            let made = |values: Vec<_>| values.into_iter().map(|it| with(rpc, field, it)).collect();
            (made(broken), made(kept))
        }
    }
}

/// The rules that a request breaks, each a field and a reason.
async fn broken_rules(facade: &Facade, rpc: &str, request: Fields) -> BTreeSet<(String, String)> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let (service, method) = rpc.split_once('/').unwrap();
    let service = pool.get_service_by_name(service).unwrap();
    let method = service.methods().find(|it| it.name() == method).unwrap();
    let message = DynamicMessage::deserialize(method.input(), Value::Object(request)).unwrap();
    let mut client = Grpc::new(facade.channel.clone());
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from(message.encode_to_vec()));
    let path = format!("/{rpc}").parse().unwrap();
    let Err(status) = client.unary(request, path, Raw).await else {
        return BTreeSet::new();
    };
    let details = status.get_error_details();
    // A request without a mistake may fail for another reason: there is no directory.
    let violations = details.bad_request().map(|it| &it.field_violations[..]);
    let told = violations
        .unwrap_or_default()
        .iter()
        .map(|it| (it.field.clone(), it.reason.clone()));
    told.collect()
}

#[tokio::test]
async fn both_sides_of_each_rule_in_the_table_are_as_it_says() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let facade = Facade::new(&backend.url());
    let table: BTreeMap<String, Vec<Value>> = serde_json::from_str(RULES).unwrap();
    let mut reasons = BTreeSet::new();
    for (rpc, rules) in &table {
        for rule in rules {
            let (field, reason) = (&rule["field"], rule["reason"].as_str().unwrap());
            let field = field.as_str().unwrap();
            let (broken, kept) = requests(rpc, rule);
            for request in broken {
                let told = broken_rules(&facade, rpc, request.clone()).await;
                let is_told = told.iter().any(|(told, why)| {
                    let list = told.split('[').next().unwrap();
                    why == reason && (told == field || list == field.trim_end_matches("[]"))
                });
                let request = Value::Object(request).to_string();
                assert!(is_told, "{rpc} {rule}: {told:?} for {request:.200}");
            }
            for request in kept {
                let told = broken_rules(&facade, rpc, request).await;
                assert!(told.is_empty(), "{rpc} {rule}: {told:?}");
            }
            reasons.insert(reason);
        }
    }
    // Whether an id was used before is not in the request.
    let all = Rule::ALL.iter().map(|rule| rule.as_str());
    let expected: BTreeSet<_> = all.filter(|it| *it != Rule::Reused.as_str()).collect();
    assert_eq!(reasons, expected);
    // A stream has the rules of its items.
    let unary = Policy::of_contract().filter(|policy| !policy.is_streaming);
    let names: BTreeSet<_> = unary.map(Policy::name).collect();
    assert!(table.keys().map(String::as_str).eq(names));
}
