//! The Mesibo applications that the facade stands in front of, each with a token, a
//! client, and limits of its own.

use std::{collections::HashMap, sync::Arc};

use http::HeaderMap;
use mesibo::Client;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::rate::Rate;

/// The metadata that names the app that a call is for.
pub const APP_HEADER: &str = "mesibo-app";

/// How many apps that no setting names are kept: as many as the sandbox has worlds, unless
/// it is told otherwise. Above it, those that were asked for least recently are forgotten.
const MAX_MADE: u64 = 100;

/// Makes the app of a name; `None` if there is none of this name.
pub type MakeApp = Box<dyn Fn(&str) -> Option<App> + Send + Sync>;

/// A Mesibo application.
pub struct App {
    /// The name, by which callers ask for it.
    pub name: Arc<str>,
    /// The name in metrics. Apps that are made as calls name them have one in common: a
    /// caller must not choose the value of a label.
    pub label: Arc<str>,
    /// The client of Mesibo's API, with the app's token.
    pub client: Client,
    /// How many units a second the app takes, of all callers together. `None` is no limit.
    pub rate: Option<Rate>,
}

/// The apps that calls may name.
pub struct Apps {
    default: Arc<App>,
    by_name: HashMap<Arc<str>, Arc<App>>,
    made: Option<Made>,
}

/// The apps that are made when a call names them.
struct Made {
    make: MakeApp,
    apps: Cache<Arc<str>, Arc<App>>,
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
            protocol: mesibo::Protocol::Auto,
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
            label: name.into(),
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
            made: None,
        })
    }

    /// Makes other apps when calls name them, and keeps the 100 that were asked for last.
    #[must_use]
    pub fn making(mut self, make: MakeApp) -> Self {
        let apps = Cache::builder()
            .max_capacity(MAX_MADE)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        self.made = Some(Made { make, apps });
        self
    }

    /// The apps but for those that are made when calls name them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.by_name.values()
    }

    /// The clients of all apps at this moment.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        let made = self.made.iter().flat_map(|made| made.apps.iter());
        let made = made.map(|(_, app)| app);
        let apps = self.by_name.values().cloned().chain(made);
        apps.map(|app| app.client.clone()).collect()
    }

    /// The app that a call with these headers is for, which is not made if it is not there
    /// yet. `None` if it names an unknown app, or more than one.
    #[must_use]
    pub fn known(&self, headers: &HeaderMap) -> Option<Arc<App>> {
        if !headers.contains_key(APP_HEADER) {
            return Some(Arc::clone(&self.default));
        }
        let name = name_in(headers)?;
        let made = || self.made.as_ref()?.apps.get(name);
        self.by_name.get(name).cloned().or_else(made)
    }

    /// The app of a name, which is made if it can be.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Option<Arc<App>> {
        self.known(headers).or_else(|| {
            let (name, made) = (name_in(headers)?, self.made.as_ref()?);
            made.apps
                .optionally_get_with(name.into(), || (made.make)(name).map(Arc::new))
        })
    }
}

/// The name of the app that the headers of a call ask for. `None` if there are several names,
/// or what cannot be one.
fn name_in(headers: &HeaderMap) -> Option<&str> {
    let mut names = headers.get_all(APP_HEADER).iter();
    let name = names.next()?.to_str().ok()?;
    names.next().is_none().then_some(name)
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
            let found = apps.of(&headers.collect());
            let found = found.as_ref().map(|app| &*app.name);
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

    #[test]
    fn an_app_that_no_setting_names_is_made_once_and_those_asked_for_last_are_kept() {
        let apps = Apps::new(vec![App::idle("shop", 1)], "shop").unwrap();
        let apps = apps.making(Box::new(|name| {
            (!name.is_empty()).then(|| App::idle(name, 1))
        }));
        let named = |name: &str| {
            HeaderMap::from_iter([(
                HeaderName::from_static(APP_HEADER),
                HeaderValue::from_str(name).unwrap(),
            )])
        };
        assert!(apps.known(&named("new")).is_none());
        let made = apps.of(&named("new")).unwrap();
        for found in [apps.known(&named("new")), apps.of(&named("new"))] {
            assert!(Arc::ptr_eq(&found.unwrap(), &made));
        }
        assert!(apps.of(&named("")).is_none());
        assert_eq!(&*apps.of(&HeaderMap::new()).unwrap().name, "shop");

        for number in 0..500 {
            let _ = apps.of(&named(&number.to_string()));
        }
        apps.made.as_ref().unwrap().apps.run_pending_tasks();
        assert!(apps.clients().len() <= 101, "{}", apps.clients().len());
        assert_eq!(apps.iter().count(), 1);
    }
}
