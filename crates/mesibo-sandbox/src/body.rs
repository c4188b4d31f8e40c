//! Request bodies, within limits of size and time.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hub::Hub;

/// The most bytes of a body, but for a snapshot. A message of 1 MiB has 3 MiB when each
/// of its bytes is percent-encoded.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The most bytes of a snapshot, and the most of any body that are read at all.
pub(crate) const SNAPSHOT_LIMIT: usize = 64 * 1024 * 1024;

/// A body that was read, and its share of what all bodies together may take.
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes, or says the status that answers it: 413 for one that is too large, 408
/// for one that is too slow, 503 when too many are being read.
///
/// One that is too large is read on, within reason, and thrown away: a connection
/// that is closed while its peer still writes is reset, and the peer would find a
/// broken pipe where the status should be.
pub(crate) async fn read(body: Body, limit: usize, hub: &Hub) -> Result<Read, StatusCode> {
    tokio::time::timeout(hub.stall_timeout, gather(body, limit, &hub.bodies))
        .await
        .unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

async fn gather(mut body: Body, limit: usize, room: &Arc<Semaphore>) -> Result<Read, StatusCode> {
    let mut kept = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    let mut size = 0;
    let mut refused = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let data = frame.into_data().unwrap_or_default();
        size += data.len();
        if size > SNAPSHOT_LIMIT {
            break;
        }
        if size > limit {
            refused = Some(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if refused.is_some() {
            // Frees what was kept of a body that is refused.
            share = None;
            kept = BytesMut::new();
            continue;
        }
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(room).try_acquire_many_owned(count) else {
            refused = Some(StatusCode::SERVICE_UNAVAILABLE);
            continue;
        };
        match &mut share {
            Some(share) => share.merge(permit),
            None => share = Some(permit),
        }
        kept.extend_from_slice(&data);
    }
    match refused {
        Some(status) => Err(status),
        None if size > limit => Err(StatusCode::PAYLOAD_TOO_LARGE),
        None => Ok(Read {
            bytes: kept.freeze(),
            _share: share,
        }),
    }
}
