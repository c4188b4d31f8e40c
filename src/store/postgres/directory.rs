//! The directory in PostgreSQL. Every statement is carried out and committed by itself, for
//! the reason that the claims' are.

use std::time::Duration;

use sqlx::{PgConnection, postgres::PgPool};

use super::Link;
use crate::store::{
    database::Failure,
    directory::{Backend, Bind, Columns, Fetch, Row, Step},
};

/// The directory, through connections that are taken for each use.
pub(in crate::store) struct Directory {
    pool: PgPool,
    timeout: Duration,
}

impl Directory {
    pub(in crate::store) fn new(pool: &PgPool, timeout: Duration) -> Self {
        Self {
            pool: pool.clone(),
            timeout,
        }
    }
}

impl Backend for Directory {
    async fn run(&self, steps: &[Step]) -> Result<(), Failure> {
        let mut link = Link::new(&self.pool, self.timeout);
        link.run(async |to| {
            for step in steps {
                let before = step.before.iter().map(String::as_str);
                for sql in before.chain([step.sql]) {
                    sqlx::query(sql).bind(&step.rows).execute(&mut *to).await?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Vec<Row>, Failure> {
        let mut link = Link::new(&self.pool, self.timeout);
        link.run(async |from| read(from, &fetch).await).await
    }
}

async fn read(from: &mut PgConnection, fetch: &Fetch) -> sqlx::Result<Vec<Row>> {
    let mut query = sqlx::query_as::<_, Columns>(fetch.sql);
    for bind in &fetch.binds {
        query = match bind {
            Bind::Text(text) => query.bind(text),
            Bind::Number(number) => query.bind(number),
        };
    }
    let rows = query.fetch_all(from).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}
