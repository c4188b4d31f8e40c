//! Groups and their members.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::users::User;
use super::{Backend, DEFAULT_LIFETIME, rows};
use crate::clock::Moment;
use crate::wire::{Code, Fields, Outcome, Params, Refusal};

/// Group flag: only members that were given the permission send.
const SELECTED_MEMBERS_SEND: u64 = 1;

/// Group flag: anyone sends, member or not. It outranks the other one.
const ANYONE_SENDS: u64 = 2;

#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) gid: u64,
    /// Empty if there is none.
    pub(crate) name: String,
    #[serde(rename = "flag")]
    pub(super) flags: u64,
    pub(crate) active: bool,
    pub(super) expires: Moment,
    /// How long the group lives on after a message at least; zero changes nothing.
    #[serde(rename = "expiryext", serialize_with = "seconds")]
    pub(super) extension: Duration,
    #[serde(serialize_with = "values")]
    members: BTreeMap<u64, Member>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Member {
    uid: u64,
    /// The user's address, which never changes.
    pub(crate) address: String,
    #[serde(flatten)]
    permissions: Permissions,
}

/// What a member was explicitly allowed or denied, by the names of the wire.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Permissions {
    pub(super) cs: Option<bool>,
    pub(super) cr: Option<bool>,
    pub(super) canpub: Option<bool>,
    pub(super) cansub: Option<bool>,
    pub(super) canlist: Option<bool>,
}

/// What `groupadd` and `groupset` have in common.
struct Options<'a> {
    name: Option<&'a str>,
    flags: Option<u64>,
    lifetime: Option<Duration>,
    extension: Option<Duration>,
    active: Option<bool>,
}

/// The groups of a world, by gid.
#[derive(Default)]
pub(super) struct Groups {
    by_gid: BTreeMap<u64, Group>,
    /// The memberships of all groups together.
    memberships: usize,
}

/// The operations on groups, each named as it is on the wire.
impl Backend {
    pub(super) fn groupadd(&mut self, params: &Params, now: Moment) -> Outcome {
        let options = Options::read(params)?;
        let members = params.optional_list("m")?.unwrap_or_default();

        let members = self.users.find_all(&members, "m")?;
        self.groups.admit(self.limits.groups)?;
        self.groups
            .admit_members(members.len(), self.limits.memberships)?;
        let expires = now.after(options.lifetime.unwrap_or(DEFAULT_LIFETIME));
        self.next_expiry = self.next_expiry.min(expires);
        let gid = self.gids.take();
        let group = self.groups.insert(gid, expires);
        group.set(&options);
        let added = group.add(&members, Permissions::default());
        self.groups.memberships += added;
        Ok(Fields::one("group", json!({ "gid": gid })))
    }

    pub(super) fn groupset(&mut self, params: &Params, now: Moment) -> Outcome {
        let gid = params.gid()?;
        let options = Options::read(params)?;
        let members = params.optional_list("m")?.unwrap_or_default();

        let members = self.users.find_all(&members, "m")?;
        self.groups
            .admit_members(members.len(), self.limits.memberships)?;
        let group = self.groups.get_mut(gid)?;
        group.set(&options);
        if let Some(lifetime) = options.lifetime {
            group.expires = now.after(lifetime);
            self.next_expiry = self.next_expiry.min(group.expires);
        }
        let added = group.add(&members, Permissions::default());
        self.groups.memberships += added;
        Ok(Fields::one("group", json!({ "gid": gid })))
    }

    pub(super) fn groupdel(&mut self, params: &Params) -> Outcome {
        let gid = params.gid()?;

        self.groups
            .remove(gid)
            .ok_or_else(|| Code::NoGroup.of("gid"))?;
        Ok(Fields::none())
    }

    pub(super) fn groupeditmembers(&mut self, params: &Params) -> Outcome {
        let gid = params.gid()?;
        let members = params.list("m")?;
        let delete = params.optional_bool("delete")?.unwrap_or(false);
        let permissions = Permissions::read(params)?;

        let group = self.groups.get_mut(gid)?;
        let members = self.users.find_all(&members, "m")?;
        if delete {
            self.groups.memberships -= group.remove(&members);
            return Ok(Fields::none());
        }
        self.groups
            .admit_members(members.len(), self.limits.memberships)?;
        let group = self.groups.get_mut(gid)?;
        self.groups.memberships += group.add(&members, permissions);
        Ok(Fields::none())
    }

    pub(super) fn groupgetmembers(&self, params: &Params) -> Outcome {
        let gid = params.gid()?;
        let rows = rows(params)?;

        let group = self
            .groups
            .get(gid)
            .ok_or_else(|| Code::NoGroup.of("gid"))?;
        let members = group.members.values().take(rows);
        let members = members.map(|member| group.row(member)).collect();
        Ok(Fields::one("members", members))
    }
}

impl<'a> Options<'a> {
    fn read(params: &'a Params) -> Result<Self, Refusal> {
        Ok(Self {
            name: params.optional_name("name")?,
            flags: params.optional_number("flag")?,
            lifetime: params.optional_seconds("expiry")?,
            extension: params.optional_seconds("expiryext")?,
            active: params.optional_bool("active")?,
        })
    }
}

impl Permissions {
    fn read(params: &Params) -> Result<Self, Refusal> {
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
    pub(super) fn take_message(&mut self, sender: &User, now: Moment) -> Result<(), Refusal> {
        if !self.active {
            return Err(Code::GroupDisabled.of("gid"));
        }
        if self.flags & ANYONE_SENDS == 0 {
            let member = self.members.get(&sender.uid);
            let member = member.ok_or_else(|| Code::NoMember.of("from"))?;
            if !self.lets_send(member) {
                return Err(Code::NotAllowed.of("from"));
            }
        }
        self.expires = self.expires.max(now.after(self.extension));
        Ok(())
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    fn set(&mut self, options: &Options<'_>) {
        if let Some(name) = options.name {
            name.clone_into(&mut self.name);
        }
        self.flags = options.flags.unwrap_or(self.flags);
        self.extension = options.extension.unwrap_or(self.extension);
        self.active = options.active.unwrap_or(self.active);
    }

    /// Adds or changes members, and says how many are new.
    fn add(&mut self, users: &[&User], permissions: Permissions) -> usize {
        let before = self.members.len();
        for user in users {
            let member = self.members.entry(user.uid).or_insert_with(|| Member {
                uid: user.uid,
                address: user.address.clone(),
                permissions: Permissions::default(),
            });
            member.permissions = member.permissions.changed_to(permissions);
        }
        self.members.len() - before
    }

    /// Removes members, and says how many there were.
    fn remove(&mut self, users: &[&User]) -> usize {
        let before = self.members.len();
        for user in users {
            self.members.remove(&user.uid);
        }
        before - self.members.len()
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
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Group> {
        self.by_gid.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_gid.len()
    }

    pub(super) fn get(&self, gid: u64) -> Option<&Group> {
        self.by_gid.get(&gid)
    }

    pub(super) fn get_mut(&mut self, gid: u64) -> Result<&mut Group, Refusal> {
        self.by_gid
            .get_mut(&gid)
            .ok_or_else(|| Code::NoGroup.of("gid"))
    }

    pub(super) fn remove(&mut self, gid: u64) -> Option<Group> {
        let group = self.by_gid.remove(&gid)?;
        self.memberships -= group.members.len();
        Some(group)
    }

    pub(super) fn remove_member_everywhere(&mut self, uid: u64) {
        for group in self.by_gid.values_mut() {
            if group.members.remove(&uid).is_some() {
                self.memberships -= 1;
            }
        }
    }

    pub(super) fn forget_expired(&mut self, now: Moment) {
        let memberships = &mut self.memberships;
        self.by_gid.retain(|_, group| {
            let lives = now < group.expires;
            if !lives {
                *memberships -= group.members.len();
            }
            lives
        });
    }

    /// Puts a saved group in, whole; `false` if that makes too many members.
    pub(super) fn restore(
        &mut self,
        group: Group,
        members: &[(&User, Permissions)],
        limit: usize,
    ) -> bool {
        if self.admit_members(members.len(), limit).is_err() {
            return false;
        }
        let gid = group.gid;
        let group = self.by_gid.entry(gid).or_insert(group);
        for (user, permissions) in members {
            self.memberships += group.add(&[*user], *permissions);
        }
        true
    }

    fn admit(&self, limit: usize) -> Result<(), Refusal> {
        if self.len() >= limit {
            return Err(Code::TooManyGroups.into());
        }
        Ok(())
    }

    fn admit_members(&self, more: usize, limit: usize) -> Result<(), Refusal> {
        if more > limit.saturating_sub(self.memberships) {
            return Err(Code::TooManyMembers.of("m"));
        }
        Ok(())
    }

    fn insert(&mut self, gid: u64, expires: Moment) -> &mut Group {
        self.by_gid.entry(gid).or_insert(Group::new(gid, expires))
    }
}

impl Group {
    pub(super) fn new(gid: u64, expires: Moment) -> Self {
        Self {
            gid,
            name: String::new(),
            flags: 0,
            active: true,
            expires,
            extension: Duration::ZERO,
            members: BTreeMap::new(),
        }
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
