//! The Mesibo applications that the facade stands in front of, each with a token, a
//! client, and limits of its own.

use std::{collections::HashMap, sync::Arc};

use http::HeaderMap;
use mesibo::Client;

use super::rate::Rate;

/// The metadata that names the app that a call is for.
pub const APP_HEADER: &str = "mesibo-app";

/// A Mesibo application.
pub struct App {
    /// The name, by which callers ask for it.
    pub name: Arc<str>,
    /// The client of Mesibo's API, with the app's token.
    pub client: Client,
    /// How many units a second the app takes, of all callers together. `None` is no limit.
    pub rate: Option<Rate>,
}

/// The apps that calls may name.
pub struct Apps {
    default: Arc<App>,
    by_name: HashMap<Arc<str>, Arc<App>>,
}

#[cfg(test)]
impl App {
    /// An app without a backend.
    pub(crate) fn idle(name: &str, max_in_flight: usize) -> Self {
        let second = std::time::Duration::from_secs(1);
        let config = mesibo::Config {
            app: name.into(),
            user_agent: String::new(),
            url: "http://127.0.0.1:1/".parse().unwrap(),
            token: "token".into(),
            proxy: None,
            ca_certificates: None,
            connect_timeout: second,
            idle_timeout: second,
            connection_lifetime: second,
            max_reply_bytes: 1,
            max_in_flight,
            max_waiting: 1,
            max_wait: second,
            patience: second,
        };
        Self {
            name: name.into(),
            client: Client::new(config, ()).unwrap(),
            rate: None,
        }
    }
}

impl Apps {
    /// These apps. Calls that name none are for the app named `default`. `None` if that
    /// is not among them.
    #[must_use]
    pub fn new(apps: Vec<App>, default: &str) -> Option<Self> {
        let by_name: HashMap<_, _> = apps
            .into_iter()
            .map(|app| (Arc::clone(&app.name), Arc::new(app)))
            .collect();
        Some(Self {
            default: Arc::clone(by_name.get(default)?),
            by_name,
        })
    }

    /// The apps, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.by_name.values()
    }

    /// The app that a call with these headers is for. `None` if it names an unknown app,
    /// or more than one.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Option<&Arc<App>> {
        let mut names = headers.get_all(APP_HEADER).iter();
        let Some(name) = names.next() else {
            return Some(&self.default);
        };
        let name = name.to_str().ok().filter(|_| names.next().is_none())?;
        self.by_name.get(name)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::{collection::vec, prop_assert_eq, prop_oneof, strategy::Strategy as _};

    use super::*;
    use crate::fuzz;

    #[test]
    fn an_app_is_named_once_and_exactly_or_not_at_all() {
        let apps = ["shop", "support"].map(|name| App::idle(name, 1));
        let apps = Apps::new(apps.into(), "shop").unwrap();
        let names = prop_oneof![
            "shop|support|Shop| shop|shop,support|".prop_map(String::into_bytes),
            vec(proptest::num::u8::ANY, 0..9)
        ];
        fuzz::holds(&vec(names, 0..3), |names| {
            let values = names.iter().map(|name| HeaderValue::from_bytes(name));
            let Ok(values) = values.collect::<Result<Vec<_>, _>>() else {
                return Ok(());
            };
            let header = HeaderName::from_static(APP_HEADER);
            let headers = values.into_iter().map(|value| (header.clone(), value));
            let found = apps.of(&headers.collect()).map(|app| &*app.name);
            let expected = match &names[..] {
                [] => Some("shop"),
                [name] if name == b"shop" => Some("shop"),
                [name] if name == b"support" => Some("support"),
                _ => None,
            };
            prop_assert_eq!(found, expected);
            Ok(())
        });
    }
}
