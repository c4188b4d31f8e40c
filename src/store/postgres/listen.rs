//! Wakes the calls of this process that wait for another's.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgPool};
use tokio::time::{sleep, timeout};

use super::sql::CHANNEL;
use crate::store::signals::Signals;

/// How long a connection may be silent before it is asked whether it still works.
const SILENCE: Duration = Duration::from_secs(30);

/// The pause before another try.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens for as long as the store lives. What is missed while the connection is lost,
/// those who wait find out by themselves.
pub(in crate::store) async fn listen(pool: PgPool, signals: Arc<Signals>, limit: Duration) {
    loop {
        if let Err(error) = hear(&pool, &signals, limit).await {
            tracing::debug!(%error, "the store's notifications are interrupted");
        }
        sleep(PAUSE).await;
    }
}

async fn hear(pool: &PgPool, signals: &Signals, limit: Duration) -> sqlx::Result<()> {
    let mut listener = timeout(limit, PgListener::connect_with(pool))
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    listener.eager_reconnect(false);
    timeout(limit, listener.listen(CHANNEL))
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Ok(id) = notification.payload().parse() {
                    signals.wake(&id);
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let alive = sqlx::query("SELECT 1").execute(&mut listener);
                timeout(limit, alive)
                    .await
                    .map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}
