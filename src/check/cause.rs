//! The cause of a failed connection, among the causes of an error.

use std::{error::Error, io, iter::successors};

/// The error and its causes, the outermost first.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The I/O error among the causes.
pub(crate) fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())
}

/// The TLS error among the causes.
pub(crate) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    // The source of an I/O error is not the error that it wraps, but the source of that. A
    // connector wraps the error of the handshake once more.
    let mut outer = io_error(error)?;
    loop {
        let inner = outer.get_ref()?;
        if let Some(tls) = inner.downcast_ref() {
            return Some(tls);
        }
        outer = inner.downcast_ref()?;
    }
}
