//! Requests at random: whatever is asked for, in whatever order, is answered.

use super::*;

const ROUNDS: usize = 10_000;

const KEYS: [&str; 22] = [
    "addr",
    "appid",
    "expiry",
    "active",
    "groups",
    "name",
    "uid",
    "flag",
    "delete",
    "count",
    "gid",
    "expiryext",
    "m",
    "cs",
    "cr",
    "canpub",
    "cansub",
    "canlist",
    "from",
    "to",
    "type",
    "msg",
];

const VALUES: [&str; 24] = [
    "",
    "0",
    "1",
    "1",
    "2",
    "-1",
    "60",
    "1000000000",
    "18446744073709551615",
    "18446744073709551616",
    "5302",
    "5303",
    "102529",
    "102530",
    "alice",
    "bob",
    "alice,bob",
    "alice,,bob",
    "*",
    "a*b**",
    "%FF%FE",
    "%",
    "%00",
    "a=b",
];

/// Knuth's linear congruential generator: it needs no dependency, and the same
/// seed gives the same requests.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).expect("31 bits") % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn pair(&mut self, keys: &[&str]) -> String {
        format!("&{}={}", self.pick(keys), self.pick(&VALUES))
    }

    fn form(&mut self) -> String {
        let mut form = format!("token={APP_TOKEN}&op={}", self.pick(&OPERATIONS));
        // Enough of them that many requests have all that they need.
        for _ in 0..self.below(2 * KEYS.len()) {
            form += &self.pair(&KEYS);
        }
        if self.below(20) == 0 {
            form += &self.pair(&["op", "token"]);
        }
        form
    }
}

/// Prints the seed when the test fails, for the next run to use.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

#[test]
fn every_request_is_answered_with_a_whole_envelope() {
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos());
    let seed = Seed(u64::from(nanos));
    let mut random = Random(seed.0);
    let mut bench = Bench::new();
    let mut done = 0;
    for round in 0..ROUNDS {
        let form = random.form();
        let reply = bench.raw(&form);
        assert!(reply["op"].is_string(), "{form}: {reply}");
        assert_eq!(
            reply["result"] == false,
            reply["error"].is_string(),
            "{form}"
        );
        done += usize::from(reply["result"] == true);
        if round % 100 == 0 {
            let state = bench.state();
            for held in ["users", "groups", "messages"] {
                assert!(state[held].is_array(), "{form}: {state}");
            }
        }
        bench.pass(random.next() % 100);
    }
    assert!(done > ROUNDS / 100, "hardly anything succeeded: {done}");
}
