//! What a server answers to the commands of this program, which is not to be trusted: tonic
//! panics on details that are no base64.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use tonic::{body::Body, transport::Channel};
use tower::util::MapResponse;

/// The header, or trailer, with a status and its details in base64.
const DETAILS: &str = "grpc-status-details-bin";

/// base64 whose padding may be missing at the end, as tonic reads it.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A channel to a server whose statuses can be read, whatever it answers.
pub type ServerChannel = MapResponse<Channel, fn(Response<Body>) -> Response<Body>>;

/// Leaves details that cannot be read out of what comes by a channel.
#[must_use]
pub fn readable(channel: Channel) -> ServerChannel {
    MapResponse::new(channel, of_response)
}

fn of_response(mut response: Response<Body>) -> Response<Body> {
    of_headers(response.headers_mut());
    response.map(|body| {
        Body::new(body.map_frame(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                of_headers(trailers);
            }
            frame
        }))
    })
}

fn of_headers(headers: &mut HeaderMap) {
    let details = headers.get(DETAILS);
    if details.is_some_and(|details| BASE64.decode(details).is_err()) {
        headers.remove(DETAILS);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::{collection::vec, prop_assert_eq, prop_oneof, strategy::Strategy as _};
    use tonic::Status;

    use super::*;
    use crate::fuzz;

    #[test]
    fn a_status_is_read_whatever_its_details_are() {
        let nearly = "[A-Za-z0-9+/=_,-]{0,24}".prop_map(String::into_bytes);
        let details = prop_oneof![nearly, vec(proptest::num::u8::ANY, 0..12)];
        fuzz::holds(&details, |details| {
            let Ok(details) = HeaderValue::from_bytes(&details) else {
                return Ok(());
            };
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", HeaderValue::from_static("5"));
            headers.insert(DETAILS, details);
            of_headers(&mut headers);
            let status = Status::from_header_map(&headers);
            prop_assert_eq!(
                status.map(|status| status.code()),
                Some(tonic::Code::NotFound)
            );
            Ok(())
        });
    }
}
