//! The statements. Rows go in as one array for each column, and so in one statement,
//! however many they are.

use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::store::{Key, database::NewClaim, ticket::Settlement};

/// The channel that carries the ids whose outcome is waited for.
pub(in crate::store) const CHANNEL: &str = "mesibo_grpc_claims";

/// The advisory lock of whoever sweeps: "mesibo-g" in ASCII.
pub(in crate::store) const SWEEP_LOCK: i64 = 0x6d65_7369_626f_2d67;

/// Sorted, so that two processes with the same keys do not wait for each other.
const CLAIM: &str = "
    INSERT INTO claims (app, caller, rpc, id, ticket, request, expires)
    SELECT app, caller, rpc, id, ticket, request, now() + lease * interval '1 millisecond'
    FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bytea[],
        $7::bigint[]) AS new (app, caller, rpc, id, ticket, request, lease)
    ORDER BY app, caller, rpc, id
    ON CONFLICT DO NOTHING";

const SETTLE: &str = "
    WITH written AS (
        UPDATE claims SET state = ended.state, answer = ended.answer
        FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::uuid[],
            $6::smallint[], $7::bytea[]) AS ended (app, caller, rpc, id, ticket, state, answer)
        WHERE claims.app = ended.app AND claims.caller = ended.caller
            AND claims.rpc = ended.rpc AND claims.id = ended.id
            AND claims.ticket = ended.ticket AND claims.state = 0
        RETURNING claims.id, claims.waited
    )
    SELECT count(*), count(pg_notify($8, id::text)) FILTER (WHERE waited) FROM written";

const RELEASE: &str = "
    WITH written AS (
        DELETE FROM claims
        USING unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::uuid[])
            AS ended (app, caller, rpc, id, ticket)
        WHERE claims.app = ended.app AND claims.caller = ended.caller
            AND claims.rpc = ended.rpc AND claims.id = ended.id
            AND claims.ticket = ended.ticket AND claims.state = 0
        RETURNING claims.id, claims.waited
    )
    SELECT count(*), count(pg_notify($6, id::text)) FILTER (WHERE waited) FROM written";

const TOUCH: &str = "
    UPDATE claims
    SET waited = true, state = CASE WHEN expires <= now() THEN 2 ELSE 0 END
    FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) AS key (app, caller, rpc, id)
    WHERE claims.app = key.app AND claims.caller = key.caller
        AND claims.rpc = key.rpc AND claims.id = key.id
        AND state = 0 AND (NOT waited OR expires <= now())";

const LOOK: &str = "
    SELECT n, ticket, request, state, answer,
        (extract(epoch FROM expires - now()) * 1000)::bigint
    FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[])
        WITH ORDINALITY AS key (app, caller, rpc, id, n)
    JOIN claims USING (app, caller, rpc, id)";

/// $1: the lock; $2: the retention in milliseconds; $3: the most rows. Rows that somebody
/// else is at are left for another time.
pub(super) const SWEEP: &str = "
    DELETE FROM claims WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM claims
        WHERE (SELECT pg_try_advisory_xact_lock($1))
            AND created <= now() - $2 * interval '1 millisecond'
            AND (state <> 0 OR expires <= now())
        ORDER BY created LIMIT $3
        FOR UPDATE SKIP LOCKED
    ))";

/// By the server's statistics.
pub(super) const ROWS: &str = "
    SELECT coalesce(pg_stat_get_live_tuples('claims'::regclass), 0)";

type Statement = Query<'static, Postgres, PgArguments>;

pub(super) fn claim(rows: &[&NewClaim]) -> Statement {
    let tickets: Vec<Uuid> = rows.iter().map(|new| new.claim.ticket).collect();
    let requests: Vec<Vec<u8>> = rows.iter().map(|new| new.request.to_vec()).collect();
    let leases = rows.iter().map(|new| new.lease.as_millis());
    let leases: Vec<i64> = leases
        .map(|lease| i64::try_from(lease).unwrap_or(i64::MAX))
        .collect();
    with_keys(CLAIM, &rows.iter().map(|new| &new.claim.key))
        .bind(tickets)
        .bind(requests)
        .bind(leases)
}

pub(super) fn settle(rows: &[&Settlement]) -> Statement {
    let outcomes = rows.iter().filter_map(|row| row.outcome.as_ref());
    let (states, answers): (Vec<i16>, Vec<Vec<u8>>) = outcomes
        .map(|outcome| {
            let (state, answer) = outcome.parts();
            (state, answer.to_vec())
        })
        .unzip();
    with_claims(SETTLE, rows)
        .bind(states)
        .bind(answers)
        .bind(CHANNEL)
}

pub(super) fn release(rows: &[&Settlement]) -> Statement {
    with_claims(RELEASE, rows).bind(CHANNEL)
}

pub(super) fn touch(keys: &[&Key]) -> Statement {
    with_keys(TOUCH, &keys.iter().copied())
}

pub(super) fn look(keys: &[&Key]) -> Statement {
    with_keys(LOOK, &keys.iter().copied())
}

fn with_claims(sql: &'static str, rows: &[&Settlement]) -> Statement {
    let tickets: Vec<Uuid> = rows.iter().map(|row| row.claim.ticket).collect();
    with_keys(sql, &rows.iter().map(|row| &row.claim.key)).bind(tickets)
}

fn with_keys<'a>(sql: &'static str, keys: &(impl Iterator<Item = &'a Key> + Clone)) -> Statement {
    let texts = |text: fn(&Key) -> &str| {
        let texts = keys.clone().map(|key| text(key).to_owned());
        texts.collect::<Vec<String>>()
    };
    let ids: Vec<Uuid> = keys.clone().map(|key| key.id).collect();
    sqlx::query(sql)
        .bind(texts(|key| &key.app))
        .bind(texts(|key| &key.caller))
        .bind(texts(|key| key.rpc))
        .bind(ids)
}
