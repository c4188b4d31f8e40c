//! The query of a request to the API, with an error for each mistake.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Answer, ApiError};
use crate::clock::Moment;
use crate::settings::{DEFAULT_WORLD, is_world};
use crate::text_duration;

/// The parameters of a query. Each is asked for by name; [`Query::end`] refuses what
/// nothing asked for.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Answer<Self> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            known: Vec::new(),
        })
    }
}

impl Query {
    /// A parameter; an empty one counts as absent, for pages send the empty fields of a
    /// form along.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let mut pairs = self.pairs.iter().rev();
        let pair = pairs.find(|(other, value)| other == name && !value.is_empty());
        pair.map(|(_, value)| value.clone())
    }

    pub(super) fn number(&mut self, name: &'static str) -> Answer<Option<u64>> {
        self.read(name, "a whole number", |text| text.parse().ok())
    }

    pub(super) fn bool(&mut self, name: &'static str) -> Answer<Option<bool>> {
        self.read(name, "true or false", |text| text.parse().ok())
    }

    pub(super) fn time(&mut self, name: &'static str) -> Answer<Option<Moment>> {
        let allowed = "a time such as 2030-01-31T12:00:00Z (RFC 3339)";
        self.read(name, allowed, |text| Moment::parse(text).ok())
    }

    pub(super) fn duration(&mut self, name: &'static str) -> Answer<Option<Duration>> {
        let allowed = "a duration such as 500ms, 15s or 1m";
        self.read(name, allowed, |text| text_duration::parse(text).ok())
    }

    pub(super) fn choice(
        &mut self,
        name: &'static str,
        choices: &[&'static str],
    ) -> Answer<Option<&'static str>> {
        let allowed = choices.join(" or ");
        self.read(name, &allowed, |text| {
            choices.iter().copied().find(|choice| *choice == text)
        })
    }

    /// The name of the world; the default one if none is given.
    pub(super) fn world(&mut self) -> Answer<String> {
        Ok(self
            .optional_world()?
            .unwrap_or_else(|| DEFAULT_WORLD.to_owned()))
    }

    pub(super) fn optional_world(&mut self) -> Answer<Option<String>> {
        let allowed = "1 to 63 letters, digits, dots, hyphens and underscores";
        self.read("world", allowed, |text| {
            is_world(text).then(|| text.to_owned())
        })
    }

    /// Refuses a query with parameters that do not exist.
    pub(super) fn end(self) -> Answer<()> {
        let unknown = |name: &str| !self.known.contains(&name);
        match self.pairs.iter().find(|(name, _)| unknown(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let known = self.known.join(", ");
                Err(ApiError::bad(format!(
                    "there is no parameter {name:?}; there are {known}"
                )))
            }
        }
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Answer<Option<T>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let value = read(&text);
        let wrong = || ApiError::bad(format!("{name} is {text:?}: it must be {allowed}"));
        value.ok_or_else(wrong).map(Some)
    }
}
