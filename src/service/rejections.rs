//! Calls that Mesibo refused because of the application's own token. No caller can mend
//! that, and every other call of the app fails as well.

use std::sync::Arc;

use mesibo::{Error, Failure};
use tonic::Code;

use super::metrics::ServiceMetrics;
use crate::{
    call::App,
    status::ErrorCodes,
    telemetry::sampler::{Sample, Sampler},
};

/// How many apps have lines of their own in the log.
const MAX_APPS: usize = 1_024;

/// Counts the rejections of the tokens of apps, and tells the operator. Clones share it.
#[derive(Clone)]
pub(super) struct TokenRejections {
    codes: ErrorCodes,
    metrics: ServiceMetrics,
    lines: Arc<Sampler<Arc<str>>>,
}

impl TokenRejections {
    pub(super) fn new(codes: ErrorCodes, metrics: ServiceMetrics) -> Self {
        Self {
            codes,
            metrics,
            lines: Arc::new(Sampler::new(MAX_APPS)),
        }
    }

    /// Looks at what became of a call to Mesibo for an app.
    pub(super) fn look<R>(&self, app: &App, result: &Result<R, Error>) {
        let Err(error) = result else {
            return;
        };
        let Failure::Refused {
            code: Some(code), ..
        } = error.failure()
        else {
            return;
        };
        if self.codes.get(code) != Code::Unauthenticated {
            return;
        }
        self.metrics.token_rejected(app);
        if let Sample::Line { skipped } = self.lines.take(&app.name) {
            tracing::error!(
                app = &*app.name,
                code,
                skipped,
                "Mesibo rejects the application's token: no call of the app succeeds until it has \
                 a valid one"
            );
        }
    }
}
