//! An operation of the API, ready to be posted. The modules for users, groups and messages
//! beside this one have a constructor for each.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;

use super::form::{Form, Targets};

/// Longest parameter in [`Operation::target`], in bytes, its name included.
const MAX_TARGET: usize = 200;

/// What a repeat of an operation does, in the terms of RFC 9110, section 9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// The operation changes nothing.
    Safe,
    /// A repeat changes nothing more than the first time.
    Idempotent,
    /// A repeat changes something again: it makes a second message, group or token.
    NotIdempotent,
}

/// An operation, ready to be posted, whose reply is read as an `R`.
pub struct Operation<R> {
    name: &'static str,
    idempotency: Idempotency,
    /// The encoded form without the application's token.
    form: Bytes,
    targets: Targets,
    reply: PhantomData<fn() -> R>,
}

impl<R> Operation<R> {
    /// The operation that posts `form`.
    pub(super) fn new(idempotency: Idempotency, form: Form) -> Self {
        let (name, form, targets) = form.finish();
        Self {
            name,
            idempotency,
            form: form.into(),
            targets,
            reply: PhantomData,
        }
    }

    /// The name of the operation, one of [`op::ALL`](super::op::ALL).
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What a repeat of the operation does.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// The encoded form, without the application's token.
    #[must_use]
    pub fn parameters(&self) -> &str {
        str::from_utf8(&self.form).expect("an encoded form is ASCII")
    }

    /// The ids and addresses that the operation is about, for logs, as the form has
    /// them: `from=alice&to=bob`. A parameter is cut after 200 bytes.
    #[must_use]
    pub fn target(&self) -> String {
        let pairs = self.parameters().split('&').enumerate();
        let targets = pairs.filter(|&(pair, _)| self.targets.contains(pair));
        let cut = targets.map(|(_, pair)| &pair[..pair.len().min(MAX_TARGET)]);
        cut.collect::<Vec<_>>().join("&")
    }

    /// The encoded form, without the application's token, as part of a body.
    pub(crate) fn form(&self) -> Bytes {
        self.form.clone()
    }
}

/// Shows the name, but no parameter: a message is nobody else's business.
impl<R> fmt::Debug for Operation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("name", &self.name)
            .field("idempotency", &self.idempotency)
            .finish_non_exhaustive()
    }
}
