//! `store`: looks after the store of request ids.

use super::Failure;
use crate::{
    config::{MigrateConfig, settings},
    store::{self, Location},
};

/// Deletes a user of an app from the directory.
pub(super) async fn forget(config: MigrateConfig, app: &str, address: &str) -> Result<(), Failure> {
    let config = of_database(config, "memory has no directory")?;
    let forgotten = store::forget(&config, app, address).await;
    forgotten.map_err(Failure::new)?;
    super::print("the directory has nothing of this address\n");
    Ok(())
}

fn of_database(config: MigrateConfig, what_memory_lacks: &str) -> Result<store::Config, Failure> {
    let config = config.store;
    if config.location == Location::Memory {
        return Err(Failure::wrong(format_args!(
            "{}: expected sqlite:FILE or postgres://USER@HOST/DATABASE; {what_memory_lacks}",
            settings::STORE.name()
        )));
    }
    Ok(config)
}

/// Brings the schema up to date.
pub(super) async fn migrate(config: MigrateConfig) -> Result<(), Failure> {
    let config = of_database(config, "memory has no schema")?;
    store::migrate(&config).await.map_err(Failure::new)?;
    super::print(&format!(
        "the schema of {} is up to date\n",
        config.location
    ));
    Ok(())
}
