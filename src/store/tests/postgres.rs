//! What is particular to PostgreSQL.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{join, time::Instant};

use super::{
    Claimed, Config, LONG, Location, REQUEST, Server, Waited, done, key, open, opened, replayed,
    server::PASSWORD, won,
};
use crate::store::{Error, NoObserver, OpenError, migrate};

async fn refusal(config: &Config) -> OpenError {
    open(config, Arc::new(NoObserver)).await.err().unwrap()
}

/// One that waits for a database that is being restarted.
fn patient(config: Config) -> Config {
    Config {
        timeout: Duration::from_secs(15),
        ..config
    }
}

#[tokio::test]
async fn a_restart_of_the_database_loses_nothing_and_gives_nothing_twice() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = patient(server.database("restart").await);
    let (one, other) = join!(opened(&config), opened(&config));
    let before = won(&*one, 1).await;
    assert!(won(&*one, 2).await.settle(done(b"before")).await);
    server.crash();

    let settling = before.settle(done(b"meanwhile"));
    let claims = (100..200).map(|id| {
        let claims = [
            one.claim(key(id), REQUEST, LONG),
            other.claim(key(id), REQUEST, LONG),
        ];
        join_all(claims)
    });
    let (claims, ()) = join!(join_all(claims), async { server.resume() });
    assert!(settling.await);
    for claims in claims {
        let won = claims
            .iter()
            .filter(|claimed| matches!(claimed, Ok(Claimed::Won(_))));
        assert_eq!(won.count(), 1, "{claims:?}");
        assert!(claims.iter().all(Result::is_ok), "{claims:?}");
    }
    assert_eq!(replayed(&*other, 1).await, done(b"meanwhile"));
    assert_eq!(replayed(&*other, 2).await, done(b"before"));

    // The notifications are back, too, or the call would look for itself.
    let ticket = won(&*one, 300).await;
    let here = key(300);
    let (waited, _) = join!(other.wait(&here, Instant::now() + LONG), ticket.release());
    assert_eq!(waited.unwrap(), Waited::Released);
}

#[tokio::test]
async fn a_database_that_is_gone_makes_claims_unavailable_and_comes_back() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = Config {
        timeout: Duration::from_millis(300),
        ..server.database("gone").await
    };
    let store = opened(&config).await;
    server.crash();
    let claimed = store.claim(key(1), REQUEST, LONG).await;
    assert!(
        matches!(claimed, Err(Error::Unavailable { .. })),
        "{claimed:?}"
    );
    let unreachable = migrate(&config).await.unwrap_err();
    assert!(
        matches!(unreachable, OpenError::Unreachable(_)),
        "{unreachable}"
    );
    server.resume();
    let deadline = Instant::now() + LONG;
    while store.claim(key(2), REQUEST, LONG).await.is_err() {
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_primary_that_becomes_read_only_makes_claims_unavailable_until_it_is_one_again() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = Config {
        // The first connection takes its time on a busy machine.
        timeout: Duration::from_secs(4),
        ..server.database("standby").await
    };
    let store = opened(&config).await;
    assert!(won(&*store, 1).await.settle(done(b"before")).await);
    let interrupt = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = 'standby' AND pid <> pg_backend_pid()";
    let read_only = "ALTER DATABASE standby SET default_transaction_read_only = ";
    server.execute("postgres", &format!("{read_only} on")).await;
    server.execute("postgres", interrupt).await;
    let claimed = store.claim(key(2), REQUEST, LONG).await;
    assert!(
        matches!(claimed, Err(Error::Unavailable { .. })),
        "{claimed:?}"
    );
    assert_eq!(refusal(&config).await, OpenError::ReadOnly);

    server
        .execute("postgres", &format!("{read_only} off"))
        .await;
    let deadline = Instant::now() + LONG;
    while store.claim(key(3), REQUEST, LONG).await.is_err() {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(replayed(&*store, 1).await, done(b"before"));
}

#[tokio::test]
async fn a_start_says_what_is_wrong_with_the_database_and_no_secret() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = server.database("schema").await;
    migrate(&config).await.unwrap();

    let wrong = Config {
        password: Some("hunter2".into()),
        ..config.clone()
    };
    let error = refusal(&wrong).await;
    assert!(matches!(error, OpenError::Denied(_)), "{error}");
    assert!(!format!("{error} {error:?} {wrong:?}").contains("hunter2"));

    let error = refusal(&server.config("nowhere")).await;
    assert!(
        error.to_string().contains("\"nowhere\" does not exist"),
        "{error}"
    );

    let guest = format!(
        "CREATE USER guest PASSWORD '{PASSWORD}';
         GRANT SELECT ON mesibo_grpc_migrations, claims TO guest"
    );
    server.execute("schema", &guest).await;
    let as_guest = Config {
        location: guest_of(&config.location),
        ..config.clone()
    };
    let error = refusal(&as_guest).await;
    assert!(
        error.to_string().contains("INSERT, UPDATE and DELETE"),
        "{error}"
    );
    server
        .execute(
            "schema",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest",
        )
        .await;
    drop(won(&*opened(&as_guest).await, 1).await);

    let newer = "INSERT INTO mesibo_grpc_migrations
        SELECT 99, 'of the future', installed_on, success, checksum, execution_time
        FROM mesibo_grpc_migrations WHERE version = 1";
    server.execute("schema", newer).await;
    let error = refusal(&config).await;
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
}

fn guest_of(location: &Location) -> Location {
    let Location::Postgres(url) = location else {
        panic!("{location}");
    };
    url.as_str().replace("admin@", "guest@").parse().unwrap()
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = Config {
        ca_file: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        ..server.database("tls").await
    };
    let error = refusal(&config).await;
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[tokio::test]
async fn migrations_at_the_same_time_are_done_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = server.database("migrations").await;
    let all = join_all((0..8).map(|_| migrate(&config))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    drop(won(&*opened(&config).await, 1).await);
}

#[tokio::test]
async fn a_commit_is_durable_even_where_the_server_would_not_wait_for_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = server.database("durable").await;
    let relaxed = "ALTER DATABASE durable SET synchronous_commit = off";
    server.execute("postgres", relaxed).await;
    let store = opened(&config).await;
    let _ticket = won(&*store, 1).await;
    server.crash();
    server.resume();
    let later = opened(&config).await;
    let claimed = later.claim(key(1), REQUEST, LONG).await.unwrap();
    assert!(matches!(claimed, Claimed::UnderWay { .. }), "{claimed:?}");
}
