//! Operations on groups: "Group Management APIs" in the vendor's documentation.

use super::{
    form::Form,
    op,
    operation::{Idempotency, Operation},
    replies::{Done, Group, Members},
};

/// Options of a group, for `groupadd` and `groupset`.
#[derive(Clone, Debug, Default)]
pub struct GroupOptions<'a> {
    /// Name of the group.
    pub name: Option<&'a str>,
    /// Flags of the group, a bitmask.
    pub flag: Option<u32>,
    /// How long the group lives, in seconds. Mesibo's default is one year.
    pub expiry_seconds: Option<u64>,
    /// By how much activity extends the group's life, in seconds. Mesibo's default is not
    /// at all.
    pub expiryext_seconds: Option<u64>,
    /// Whether the group is enabled.
    pub active: Option<bool>,
}

/// What members that are added to a group may do.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    /// Whether the members may send.
    pub cs: Option<bool>,
    /// Whether the members receive.
    pub cr: Option<bool>,
    /// Whether the members may publish.
    pub canpub: Option<bool>,
    /// Whether the members may subscribe.
    pub cansub: Option<bool>,
    /// Whether the members may list the group's members.
    pub canlist: Option<bool>,
}

impl GroupOptions<'_> {
    fn append_to(&self, form: Form) -> Form {
        form.with("name", self.name)
            .with("flag", self.flag)
            .with("expiry", self.expiry_seconds)
            .with("expiryext", self.expiryext_seconds)
            .with("active", self.active)
    }
}

impl Operation<Group> {
    /// Creates a group: "Create a Group". Empty `members` are not sent.
    #[must_use]
    pub fn group_add(options: &GroupOptions, members: &[String]) -> Self {
        let members = (!members.is_empty()).then_some(members);
        let form = options
            .append_to(Form::new(op::GROUP_ADD))
            .with_target("m", members);
        Self::new(Idempotency::NotIdempotent, form)
    }

    /// Edits a group: "Edit a Group".
    #[must_use]
    pub fn group_set(gid: u64, options: &GroupOptions) -> Self {
        let form = Form::new(op::GROUP_SET).with_target("gid", gid);
        Self::new(Idempotency::Idempotent, options.append_to(form))
    }
}

impl Operation<Done> {
    /// Deletes a group: "Delete a Group".
    #[must_use]
    pub fn group_del(gid: u64) -> Self {
        let form = Form::new(op::GROUP_DEL).with_target("gid", gid);
        Self::new(Idempotency::Idempotent, form)
    }

    /// Adds members, by their addresses, to a group: "Add or Remove Group Members".
    #[must_use]
    pub fn group_add_members(gid: u64, members: &[String], permissions: &Permissions) -> Self {
        let form = Form::new(op::GROUP_EDIT_MEMBERS)
            .with_target("gid", gid)
            .with_target("m", members)
            .with("delete", false)
            .with("cs", permissions.cs)
            .with("cr", permissions.cr)
            .with("canpub", permissions.canpub)
            .with("cansub", permissions.cansub)
            .with("canlist", permissions.canlist);
        Self::new(Idempotency::Idempotent, form)
    }

    /// Removes members, by their addresses, from a group: "Add or Remove Group Members".
    #[must_use]
    pub fn group_remove_members(gid: u64, members: &[String]) -> Self {
        let form = Form::new(op::GROUP_EDIT_MEMBERS)
            .with_target("gid", gid)
            .with_target("m", members)
            .with("delete", true);
        Self::new(Idempotency::Idempotent, form)
    }
}

impl Operation<Members> {
    /// Lists the members of a group: "Get Group Members". `count` is their maximum number,
    /// of which Mesibo gives at most 20.
    #[must_use]
    pub fn group_get_members(gid: u64, count: Option<u32>) -> Self {
        let form = Form::new(op::GROUP_GET_MEMBERS)
            .with_target("gid", gid)
            .with("count", count);
        Self::new(Idempotency::Safe, form)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_and_booleans_have_the_forms_of_the_wire(
            gid: u64,
            members in prop::collection::vec("[^,]+", 1..5),
            cs: Option<bool>,
        ) {
            let permissions = Permissions { cs, ..Permissions::default() };
            let form = Operation::group_add_members(gid, &members, &permissions).form();
            let decoded: Vec<_> = form_urlencoded::parse(&form).into_owned().collect();
            let value = |name| decoded.iter().find(|(key, _)| key == name).map(|(_, v)| &**v);
            let gid = gid.to_string();
            prop_assert_eq!(value("gid"), Some(&*gid));
            prop_assert_eq!(value("delete"), Some("0"));
            prop_assert_eq!(value("cs"), cs.map(|cs| if cs { "1" } else { "0" }));
            let sent: Vec<_> = value("m").unwrap().split(',').collect();
            prop_assert_eq!(sent, members);
        }
    }
}
