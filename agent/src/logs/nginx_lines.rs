//! Lines of nginx's own file of errors, of which each names the domain that it is about.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use longshore_shared::wire::latest::LogLine;

use super::{Wanted, bounded};

const LOOKED_THROUGH: u32 = 20_000;
const FILE: &str = "/var/log/nginx/error.log";

/// What the program that reads the file is told.
pub(super) fn words(wanted: &Wanted) -> Vec<String> {
    // Lines of all sites are in it.
    let lines = match wanted.lines {
        0 => 0,
        lines => lines.max(LOOKED_THROUGH),
    };
    let mut words = vec![format!("--lines={lines}")];
    if wanted.follow {
        words.push("--follow=name".to_owned());
        words.push("--retry".to_owned());
    }
    words.push(FILE.to_owned());
    words
}

/// A line about this domain.
pub(super) fn parse(raw: &[u8], domain: &str) -> Option<LogLine> {
    let text = String::from_utf8_lossy(raw);
    // A visitor chooses what stands behind this, and nginx what stands before it.
    let (_, server) = text.split_once(", server: ")?;
    server.strip_prefix(domain)?.strip_prefix(',')?;
    let (time, rest) = text.split_at_checked(19)?;
    let at = DateTime::strptime("%Y/%m/%d %H:%M:%S", time).ok()?;
    let at: Timestamp = at.to_zoned(TimeZone::system()).ok()?.timestamp();
    Some(LogLine {
        at,
        of: "nginx".to_owned(),
        text: bounded(rest.trim_start()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_domain_are_the_apps() {
        let line = b"2026/11/21 10:02:03 [error] 5#5: *1 connect() failed, client: ::1, server: a.example, request: \"GET / HTTP/1.1\"\n";
        let told = parse(line, "a.example").unwrap();
        assert!(told.text.starts_with("[error] 5#5") && told.of == "nginx");
        assert!(parse(line, "b.example").is_none());
        assert!(parse(line, "example").is_none());
        assert!(
            parse(
                "2026/11/21 10:0\u{e4} server: a.example,".as_bytes(),
                "a.example"
            )
            .is_none()
        );
    }
}
