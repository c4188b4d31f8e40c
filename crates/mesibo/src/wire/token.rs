//! The application's token, encoded as the last parameter of every form.

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// The beginning of the parameter, which follows others.
const NAME: &[u8] = b"&token=";

/// An application's token.
pub(crate) struct Token {
    secret: SecretString,
    /// `&token=` and the encoded token. The memory is wiped when the last form that has it
    /// was sent.
    parameter: Bytes,
}

impl Token {
    pub(crate) fn new(secret: SecretString) -> Self {
        let token = secret.expose_secret().as_bytes();
        // The buffer never grows: a move would leave a copy of the token in freed memory.
        let mut parameter = Zeroizing::new(Vec::with_capacity(NAME.len() + 3 * token.len()));
        parameter.extend_from_slice(NAME);
        for part in byte_serialize(token) {
            parameter.extend_from_slice(part.as_bytes());
        }
        Self {
            parameter: Bytes::from_owner(parameter),
            secret,
        }
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The last part of a form: `&token=` and the encoded token.
    pub(crate) fn parameter(&self) -> Bytes {
        self.parameter.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_token_is_the_last_parameter_of_a_form(token: String) {
            let parameter = Token::new(token.clone().into()).parameter();
            let form = [b"op=useradd", &*parameter].concat();
            let decoded: Vec<_> = form_urlencoded::parse(&form).into_owned().collect();
            let expected = [("op", "useradd"), ("token", &*token)];
            prop_assert_eq!(decoded, expected.map(|(name, value)| (name.into(), value.into())));
        }
    }
}
