//! Ports that something listens on, as the kernel tells it.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Answers to DHCP come from nowhere in particular; by IPv4 and by IPv6.
pub(super) const DHCP: (u16, u16) = (68, 546);
/// Nobody misses them: DHCP, which stays open, and the link's own name services, mDNS and LLMNR.
const NEVER_MISSED: [&str; 5] = ["68/udp", "546/udp", "5353/udp", "5355/udp", "5355/tcp"];
/// Above it are the ends of connections that this host makes itself.
const FIRST_EPHEMERAL: u16 = 32_768;
const LISTS: [(&str, &str); 4] = [
    ("/proc/net/tcp", "tcp"),
    ("/proc/net/tcp6", "tcp"),
    ("/proc/net/udp", "udp"),
    ("/proc/net/udp6", "udp"),
];

/// One end that waits for others.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    port: u16,
    outside: bool,
    inode: String,
}

/// Ports such as `80/tcp` that others than this host reach, and would miss.
pub(super) fn used() -> BTreeSet<String> {
    let wireguard = has_wireguard();
    let containers: BTreeSet<String> = processes()
        .into_iter()
        .filter_map(|process| {
            let arguments = fs_err::read_to_string(process.join("cmdline")).ok()?;
            published(&arguments)
        })
        .collect();
    let mut ports = BTreeSet::new();
    for (file, protocol) in LISTS {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        let missed = missed(&text, protocol, wireguard).into_iter();
        // By IPv6 not every Docker goes past the firewall.
        let by_docker = |port: &String| !file.ends_with('6') && containers.contains(port);
        ports.extend(missed.filter(|port| !by_docker(port)));
    }
    ports
}

fn missed(text: &str, protocol: &str, wireguard: bool) -> Vec<String> {
    listeners(text, protocol)
        .into_iter()
        .filter(|one| one.outside)
        // WireGuard takes any port, often one of those.
        .filter(|one| protocol == "tcp" || one.port < FIRST_EPHEMERAL || wireguard)
        .map(|one| format!("{}/{protocol}", one.port))
        .filter(|port| !NEVER_MISSED.contains(&port.as_str()))
        .collect()
}

fn has_wireguard() -> bool {
    let interfaces = fs_err::read_dir("/sys/class/net").into_iter().flatten();
    let mut abouts = interfaces
        .flatten()
        .filter_map(|one| fs_err::read_to_string(one.path().join("uevent")).ok());
    abouts.any(|about| about.lines().any(|line| line == "DEVTYPE=wireguard"))
}

/// What `docker-proxy` holds for a container by IPv4: Docker forwards it past the firewall.
fn published(arguments: &str) -> Option<String> {
    let words: Vec<&str> = arguments.split('\0').collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1)
    };
    let is_proxy = words.first()?.rsplit('/').next()? == "docker-proxy";
    let (port, protocol) = (after("-host-port")?, after("-proto")?);
    let four = after("-host-ip").is_none_or(|address| !address.contains(':'));
    (is_proxy && four).then(|| format!("{port}/{protocol}"))
}

/// Who holds a TCP port, in words; wherever they listen, nobody else can take all of it.
pub(super) fn holder(port: u16) -> Option<String> {
    let lists = LISTS.iter().filter(|(_, protocol)| *protocol == "tcp");
    let one = lists
        .filter_map(|(file, protocol)| Some((fs_err::read_to_string(file).ok()?, protocol)))
        .flat_map(|(text, protocol)| listeners(&text, protocol))
        .find(|one| one.port == port)?;
    let socket = PathBuf::from(format!("socket:[{}]", one.inode));
    let holds = |process: &PathBuf| {
        let ends = fs_err::read_dir(process.join("fd")).into_iter().flatten();
        ends.flatten()
            .any(|end| fs_err::read_link(end.path()).is_ok_and(|target| target == socket))
    };
    let name = processes().into_iter().find(holds).and_then(|process| {
        let name = fs_err::read_to_string(process.join("comm")).ok()?;
        Some(crate::command::printable(&name))
    });
    Some(name.unwrap_or_else(|| "something that is no process of this host".to_owned()))
}

fn processes() -> Vec<PathBuf> {
    let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_process))
        .map(|entry| entry.path())
        .collect()
}

fn listeners(text: &str, protocol: &str) -> Vec<Listener> {
    let waiting = if protocol == "tcp" { "0A" } else { "07" };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, _, found) = (words.next()?, words.next()?, words.next()?);
            let (address, port) = local.split_once(':')?;
            (found == waiting).then_some(())?;
            Some(Listener {
                port: u16::from_str_radix(port, 16).ok()?,
                outside: !is_loopback(address),
                inode: words.nth(5).unwrap_or_default().to_owned(),
            })
        })
        .collect()
}

/// The kernel writes each group of four bytes in the machine's own order.
fn is_loopback(address: &str) -> bool {
    let four = address.get(6..8) == Some("7F") && address.len() == 8;
    let six = address == "00000000000000000000000001000000";
    let mapped = address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F");
    four || six || mapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_those_that_others_reach() {
        let tcp = "  sl  local_address rem_address   st tx rx tr tm retrnsmt uid timeout inode\n   \
                   0: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 777 1\n   \
                   1: 0100007F:1538 00000000:0000 0A 0:0 0:0 0 0 0 778 1\n   \
                   2: 00000000:14EB 00000000:0000 0A 0:0 0:0 0 0 0 779 1\n   \
                   3: 0200000A:0050 0100000A:AAAA 01 0:0 0:0 0 0 0 780 1\n";
        assert_eq!(missed(tcp, "tcp", false), ["22/tcp"]);
        let all = listeners(tcp, "tcp");
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].inode, "777");
        let six = "  sl\n   0: 00000000000000000000000001000000:0050 0:0 0A 0\n   \
                   1: 00000000000000000000000000000000:01BB 0:0 0A 0\n";
        assert_eq!(missed(six, "tcp", false), ["443/tcp"]);
    }

    #[test]
    fn a_high_port_is_missed_where_there_is_wireguard() {
        let udp = "  sl\n   0: 00000000:CA6C 0:0 07 0\n   1: 00000000:14E9 0:0 07 0\n   \
                   2: 00000000:0044 0:0 07 0\n   3: 00000000:0035 0:0 07 0\n";
        assert_eq!(missed(udp, "udp", false), ["53/udp"]);
        assert_eq!(missed(udp, "udp", true), ["51820/udp", "53/udp"]);
    }

    #[test]
    fn a_port_of_a_container_is_docker_s() {
        let words = "/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\x000.0.0.0\0-host-port\x008080\0-container-port\x0080\0";
        assert_eq!(published(words).as_deref(), Some("8080/tcp"));
        assert_eq!(published(&words.replace("0.0.0.0", "::")), None);
        assert_eq!(published("nginx\0-proto\0tcp\0-host-port\x0080\0"), None);
        assert_eq!(published(""), None);
    }

    #[test]
    fn whoever_holds_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = fs_err::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(holder(port).as_deref(), Some(own.trim()));
        drop(listener);
        assert_eq!(holder(port), None);
    }
}
