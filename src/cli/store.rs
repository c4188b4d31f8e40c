//! `store`: looks after the store of request ids.

use super::Failure;
use crate::{
    config::{MigrateConfig, settings},
    store::{self, DirectDirectory, Location},
};

/// Deletes a user of an app from the directory.
pub(super) async fn forget(config: MigrateConfig, app: &str, address: &str) -> Result<(), Failure> {
    let config = of_database(config.store, "memory has no directory")?;
    let directory = DirectDirectory::open(&config).await.map_err(Failure::new)?;
    let forgotten = directory.forget(app, address).await;
    directory.close().await;
    forgotten.map_err(Failure::new)?;
    super::print("the directory has nothing of this address\n");
    Ok(())
}

/// The settings of a store that is a database.
pub(super) fn of_database(
    config: store::Config,
    what_memory_lacks: &str,
) -> Result<store::Config, Failure> {
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
    let config = of_database(config.store, "memory has no schema")?;
    store::migrate(&config).await.map_err(Failure::new)?;
    super::print(&format!(
        "the schema of {} is up to date\n",
        config.location
    ));
    Ok(())
}
