//! The operation that sends a message: "Message API" in the vendor's documentation.

use super::{
    form::Form,
    op,
    operation::{Idempotency, Operation},
    replies::Sent,
};

/// Who receives a message.
#[derive(Clone, Copy, Debug)]
pub enum Recipient<'a> {
    /// The users with these addresses, separated by commas.
    To(&'a str),
    /// The members of the group with this id.
    Group(u64),
}

/// Parameters of `message`.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Address of the sender.
    pub from: &'a str,
    /// Who receives the message.
    pub recipient: Recipient<'a>,
    /// Type of the message, any number that the application defines.
    pub kind: Option<u32>,
    /// How long Mesibo keeps the message for receivers who are not connected, in seconds.
    pub expiry_seconds: Option<u64>,
    /// The text or data of the message.
    pub msg: &'a str,
}

impl Operation<Sent> {
    /// Sends a message.
    #[must_use]
    pub fn message(message: &Message) -> Self {
        let form = Form::new(op::MESSAGE).with_target("from", message.from);
        let form = match message.recipient {
            Recipient::To(addresses) => form.with_target("to", addresses),
            Recipient::Group(gid) => form.with_target("gid", gid),
        };
        let form = form
            .with("type", message.kind)
            .with("expiry", message.expiry_seconds)
            .with("msg", message.msg);
        Self::new(Idempotency::NotIdempotent, form)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_into_a_form_comes_out_of_it(
            from: String,
            to: String,
            msg: String,
            kind: Option<u32>,
            expiry_seconds: Option<u64>,
        ) {
            let operation = Operation::message(&Message {
                from: &from,
                recipient: Recipient::To(&to),
                kind,
                expiry_seconds,
                msg: &msg,
            });
            let form = operation.form();
            prop_assert!(form.is_ascii());

            let mut expected = vec![("op", "message".to_owned()), ("from", from), ("to", to)];
            expected.extend(kind.map(|kind| ("type", kind.to_string())));
            expected.extend(expiry_seconds.map(|expiry| ("expiry", expiry.to_string())));
            expected.push(("msg", msg));
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            let decoded: Vec<_> = form_urlencoded::parse(&form).into_owned().collect();
            prop_assert_eq!(decoded, expected);
        }
    }
}
