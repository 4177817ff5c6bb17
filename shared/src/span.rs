//! Spans of time as people write them: `500ms`, `30s`, `10m`, `2h`, `7d`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

/// A text that is no span of time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no span of time: write a whole number and a unit, such as \"500ms\", \"30s\", \"10m\", \"2h\" or \"7d\"; 90 days are the most"
)]
pub struct SpanError(String);

const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

impl Span {
    /// So many whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(SpanError(text)),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(milliseconds))
            .map(Duration::from_millis)
            .filter(|span| *span <= LONGEST)
            .map(Self)
            .ok_or(SpanError(text))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.as_millis();
        match all {
            _ if all.is_multiple_of(86_400_000) && all > 0 => write!(out, "{}d", all / 86_400_000),
            _ if all.is_multiple_of(3_600_000) && all > 0 => write!(out, "{}h", all / 3_600_000),
            _ if all.is_multiple_of(60_000) && all > 0 => write!(out, "{}m", all / 60_000),
            _ if all.is_multiple_of(1000) => write!(out, "{}s", all / 1000),
            _ => write!(out, "{all}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Result<Span, SpanError> {
        Span::try_from(text.to_owned())
    }

    #[test]
    fn reads_what_it_writes() {
        for text in ["0s", "500ms", "30s", "10m", "2h"] {
            assert_eq!(span(text).unwrap().to_string(), text);
        }
        assert_eq!(span("90s").unwrap().duration(), Duration::from_secs(90));
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "10M",
            "99999999999999999999s",
            "9999h",
        ] {
            assert!(span(text).is_err(), "{text:?} passed");
        }
    }
}
