//! Opening a store, with a thread and a runtime of its own.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::{mpsc::UnboundedReceiver, oneshot},
    time::sleep,
};

use super::{
    Config, Location, OpenError, Store,
    database::{Database, SWEEP_BATCH, Sweep},
    directory::{Backend, Directory, Handle, Jobs, POSTGRES_STATEMENTS, SQLITE_STATEMENTS, keep},
    durable::Durable,
    engine::Engine,
    memory::Memory,
    observer::{Event, Observer},
    postgres,
    queue::{Job, Queue},
    signals::Signals,
    sqlite,
};

/// How often old rows are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The pause between two sweeps while there is more to delete.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// A store that is open.
#[derive(Clone)]
pub struct Opened {
    /// The claims.
    pub store: Arc<dyn Store>,
    /// The directory, if the store is a database and the settings want one.
    pub directory: Option<Arc<dyn Directory>>,
}

/// What the engine and those around it share with the calls.
struct Parts {
    config: Config,
    jobs: UnboundedReceiver<Job>,
    queue: Arc<Queue>,
    signals: Arc<Signals>,
    directory: Option<(Handle, Jobs)>,
}

/// Opens a store, after its schema was brought up to date. A server that does not answer
/// yet, or a file that is locked, is waited for, for five times the time limit of a claim.
///
/// # Errors
///
/// If the database cannot be reached or written to, or has a newer schema.
pub async fn open_all(config: &Config, observer: Arc<dyn Observer>) -> Result<Opened, OpenError> {
    let statements = match config.location {
        Location::Memory => {
            return Ok(Opened {
                store: Arc::new(Memory::new(config, observer)),
                directory: None,
            });
        }
        Location::Sqlite(_) => &*SQLITE_STATEMENTS,
        Location::Postgres(_) => &*POSTGRES_STATEMENTS,
    };
    let directory = config
        .directory
        .then(|| Handle::new(statements, config.timeout, Arc::clone(&observer)));
    let (queue, jobs) = Queue::new(observer);
    let durable = Durable {
        queue: Arc::new(queue),
        signals: Arc::default(),
        timeout: config.timeout,
        directory: directory.as_ref().map(|(handle, _)| handle.clone()),
    };
    let parts = Parts {
        config: config.clone(),
        jobs,
        queue: Arc::clone(&durable.queue),
        signals: Arc::clone(&durable.signals),
        directory,
    };
    let (opened, is_open) = oneshot::channel();
    start(async move { run(parts, opened).await })?;
    is_open
        .await
        .unwrap_or_else(|_| Err(OpenError::Failed("its thread ended".into())))?;
    let directory = durable.directory.clone();
    Ok(Opened {
        directory: directory.map(|handle| Arc::new(handle) as Arc<dyn Directory>),
        store: Arc::new(durable),
    })
}

/// Opens the claims of a store alone, as [`open_all`] does.
///
/// # Errors
///
/// As [`open_all`].
pub async fn open(
    config: &Config,
    observer: Arc<dyn Observer>,
) -> Result<Arc<dyn Store>, OpenError> {
    Ok(open_all(config, observer).await?.store)
}

/// Brings the schema up to date, and does nothing else.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate(config: &Config) -> Result<(), OpenError> {
    match &config.location {
        Location::Memory => Ok(()),
        Location::Sqlite(file) => {
            sqlite::open(file, config).await?.close().await;
            Ok(())
        }
        Location::Postgres(url) => {
            postgres::open(url, config).await?.close().await;
            Ok(())
        }
    }
}

/// Starts a thread with a runtime, which ends with the task.
fn start(task: impl Future<Output = ()> + Send + 'static) -> Result<(), OpenError> {
    let failed = |error: std::io::Error| OpenError::Failed(error.to_string());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let thread = thread::Builder::new().name("store".into());
    thread
        .spawn(move || {
            runtime.block_on(task);
            runtime.shutdown_background();
        })
        .map(drop)
        .map_err(failed)
}

async fn run(parts: Parts, opened: oneshot::Sender<Result<(), OpenError>>) {
    let config = &parts.config;
    match config.location.clone() {
        Location::Memory => {}
        Location::Sqlite(file) => match sqlite::open(&file, config).await {
            Ok(file) => {
                let _ = opened.send(Ok(()));
                let checkpoints = tokio::spawn(sqlite::checkpoints(&file));
                if let Some((handle, _)) = &parts.directory {
                    let presence = file.presence();
                    handle.gather_while(move || presence.was_alone());
                }
                let directory = sqlite::Directory::new(file.clone());
                work(file.clone(), file, directory, parts).await;
                checkpoints.abort();
            }
            Err(error) => drop(opened.send(Err(error))),
        },
        Location::Postgres(url) => match postgres::open(&url, config).await {
            Ok(pool) => {
                let _ = opened.send(Ok(()));
                let listening =
                    postgres::listen(pool.clone(), Arc::clone(&parts.signals), config.timeout);
                tokio::spawn(listening);
                let sweeper = postgres::Sweeper::new(&pool, config.timeout, config.retention);
                let directory = postgres::Directory::new(&pool, config.timeout);
                let claims = postgres::Postgres::new(&pool, config.timeout);
                work(claims, sweeper, directory, parts).await;
            }
            Err(error) => drop(opened.send(Err(error))),
        },
    }
}

async fn work(database: impl Database, sweeper: impl Sweep, directory: impl Backend, parts: Parts) {
    let observer = Arc::clone(&parts.queue.observer);
    let sweeping = tokio::spawn(sweep(sweeper, observer));
    let keeping = parts
        .directory
        .map(|(handle, jobs)| tokio::spawn(keep(directory, handle, jobs)));
    let timeout = parts.config.timeout;
    Engine::new(database, parts.jobs, parts.queue, parts.signals, timeout)
        .run()
        .await;
    sweeping.abort();
    if let Some(keeping) = keeping {
        keeping.abort();
    }
}

async fn sweep(mut sweeper: impl Sweep, observer: Arc<dyn Observer>) {
    loop {
        let start = Instant::now();
        let pause = match sweeper.sweep().await {
            Ok(rows) => {
                observer.observe(Event::Swept { rows });
                if rows == u64::from(SWEEP_BATCH) {
                    SWEEP_PAUSE
                } else {
                    SWEEP_EVERY
                }
            }
            Err(failure) => {
                observer.observe(Event::Failed);
                tracing::warn!(cause = %failure.cause, "the store was not swept");
                SWEEP_EVERY
            }
        };
        if pause == SWEEP_EVERY
            && let Ok(rows) = sweeper.rows().await
        {
            observer.observe(Event::Rows(rows));
        }
        sleep(pause.saturating_sub(start.elapsed()).max(SWEEP_PAUSE)).await;
    }
}
