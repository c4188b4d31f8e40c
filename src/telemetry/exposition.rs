//! The text formats of metrics, and which of them a scraper asks for.

use std::fmt::Write as _;

use axum::http::{HeaderMap, header::ACCEPT};

/// The media type of `OpenMetrics`, without its parameters.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The media type of the text format, without its parameters.
const TEXT: &str = "text/plain";

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every tool reads.
    Text,
}

impl Exposition {
    /// What a request asks for by its header `accept`: `OpenMetrics` if that is named, and
    /// plain text is not preferred to it; else the text format, whatever is asked for.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let best = |wanted: &str| {
            let values = headers.get_all(ACCEPT).iter();
            let values = values.filter_map(|value| value.to_str().ok());
            let ranges = values.flat_map(|value| value.split(',')).map(quality);
            let of_type = ranges.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            of_type.map(|(_, quality)| quality).fold(0.0, f32::max)
        };
        let (open_metrics, text) = (best(OPEN_METRICS), best(TEXT));
        if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The value of the header `content-type`.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Metrics in this format, from `OpenMetrics`.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => text(&open_metrics),
        }
    }
}

/// A media range of the header `accept`, RFC 9110, section 12.5.1, with its quality: 1 if
/// it has none, 0 if it is invalid.
fn quality(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let quality = quality.map_or(1.0, |value| {
        let value: f32 = value.parse().unwrap_or(0.0);
        if (0.0..=1.0).contains(&value) {
            value
        } else {
            0.0
        }
    });
    (name, quality)
}

/// `OpenMetrics` as the text format: a counter is described by the name of its series,
/// which ends in `_total`; what is information is a gauge, by the name of its series as
/// well; there are no units, and no end. Series are the same in both, for none has an
/// exemplar.
fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        // The type comes behind the help, and decides on the name in both.
        if let Some(described) = comment.strip_prefix("HELP ") {
            help = described.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) = comment
            .strip_prefix("TYPE ")
            .and_then(|typed| typed.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some(help) = help.take() {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_prefers_and_the_text_format_if_it_does_not_say() {
        use Exposition::{OpenMetrics, Text};
        for (accept, expected) in [
            (&[][..], Text),
            (&["*/*"], Text),
            (&["text/html, application/json;q=0.9"], Text),
            (&["text/plain;version=0.0.4"], Text),
            (&["application/openmetrics-text"], OpenMetrics),
            (
                &["Application/OpenMetrics-Text; Version=1.0.0; Q=0.7"],
                OpenMetrics,
            ),
            // Prometheus 2 and 3.
            (
                &["application/openmetrics-text;version=1.0.0;q=0.5,\
                   application/openmetrics-text;version=0.0.1;q=0.4,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
                OpenMetrics,
            ),
            (
                &[
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                   application/openmetrics-text;version=0.0.1;q=0.5,\
                   text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ],
                OpenMetrics,
            ),
            // Its text protocol first, as a setting of a scrape says.
            (
                &["text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5"],
                Text,
            ),
            (
                &["text/plain;q=0.3", "application/openmetrics-text;q=0.5"],
                OpenMetrics,
            ),
            (&["application/openmetrics-text;q=0"], Text),
            (&["application/openmetrics-text;q=none"], Text),
            (&["application/openmetrics-textual"], Text),
            (&[";q=1,,;"], Text),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            assert_eq!(Exposition::accepted(&headers), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_text_format_has_the_names_and_types_of_its_own() {
        let open_metrics = "# HELP a What a is.\n# TYPE a counter\na_total{l=\"# x\"} 1\n\
            # HELP b What b is.\n# TYPE b info\nb_info{version=\"1\"} 1\n\
            # HELP c_seconds What c is.\n# TYPE c_seconds histogram\n# UNIT c_seconds seconds\n\
            c_seconds_sum 0.5\nc_seconds_count 1\nc_seconds_bucket{le=\"+Inf\"} 1\n\
            # TYPE d unknown\nd 4\n# EOF\n";
        let expected = "# HELP a_total What a is.\n# TYPE a_total counter\na_total{l=\"# x\"} 1\n\
            # HELP b_info What b is.\n# TYPE b_info gauge\nb_info{version=\"1\"} 1\n\
            # HELP c_seconds What c is.\n# TYPE c_seconds histogram\n\
            c_seconds_sum 0.5\nc_seconds_count 1\nc_seconds_bucket{le=\"+Inf\"} 1\n\
            # TYPE d untyped\nd 4\n";
        assert_eq!(Exposition::Text.of(open_metrics.into()), expected);
        assert_eq!(
            Exposition::OpenMetrics.of(open_metrics.into()),
            open_metrics
        );
    }
}
