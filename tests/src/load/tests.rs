//! The generator against a server that fails on cue: it must see each fault, and none more.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::{Connections, Kind, Load, Outcome};

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n1.0.0\n";

/// What the server does with one request: the bytes it sends, and whether it hangs up then.
type Cue = fn(usize) -> (&'static [u8], bool);

fn serve(cue: Cue) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let count = Arc::clone(&count);
            thread::spawn(move || answer(stream.unwrap(), cue, &count));
        }
    });
    address
}

fn answer(mut stream: TcpStream, cue: Cue, count: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let (bytes, hang_up) = cue(count.fetch_add(1, Ordering::SeqCst));
        let _ = stream.write_all(bytes);
        if hang_up {
            return;
        }
    }
}

fn load(address: SocketAddr, requests: u64, connections: Connections) -> Outcome {
    let mut load = Load::on(vec![address], "tiny.test");
    load.workers = 1;
    load.connections = connections;
    load.most_requests = Some(requests);
    load.run()
}

fn kinds(outcome: &Outcome) -> Vec<Kind> {
    outcome
        .failures
        .iter()
        .map(|failure| failure.kind)
        .collect()
}

#[test]
fn a_good_server_fails_nothing() {
    for connections in [Connections::Kept, Connections::Fresh] {
        let outcome = load(serve(|_| (GOOD, false)), 200, connections);
        assert_eq!((outcome.sent, outcome.failed), (200, 0), "{outcome}");
        assert_eq!(outcome.versions["1.0.0"], 200);
    }
}

#[test]
fn a_kept_connection_closed_without_a_word_is_a_failure() {
    // Each third answer is followed by a close that was not announced.
    let outcome = load(serve(|n| (GOOD, n % 3 == 2)), 9, Connections::Kept);
    assert_eq!(outcome.sent, 9);
    assert!(!outcome.failures.is_empty(), "{outcome}");
    assert!(
        kinds(&outcome).iter().all(|kind| *kind == Kind::NoAnswer),
        "{outcome}"
    );
}

#[test]
fn an_announced_close_is_none() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let cue: Cue = |_| {
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            true,
        )
    };
    assert_eq!(cue(0).0, bytes);
    let outcome = load(serve(cue), 20, Connections::Kept);
    assert_eq!(outcome.failed, 0, "{outcome}");
}

#[test]
fn each_fault_has_its_name() {
    let cases: [(Cue, Kind); 5] = [
        (|_| (b"", true), Kind::NoAnswer),
        (|_| (b"HTTP/1.1 200 OK\r\nContent-Le", true), Kind::CutShort),
        (
            |_| (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", true),
            Kind::CutShort,
        ),
        (|_| (b"nonsense\r\n\r\n", true), Kind::Malformed),
        (
            |_| {
                (
                    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
                    false,
                )
            },
            Kind::Status(502),
        ),
    ];
    for (cue, kind) in cases {
        let outcome = load(serve(cue), 3, Connections::Fresh);
        assert_eq!(kinds(&outcome), [kind; 3], "{outcome}");
    }
}

#[test]
fn nobody_listening_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = load(address, 2, Connections::Kept);
    assert_eq!(kinds(&outcome), [Kind::Connect; 2], "{outcome}");
}

#[test]
fn chunks_and_bodies_until_close_are_read_whole() {
    let chunked: Cue = |_| {
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n1.2\r\n2\r\n.3\r\n0\r\n\r\n", false)
    };
    let closed: Cue = |_| (b"HTTP/1.1 200 OK\r\n\r\n1.2.3", true);
    for cue in [chunked, closed] {
        let outcome = load(serve(cue), 5, Connections::Kept);
        assert_eq!(outcome.versions.get("1.2.3"), Some(&5), "{outcome}");
    }
}

#[test]
fn a_pause_of_the_server_is_the_longest_gap() {
    let cue: Cue = |n| {
        if n == 10 {
            thread::sleep(Duration::from_millis(300));
        }
        (GOOD, false)
    };
    let outcome = load(serve(cue), 20, Connections::Kept);
    assert!(
        outcome.longest_gap >= Duration::from_millis(290),
        "{outcome}"
    );
    assert!(
        outcome.longest_gap < Duration::from_millis(900),
        "{outcome}"
    );
}

#[test]
fn a_rate_is_kept_and_time_is_a_bound() {
    let mut load = Load::on(vec![serve(|_| (GOOD, false))], "tiny.test");
    load.rate = Some(100.0);
    load.longest = Some(Duration::from_millis(500));
    let outcome = load.run();
    assert!((30..=60).contains(&outcome.sent), "{outcome}");
    assert_eq!(outcome.failed, 0, "{outcome}");
}
