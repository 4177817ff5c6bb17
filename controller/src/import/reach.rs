//! Which of a server's addresses to take: public IPv4, else IPv6, else a name, else a private one.

use std::net::{IpAddr, Ipv4Addr};

use super::Found;
use crate::inventory::is_domain;

pub(super) const NO_ADDRESS: &str = "it has no address yet";
pub(super) const PRIVATE: &str =
    "it has only a private address: you need to be in its network, or a ProxyJump in ~/.ssh/config";

/// What a text is, where it is an address that somebody could connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    PublicV4,
    PublicV6,
    Name,
    Private,
}

pub(super) fn kind(text: &str) -> Option<Kind> {
    match text.parse() {
        Ok(IpAddr::V4(address)) => of_v4(address),
        Ok(IpAddr::V6(address)) => {
            if let Some(mapped) = address.to_ipv4_mapped() {
                return of_v4(mapped);
            }
            if address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_unicast_link_local()
            {
                None
            } else if address.is_unique_local() {
                Some(Kind::Private)
            } else {
                Some(Kind::PublicV6)
            }
        }
        Err(_) => is_name(text).then_some(Kind::Name),
    }
}

fn of_v4(address: Ipv4Addr) -> Option<Kind> {
    let [first, second, ..] = address.octets();
    if address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
    {
        None
    } else if address.is_private() || (first == 100 && (64..128).contains(&second)) {
        Some(Kind::Private)
    } else {
        Some(Kind::PublicV4)
    }
}

/// A full name in DNS. Versions, tokens and the like are none.
fn is_name(text: &str) -> bool {
    let top = text.rsplit_once('.').map(|(_, top)| top);
    is_domain(text)
        && top.is_some_and(|top| top.len() >= 2 && top.bytes().all(|b| b.is_ascii_lowercase()))
}

/// The addresses of one server.
#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<(Kind, String)>);

impl Addresses {
    pub(super) fn offer(&mut self, text: Option<String>) {
        let Some(text) = text else { return };
        if let Some(kind) = kind(&text) {
            self.0.push((kind, text));
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The server at the best of them; of several that are as good, the first.
    pub(super) fn host(self, name: String) -> Option<Found> {
        let order = [Kind::PublicV4, Kind::PublicV6, Kind::Name, Kind::Private];
        let best = |wanted: &Kind| self.0.iter().find(|(kind, _)| kind == wanted);
        let (kind, address) = order.iter().find_map(best)?;
        let mut found = Found::new(name, address.as_str());
        if *kind == Kind::Private {
            found.private = true;
            found.notes.push(PRIVATE.to_owned());
        }
        Some(found)
    }
}
