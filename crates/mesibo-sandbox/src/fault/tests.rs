use super::*;

/// Rules in force, and a clock that tests move.
struct Bench {
    faults: Faults,
    now: Instant,
}

impl Bench {
    fn new(rules: Value) -> Self {
        let mut faults = Faults::default();
        let rules = serde_json::from_value(rules).expect("rules");
        faults.replace(None, rules).expect("good rules");
        Self {
            faults,
            now: Instant::now(),
        }
    }

    fn hits(&mut self, op: &str, world: &str, addresses: &[&str]) -> Option<String> {
        let addresses: Vec<_> = addresses.iter().map(|text| (*text).to_owned()).collect();
        let facts = Facts {
            op,
            world: Some(world),
            addresses: &addresses,
        };
        let plan = self.faults.plan(&facts, self.now);
        plan.map(|plan| plan.hit.effect)
    }

    /// Which of so many requests are hit.
    fn hit(&mut self, count: usize) -> Vec<bool> {
        (0..count)
            .map(|_| self.hits("message", "default", &[]).is_some())
            .collect()
    }
}

#[test]
fn a_rule_hits_the_operation_the_address_and_the_world_that_it_names() {
    let rule = json!([{ "op": "user*", "address": "ali*", "world": "shop", "error": "X" }]);
    let mut bench = Bench::new(rule);
    for (op, world, address, hit) in [
        ("useradd", "shop", "alice", true),
        ("userdel", "shop", "ali", true),
        ("message", "shop", "alice", false),
        ("useradd", "default", "alice", false),
        ("useradd", "shop", "bob", false),
    ] {
        let found = bench.hits(op, world, &["x", address]).is_some();
        assert_eq!(found, hit, "{op} {world} {address}");
    }
}

#[test]
fn every_nth_request_is_hit_and_no_more_than_so_many_times() {
    let mut bench = Bench::new(json!([{ "every": 3, "times": 2, "error": "X" }]));
    let (yes, no) = (true, false);
    assert_eq!(bench.hit(9), [no, no, yes, no, no, yes, no, no, no]);
    let shown = bench.faults.list(None);
    assert_eq!(
        (&shown[0]["matched"], &shown[0]["hits"]),
        (&json!(9), &json!(2))
    );
}

#[test]
fn a_probability_hits_the_same_requests_for_the_same_seed() {
    let hit = |seed: u64| {
        let rule = json!([{ "probability": 0.3, "seed": seed, "error": "X" }]);
        Bench::new(rule).hit(1000)
    };
    assert_eq!(hit(7), hit(7));
    assert_ne!(hit(7), hit(8));
    let hits = hit(7).into_iter().filter(|hit| *hit).count();
    assert!((200..400).contains(&hits), "{hits}");
}

#[test]
fn a_rate_hits_what_is_above_it_until_there_is_room_again() {
    let rule = json!([{ "rate_limit": { "requests": 2, "per": "10s" } }]);
    let mut bench = Bench::new(rule);
    assert_eq!(bench.hit(2), [false, false]);
    let effect = bench.hits("message", "default", &[]).expect("too many");
    assert_eq!(effect, "HTTP status 429 with Retry-After: 5");
    bench.now += Duration::from_secs(5);
    assert_eq!(bench.hit(2), [false, true]);
}

#[test]
fn the_first_rule_that_hits_decides_and_magic_addresses_come_last() {
    let mut bench = Bench::new(json!([
        { "op": "message", "times": 1, "error": "FIRST" },
        { "op": "message", "times": 1, "error": "SECOND" },
    ]));
    let mut next = || bench.hits("message", "default", &["fault-error-MAGIC"]);
    assert_eq!(next().as_deref(), Some("error FIRST"));
    assert_eq!(next().as_deref(), Some("error SECOND"));
    assert_eq!(next().as_deref(), Some("error MAGIC"));
}

#[test]
fn a_listing_of_rules_can_be_put_back() {
    let mut bench = Bench::new(json!([
        { "id": "mine", "op": "message", "delay": "1s 500ms", "times": 3 },
        { "status": 503, "retry_after": "2s", "world": "shop" },
    ]));
    bench.hit(2);
    let listed = bench.faults.list(None);
    assert_eq!(listed[0]["id"], "mine");
    assert_eq!(listed[0]["effect"], "delayed by 1s 500ms");
    let again = Bench::new(json!(listed)).faults.list(None);
    assert_eq!(again[1], listed[1]);
}

#[test]
fn the_rules_of_a_world_are_replaced_and_deleted_alone() {
    let mut bench = Bench::new(json!([{ "error": "ALL" }, { "error": "SHOP", "world": "shop" }]));
    let effects = |bench: &Bench| {
        let rules = bench.faults.list(None).into_iter();
        rules.map(|rule| rule["error"].clone()).collect::<Vec<_>>()
    };
    let rules = serde_json::from_value(json!([{ "error": "NEW" }])).unwrap();
    bench.faults.replace(Some("shop"), rules).expect("a rule");
    assert_eq!(effects(&bench), ["ALL", "NEW"]);
    assert_eq!(bench.faults.list(Some("shop"))[0]["world"], "shop");
    bench.faults.clear(Some("shop"));
    assert_eq!(effects(&bench), ["ALL"]);
}

#[test]
fn a_wrong_rule_is_refused_by_its_number_and_changes_nothing() {
    let mut bench = Bench::new(json!([{ "id": "old", "error": "OLD" }]));
    for (rule, wrong) in [
        (json!({}), "it needs an effect"),
        (
            json!({ "error": "X", "status": 500 }),
            "error and status exclude each other",
        ),
        (json!({ "error": "no code" }), "is no error code"),
        (json!({ "status": 200 }), "200 is no status"),
        (json!({ "status": 304 }), "304 is no status"),
        (json!({ "delay": "11m" }), "the delay is longer than 10m"),
        (
            json!({ "probability": 1.5, "error": "X" }),
            "the probability 1.5",
        ),
        (
            json!({ "probability": 0.0, "error": "X" }),
            "the probability 0",
        ),
        (
            json!({ "retry_after": "1s", "error": "X" }),
            "retry_after goes with status",
        ),
        (
            json!({ "status": 503, "location": "/" }),
            "location goes with",
        ),
        (
            json!({ "status": 307, "location": "a\nb" }),
            "no value of a header",
        ),
        (
            json!({ "rate_limit": { "requests": 1, "per": "0s" } }),
            "per of rate_limit",
        ),
        (json!({ "id": "a b", "error": "X" }), "is no id"),
        (
            json!({ "world": "a b", "error": "X" }),
            "is no name of a world",
        ),
    ] {
        let good: Rule = serde_json::from_value(json!({ "error": "GOOD" })).unwrap();
        let rule: Rule = serde_json::from_value(rule).unwrap();
        let error = bench.faults.replace(None, vec![good, rule]).unwrap_err();
        assert!(error.starts_with("rule 2: "), "{error}");
        assert!(error.contains(wrong), "{error}");
        assert_eq!(bench.faults.list(None)[0]["id"], "old");
    }
    let many = vec![Rule::default(); MAX_RULES + 1];
    let error = bench.faults.replace(None, many).unwrap_err();
    assert_eq!(error, "too many rules: at most 100 at a time");
}
