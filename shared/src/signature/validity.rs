//! From when until when a key may sign, as `allowed_signers` writes it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `valid-after` and `valid-before`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) after: Option<Timestamp>,
    pub(super) before: Option<Timestamp>,
}

impl Validity {
    /// Which of its ends a time is beyond, if it is.
    pub(super) fn outside(&self, now: Timestamp) -> Option<Outside> {
        if let Some(after) = self.after.filter(|after| now < *after) {
            return Some(Outside::NotYet(after));
        }
        let before = self.before.filter(|before| now > *before)?;
        Some(Outside::Expired(before))
    }
}

/// Why a key may not sign now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    NotYet(Timestamp),
    Expired(Timestamp),
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without a `Z` behind it. OpenSSH takes
/// the zone of the machine where there is no `Z`; here it is UTC, so that the laptop and every host
/// say the same.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| {
        let part = number(from, from + 2).unwrap_or(0);
        i8::try_from(part).ok()
    };
    let (year, month, day) = (number(0, 4)?, small(4)?, small(6)?);
    let (hour, minute, second) = (small(8)?, small(10)?, small(12)?);
    let moment = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let moment = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // OpenSSH takes no time before 1970 either.
    (moment >= Timestamp::UNIX_EPOCH).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_full_or_not_at_all() {
        let second = |text: &str| parse_time(text).map(Timestamp::as_second);
        assert_eq!(second("20240229"), Some(1_709_164_800));
        assert_eq!(second("19691231Z"), None);
        assert_eq!(second("20240229Z"), Some(1_709_164_800));
        assert_eq!(second("202402291230"), Some(1_709_209_800));
        assert_eq!(second("20240229123015Z"), Some(1_709_209_815));
        for text in [
            "",
            "2024",
            "20240230",
            "20241301",
            "202402292460",
            "2024022912",
            "+2024229",
            "20240229ZZ",
            "20240229 ",
        ] {
            assert_eq!(second(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_ends_belong_to_the_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let both = Validity {
            after: Some(at(10)),
            before: Some(at(20)),
        };
        assert_eq!(both.outside(at(9)), Some(Outside::NotYet(at(10))));
        assert_eq!(both.outside(at(10)), None);
        assert_eq!(both.outside(at(20)), None);
        assert_eq!(both.outside(at(21)), Some(Outside::Expired(at(20))));
        assert_eq!(Validity::default().outside(at(0)), None);
    }
}
