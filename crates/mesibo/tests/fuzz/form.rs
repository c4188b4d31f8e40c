//! The forms of operations: what goes in comes out, and the target has its part of it.

use mesibo::operation::{GroupOptions, Message, Operation, Permissions, Recipient, UserAdd};
use proptest::prelude::*;

use crate::fuzz;

/// Parameters as they were given: whether each says what its operation is about, its name,
/// and its value if it has one.
type Given = Vec<(bool, &'static str, Option<String>)>;

/// Values that parameters are made from.
#[derive(Clone, Debug)]
struct Values {
    id: u64,
    texts: [String; 3],
    list: Vec<String>,
    text: Option<String>,
    number: Option<u32>,
    seconds: Option<u64>,
    flags: [Option<bool>; 5],
}

prop_compose! {
    fn values()(
        id: u64,
        texts: [String; 3],
        list in prop::collection::vec(any::<String>(), 0..4),
        text: Option<String>,
        number: Option<u32>,
        seconds: Option<u64>,
        flags: [Option<bool>; 5],
    ) -> Values {
        Values { id, texts, list, text, number, seconds, flags }
    }
}

fn flag(value: Option<bool>) -> Option<String> {
    value.map(|value| u8::from(value).to_string())
}

fn number(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Checks an operation against what it was made from.
fn check<R>(operation: &Operation<R>, given: Given) -> Result<(), TestCaseError> {
    let form = operation.parameters();
    prop_assert!(form.is_ascii());
    let mut pairs = vec![(false, "op", operation.name().to_owned())];
    for (is_target, name, value) in given {
        pairs.extend(value.map(|value| (is_target, name, value)));
    }
    let decoded: Vec<_> = form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    let expected = pairs
        .iter()
        .map(|(_, name, value)| ((*name).to_owned(), value.clone()));
    prop_assert_eq!(decoded, expected.collect::<Vec<_>>());

    let targets = pairs.iter().filter(|(is_target, ..)| *is_target);
    let targets = targets.map(|(_, name, value)| {
        let pair = form_urlencoded::Serializer::new(String::new())
            .append_pair(name, value)
            .finish();
        pair[..pair.len().min(200)].to_owned()
    });
    prop_assert_eq!(operation.target(), targets.collect::<Vec<_>>().join("&"));
    Ok(())
}

fn user(values: &Values) -> Result<(), TestCaseError> {
    let [addr, appid, _] = &values.texts;
    let user = UserAdd {
        addr,
        appid,
        expiry_minutes: values.seconds,
        active: values.flags[0],
        groups: values.number,
        name: values.text.as_deref(),
    };
    let given = vec![
        (true, "addr", Some(addr.clone())),
        (true, "appid", Some(appid.clone())),
        (false, "expiry", number(values.seconds)),
        (false, "active", flag(values.flags[0])),
        (false, "groups", number(values.number)),
        (false, "name", values.text.clone()),
    ];
    check(&Operation::user_add(&user), given)?;

    let addr = values.text.as_deref();
    let given = vec![
        (true, "addr", values.text.clone()),
        (false, "count", number(values.number)),
    ];
    check(&Operation::users_get(addr, values.number), given)
}

fn group(values: &Values) -> Result<(), TestCaseError> {
    let options = GroupOptions {
        name: values.text.as_deref(),
        flag: values.number,
        expiry_seconds: values.seconds,
        expiryext_seconds: values.seconds,
        active: values.flags[0],
    };
    let members = (!values.list.is_empty()).then(|| values.list.join(","));
    let given = vec![
        (false, "name", values.text.clone()),
        (false, "flag", number(values.number)),
        (false, "expiry", number(values.seconds)),
        (false, "expiryext", number(values.seconds)),
        (false, "active", flag(values.flags[0])),
        (true, "m", members),
    ];
    check(&Operation::group_add(&options, &values.list), given)?;

    let permissions = Permissions {
        cs: values.flags[0],
        cr: values.flags[1],
        canpub: values.flags[2],
        cansub: values.flags[3],
        canlist: values.flags[4],
    };
    let given = vec![
        (true, "gid", Some(values.id.to_string())),
        (true, "m", Some(values.list.join(","))),
        (false, "delete", Some("0".to_owned())),
        (false, "cs", flag(values.flags[0])),
        (false, "cr", flag(values.flags[1])),
        (false, "canpub", flag(values.flags[2])),
        (false, "cansub", flag(values.flags[3])),
        (false, "canlist", flag(values.flags[4])),
    ];
    let operation = Operation::group_add_members(values.id, &values.list, &permissions);
    check(&operation, given)
}

fn message(values: &Values) -> Result<(), TestCaseError> {
    let [from, to, msg] = &values.texts;
    for (recipient, parameter) in [
        (Recipient::To(to), (true, "to", Some(to.clone()))),
        (
            Recipient::Group(values.id),
            (true, "gid", Some(values.id.to_string())),
        ),
    ] {
        let message = Message {
            from,
            recipient,
            kind: values.number,
            expiry_seconds: values.seconds,
            msg,
        };
        let given = vec![
            (true, "from", Some(from.clone())),
            parameter,
            (false, "type", number(values.number)),
            (false, "expiry", number(values.seconds)),
            (false, "msg", Some(msg.clone())),
        ];
        check(&Operation::message(&message), given)?;
    }
    Ok(())
}

#[test]
fn form() {
    fuzz(&values(), |values| {
        user(&values)?;
        group(&values)?;
        message(&values)
    });
}
