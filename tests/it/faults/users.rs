//! The users that a backend holds.

use std::collections::BTreeMap;

use crate::support::backend::Recorded;

/// Users by address.
#[derive(Debug, Default)]
pub struct Users {
    uids: BTreeMap<String, u64>,
    last: u64,
}

impl Users {
    /// The users.
    pub fn uids(&self) -> BTreeMap<String, u64> {
        self.uids.clone()
    }

    /// The reply to a write, once it is carried out; `None` if there is no such user.
    pub fn reply(&self, request: &Recorded) -> Option<String> {
        if request.get("op") == Some("useradd") {
            let uid = self.uids.get(request.get("addr").unwrap());
            let uid = uid.copied().unwrap_or(self.last + 1);
            let user = format!(r#"{{"uid": {uid}, "token": "t0ken"}}"#);
            return Some(format!(r#"{{"result": true, "user": {user}}}"#));
        }
        let uid = uid(request);
        let is_there = self.uids.values().any(|known| *known == uid);
        is_there.then(|| r#"{"result": true}"#.to_owned())
    }

    /// Carries out a write.
    pub fn carry_out(&mut self, request: &Recorded) {
        match request.get("op").unwrap() {
            "useradd" => {
                let (next, last) = (self.last + 1, &mut self.last);
                let address = request.get("addr").unwrap().to_owned();
                *last = (*last).max(*self.uids.entry(address).or_insert(next));
            }
            "userdel" => {
                let uid = uid(request);
                self.uids.retain(|_, known| *known != uid);
            }
            _ => {}
        }
    }

    /// The list of the users of an address.
    pub fn list(&self, request: &Recorded) -> String {
        let pattern = request.get("addr").unwrap_or("*");
        let users = self.uids.iter();
        let users = users.filter(|(address, _)| pattern == "*" || pattern == *address);
        let users: Vec<_> = users
            .map(|(address, uid)| format!(r#"{{"uid": {uid}, "address": "{address}"}}"#))
            .collect();
        format!(r#"{{"result": true, "users": [{}]}}"#, users.join(","))
    }
}

fn uid(request: &Recorded) -> u64 {
    request.get("uid").unwrap().parse().unwrap()
}
