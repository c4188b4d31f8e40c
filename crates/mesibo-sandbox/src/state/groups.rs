//! Groups and their members.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::users::User;
use super::{Backend, DEFAULT_LIFETIME, rows};
use crate::moment::Moment;
use crate::params::Params;
use crate::reply::{Code, Fields, Outcome};

/// Group flag: only members that were given the permission send.
const SELECTED_MEMBERS_SEND: u64 = 1;

/// Group flag: anyone sends, member or not. It outranks the other one.
const ANYONE_SENDS: u64 = 2;

#[derive(Debug, Serialize)]
pub(super) struct Group {
    gid: u64,
    /// Empty if there is none.
    name: String,
    #[serde(rename = "flag")]
    flags: u64,
    active: bool,
    pub(super) expires: Moment,
    /// How long the group lives on after a message at least; zero changes nothing.
    #[serde(rename = "expiryext", serialize_with = "seconds")]
    extension: Duration,
    #[serde(serialize_with = "values")]
    members: BTreeMap<u64, Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    uid: u64,
    /// The user's address, which never changes.
    address: String,
    #[serde(flatten)]
    permissions: Permissions,
}

/// What a member was explicitly allowed or denied, by the names of the wire.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Permissions {
    cs: Option<bool>,
    cr: Option<bool>,
    canpub: Option<bool>,
    cansub: Option<bool>,
    canlist: Option<bool>,
}

/// What `groupadd` and `groupset` have in common.
struct Options<'a> {
    name: Option<&'a str>,
    flags: Option<u64>,
    lifetime: Option<Duration>,
    extension: Option<Duration>,
    active: Option<bool>,
}

/// All groups, by gid.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<u64, Group>);

/// The operations on groups, each named as it is on the wire.
impl Backend {
    pub(super) fn groupadd(&mut self, params: &Params, now: Moment) -> Outcome {
        let options = Options::read(params)?;
        let members = params.optional_list("m")?.unwrap_or_default();

        let expires = self.expiry(now, options.lifetime.unwrap_or(DEFAULT_LIFETIME));
        let members = self.users.find_all(&members)?;
        let gid = self.gids.take();
        let group = self.groups.insert(gid, expires);
        group.set(&options);
        group.add(&members, Permissions::default());
        Ok(Fields::one("group", json!({ "gid": gid })))
    }

    pub(super) fn groupset(&mut self, params: &Params, now: Moment) -> Outcome {
        let gid = params.number("gid")?;
        let options = Options::read(params)?;

        let expires = options.lifetime.map(|lifetime| self.expiry(now, lifetime));
        let group = self.groups.get_mut(gid)?;
        group.set(&options);
        group.expires = expires.unwrap_or(group.expires);
        Ok(Fields::one("group", json!({ "gid": gid })))
    }

    pub(super) fn groupdel(&mut self, params: &Params) -> Outcome {
        let gid = params.number("gid")?;

        self.groups.0.remove(&gid).ok_or(Code::NoGroup)?;
        Ok(Fields::none())
    }

    pub(super) fn groupeditmembers(&mut self, params: &Params) -> Outcome {
        let gid = params.number("gid")?;
        let members = params.list("m")?;
        let delete = params.optional_bool("delete")?.unwrap_or(false);
        let permissions = Permissions::read(params)?;

        let group = self.groups.get_mut(gid)?;
        let members = self.users.find_all(&members)?;
        if delete {
            group.remove(&members);
        } else {
            group.add(&members, permissions);
        }
        Ok(Fields::none())
    }

    pub(super) fn groupgetmembers(&self, params: &Params) -> Outcome {
        let gid = params.number("gid")?;
        let rows = rows(params)?;

        let group = self.groups.get(gid)?;
        let members = group.members.values().take(rows);
        let members = members.map(|member| group.row(member)).collect();
        Ok(Fields::one("members", members))
    }
}

impl<'a> Options<'a> {
    fn read(params: &'a Params) -> Result<Self, Code> {
        Ok(Self {
            name: params.as_sent("name"),
            flags: params.optional_number("flag")?,
            lifetime: params.optional_seconds("expiry")?,
            extension: params.optional_seconds("expiryext")?,
            active: params.optional_bool("active")?,
        })
    }
}

impl Permissions {
    fn read(params: &Params) -> Result<Self, Code> {
        Ok(Self {
            cs: params.optional_bool("cs")?,
            cr: params.optional_bool("cr")?,
            canpub: params.optional_bool("canpub")?,
            cansub: params.optional_bool("cansub")?,
            canlist: params.optional_bool("canlist")?,
        })
    }

    /// The permissions after a change that may not mention all of them.
    fn changed_to(self, change: Self) -> Self {
        Self {
            cs: change.cs.or(self.cs),
            cr: change.cr.or(self.cr),
            canpub: change.canpub.or(self.canpub),
            cansub: change.cansub.or(self.cansub),
            canlist: change.canlist.or(self.canlist),
        }
    }
}

impl Group {
    /// Takes a message from the user, or says why not.
    pub(super) fn take_message(&mut self, sender: &User, now: Moment) -> Result<(), Code> {
        if !self.active {
            return Err(Code::GroupDisabled);
        }
        if self.flags & ANYONE_SENDS == 0 {
            let member = self.members.get(&sender.uid).ok_or(Code::NoMember)?;
            if !self.lets_send(member) {
                return Err(Code::NotAllowed);
            }
        }
        self.expires = self.expires.max(now.after(self.extension));
        Ok(())
    }

    fn set(&mut self, options: &Options<'_>) {
        if let Some(name) = options.name {
            name.clone_into(&mut self.name);
        }
        self.flags = options.flags.unwrap_or(self.flags);
        self.extension = options.extension.unwrap_or(self.extension);
        self.active = options.active.unwrap_or(self.active);
    }

    fn add(&mut self, users: &[&User], permissions: Permissions) {
        for user in users {
            let member = self.members.entry(user.uid).or_insert_with(|| Member {
                uid: user.uid,
                address: user.address.clone(),
                permissions: Permissions::default(),
            });
            member.permissions = member.permissions.changed_to(permissions);
        }
    }

    fn remove(&mut self, users: &[&User]) {
        for user in users {
            self.members.remove(&user.uid);
        }
    }

    fn lets_send(&self, member: &Member) -> bool {
        let by_default = self.flags & SELECTED_MEMBERS_SEND == 0;
        member.permissions.cs.unwrap_or(by_default)
    }

    /// The member as `groupgetmembers` lists it, with every number as text.
    fn row(&self, member: &Member) -> Value {
        json!({
            "address": member.address,
            "uid": member.uid.to_string(),
            "cansend": digit(self.lets_send(member)),
            "canrecv": digit(member.permissions.cr.unwrap_or(true)),
        })
    }
}

impl Groups {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.values()
    }

    pub(super) fn get_mut(&mut self, gid: u64) -> Result<&mut Group, Code> {
        self.0.get_mut(&gid).ok_or(Code::NoGroup)
    }

    pub(super) fn remove_member_everywhere(&mut self, uid: u64) {
        for group in self.0.values_mut() {
            group.members.remove(&uid);
        }
    }

    pub(super) fn forget_expired(&mut self, now: Moment) {
        self.0.retain(|_, group| now < group.expires);
    }

    fn get(&self, gid: u64) -> Result<&Group, Code> {
        self.0.get(&gid).ok_or(Code::NoGroup)
    }

    fn insert(&mut self, gid: u64, expires: Moment) -> &mut Group {
        self.0.entry(gid).or_insert(Group {
            gid,
            name: String::new(),
            flags: 0,
            active: true,
            expires,
            extension: Duration::ZERO,
            members: BTreeMap::new(),
        })
    }
}

fn digit(yes: bool) -> &'static str {
    if yes { "1" } else { "0" }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn values<S: Serializer>(
    members: &BTreeMap<u64, Member>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(members.values())
}
