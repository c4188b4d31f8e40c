//! The Mesibo applications that the facade stands in front of, each with a token, a
//! client, and limits of its own.

use std::{collections::HashMap, sync::Arc};

use http::HeaderMap;

use crate::{
    access::{APP_HEADER, rate::Rate},
    mesibo::Client,
};

/// One of them.
pub struct App {
    /// Its name, by which callers ask for it.
    pub name: Arc<str>,
    /// The way to Mesibo, with the app's token.
    pub client: Client,
    /// How many calls a second it takes, of all callers together.
    pub rate: Option<Rate>,
}

/// All of them.
pub struct Apps {
    default: Arc<App>,
    by_name: HashMap<Arc<str>, Arc<App>>,
}

impl Apps {
    /// These apps, with the one of this name for calls that name none. `None` if it is
    /// not among them.
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

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.by_name.values()
    }

    /// The app that a call is for. `None` if it names one that there is not, or more than
    /// one.
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
