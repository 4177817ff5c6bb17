//! Where a host is: a name or an IP address, and a port if the inventory gives one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// `web-1.example.com`, `203.0.113.7:2222`, `2001:db8::7` or `[2001:db8::7]:2222`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: Option<u16>,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    #[error("the address is empty")]
    Empty,
    #[error("`{0}` is not an address: write host, host:port, or [IPv6]:port")]
    Malformed(String),
    #[error("`{0}` is not a port between 1 and 65535")]
    Port(String),
}

impl Address {
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(text.to_owned());
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(malformed)?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err(malformed()),
            };
            // Brackets mean IPv6; a zone (`%eth0`) is part of how a link-local host is reached.
            let bare = host.split('%').next().unwrap_or(host);
            if !matches!(bare.parse(), Ok(IpAddr::V6(_))) {
                return Err(malformed());
            }
            (host, port)
        } else if matches!(text.parse(), Ok(IpAddr::V6(_))) {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || host.starts_with('-') || !host.chars().all(allowed) {
            return Err(malformed());
        }
        let port = match port {
            None => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(AddressError::Port(digits.to_owned())),
            },
        };
        Ok(Address {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Option<u16>) {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        (address.host().to_owned(), address.port())
    }

    #[test]
    fn all_the_spellings_are_read() {
        assert_eq!(parts("web-1"), ("web-1".into(), None));
        assert_eq!(parts("203.0.113.7"), ("203.0.113.7".into(), None));
        assert_eq!(
            parts("203.0.113.7:2222"),
            ("203.0.113.7".into(), Some(2222))
        );
        assert_eq!(parts("2001:db8::7"), ("2001:db8::7".into(), None));
        assert_eq!(parts("[2001:db8::7]"), ("2001:db8::7".into(), None));
        assert_eq!(parts("[2001:db8::7]:22"), ("2001:db8::7".into(), Some(22)));
        assert_eq!(
            parts("[fe80::1%eth0]:22"),
            ("fe80::1%eth0".into(), Some(22))
        );
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "", "a b", "a:0", "a:99999", "a:ssh", "[::1", "[::1]22", "[web]:22", "-oProxy",
            "a:1:2", "a/b", "root@a",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text} was taken");
        }
    }
}
