//! `store`: looks after the store of request ids.

use super::Failure;
use crate::{
    config::{MigrateConfig, settings},
    store::{self, Location},
};

/// Brings the schema up to date.
pub(super) async fn migrate(config: MigrateConfig) -> Result<(), Failure> {
    let config = config.store;
    if config.location == Location::Memory {
        return Err(Failure::wrong(format_args!(
            "{}: expected sqlite:FILE or postgres://USER@HOST/DATABASE; memory has no schema",
            settings::STORE.name()
        )));
    }
    store::migrate(&config).await.map_err(Failure::new)?;
    super::print(&format!(
        "the schema of {} is up to date\n",
        config.location
    ));
    Ok(())
}
