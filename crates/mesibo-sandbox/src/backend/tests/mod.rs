//! The backend without a port and without waiting: [`Bench`] brings the clock.

mod anything;
mod envelope;
mod expiry;
mod groups;
mod messages;
mod users;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::OPERATIONS;
use crate::clock::Moment;
use crate::settings::{DEFAULT_WORLD, Limits, Tokens};
use crate::wire::Params;
use crate::worlds::Worlds;

const APP_TOKEN: &str = "app-token";

/// When the clock of a [`Bench`] starts, in seconds since 1970.
const START: u64 = 1_800_000_000;
const YEAR: u64 = 365 * 24 * 60 * 60;

/// A backend, and a clock that tests move.
struct Bench {
    worlds: Worlds,
    now: SystemTime,
}

impl Bench {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        let tokens = [(APP_TOKEN.to_owned(), DEFAULT_WORLD.to_owned())];
        Self {
            worlds: Worlds::new(Tokens::Only(tokens.into()), limits),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(START),
        }
    }

    /// A bench that knows users with these addresses.
    fn with_users(addresses: &[&str]) -> Self {
        let mut bench = Self::new();
        for address in addresses {
            bench.add_user(address);
        }
        bench
    }

    /// The reply to a request that is sent as it is, with no token added.
    fn raw(&mut self, form: &str) -> Value {
        let params = Params::new(form_urlencoded::parse(form.as_bytes()).into_owned());
        let world = self.worlds.enter(&params);
        let world = world.as_deref().map_err(|refusal| *refusal);
        (&self.worlds.answer(world, &params, self.now.into())).into()
    }

    /// The reply to a request that must succeed.
    fn ok(&mut self, form: &str) -> Value {
        let reply = self.raw(&format!("token={APP_TOKEN}&{form}"));
        assert_eq!(reply["result"], true, "{form}: {reply}");
        reply
    }

    /// The error code of a request that must fail, and change nothing.
    fn error(&mut self, form: &str) -> String {
        let before = self.state();
        let reply = self.raw(&format!("token={APP_TOKEN}&{form}"));
        assert_eq!(reply["result"], false, "{form}: {reply}");
        assert_eq!(self.state(), before, "{form} changed something");
        reply["error"].as_str().expect("a code").to_owned()
    }

    fn state(&mut self) -> Value {
        let world = self
            .worlds
            .get_mut(DEFAULT_WORLD)
            .expect("it is always there");
        world.state(self.now.into())
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn add_user(&mut self, address: &str) -> String {
        let reply = self.ok(&format!("op=useradd&addr={address}&appid=app"));
        text(&reply["user"]["uid"])
    }

    /// Adds a group, with further parameters.
    fn add_group(&mut self, options: &str) -> u64 {
        let reply = self.ok(&format!("op=groupadd&{options}"));
        reply["group"]["gid"].as_u64().expect("a number")
    }

    /// The values of one field in the rows of a list.
    fn column(&mut self, form: &str, list: &str, field: &str) -> Vec<String> {
        let reply = self.ok(form);
        let rows = reply[list].as_array().expect("a list");
        rows.iter().map(|row| text(&row[field])).collect()
    }

    fn members(&mut self, gid: u64) -> Vec<String> {
        let form = format!("op=groupgetmembers&gid={gid}");
        self.column(&form, "members", "address")
    }
}

/// So many seconds after 1970, as the state shows them.
fn time(seconds: u64) -> Value {
    json!(Moment::from(
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    ))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The state of a backend that holds nothing.
fn nothing() -> Value {
    json!({ "users": [], "groups": [], "messages": [] })
}
