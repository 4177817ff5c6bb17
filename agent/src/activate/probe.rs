//! One HTTP request to one address, within bounds of time and size.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use thiserror::Error;

/// More of an answer is not read: a health check has little to say.
const LARGEST_ANSWER: usize = 64 * 1024;
const MOST_HEADERS: usize = 64;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Why nothing came back.
#[derive(Debug, Error)]
pub(super) enum ProbeError {
    #[error("nothing listens")]
    Nobody(#[source] io::Error),
    #[error("somebody else listens")]
    Stranger,
    #[error("no whole answer came within {0:?}")]
    Slow(Duration),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the answer is not HTTP")]
    NotHttp,
}

/// Asks what listens on a unix socket, if `is_own` says so of the listening process, which the
/// kernel names.
pub(super) fn ask_socket(
    socket: &Path,
    is_own: impl Fn(Option<i32>) -> bool,
    host: &str,
    path: &str,
    patience: Duration,
) -> Result<Answer, ProbeError> {
    let stream = UnixStream::connect(socket).map_err(ProbeError::Nobody)?;
    let listener = rustix::net::sockopt::socket_peercred(&stream).ok();
    // The app's user chose what is at this path: nothing is said to anybody else's process.
    if !is_own(listener.map(|credentials| credentials.pid.as_raw_nonzero().get())) {
        return Err(ProbeError::Stranger);
    }
    let limit = |left| {
        stream
            .set_read_timeout(Some(left))
            .and_then(|()| stream.set_write_timeout(Some(left)))
    };
    exchange(&stream, limit, host, path, patience)
}

/// Asks the web server of this host.
pub(super) fn ask_web_server(
    host: &str,
    path: &str,
    patience: Duration,
) -> Result<Answer, ProbeError> {
    let address = (Ipv4Addr::LOCALHOST, 80).into();
    let stream = TcpStream::connect_timeout(&address, patience).map_err(ProbeError::Nobody)?;
    let limit = |left| {
        stream
            .set_read_timeout(Some(left))
            .and_then(|()| stream.set_write_timeout(Some(left)))
    };
    exchange(&stream, limit, host, path, patience)
}

fn exchange<S>(
    stream: &S,
    limit: impl Fn(Duration) -> io::Result<()>,
    host: &str,
    path: &str,
    patience: Duration,
) -> Result<Answer, ProbeError>
where
    for<'a> &'a S: Read + Write,
{
    let deadline = Instant::now() + patience;
    let mut stream = stream;
    let slow = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ProbeError::Slow(patience),
        _ => ProbeError::Broken(error),
    };
    limit(patience).map_err(ProbeError::Broken)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: longshore-agent\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(slow)?;
    let mut raw = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // The whole answer has one deadline, so that a byte now and then does not stretch it.
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ProbeError::Slow(patience));
        }
        limit(left).map_err(ProbeError::Broken)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => raw.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(slow(error)),
        }
        if raw.len() >= LARGEST_ANSWER || is_whole(&raw) {
            break;
        }
    }
    parse(&raw)
}

/// Some servers keep the connection open although they were asked not to.
fn is_whole(raw: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(body)) = response.parse(raw) else {
        return false;
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    length.is_some_and(|length: usize| raw.len() - body >= length)
}

fn parse(raw: &[u8]) -> Result<Answer, ProbeError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(start)) = response.parse(raw) else {
        return Err(ProbeError::NotHttp);
    };
    let status = response.code.ok_or(ProbeError::NotHttp)?;
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    let body = raw.get(start..).unwrap_or_default();
    let chunked = header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let body = if chunked {
        unchunk(body)
    } else {
        body.to_vec()
    };
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(raw) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let rest = raw.get(start..).unwrap_or_default();
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        body.extend_from_slice(chunk);
        raw = rest
            .get(size..)
            .and_then(|rest| rest.strip_prefix(b"\r\n"))
            .unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn serve(answer: &'static [u8], hold: bool) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
            if hold {
                let _ = stream.read(&mut [0; 1024]);
            }
        });
        (folder, path)
    }

    fn ask(answer: &'static [u8], hold: bool) -> Result<Answer, ProbeError> {
        let (_folder, path) = serve(answer, hold);
        ask_socket(
            &path,
            |_| true,
            "localhost",
            "/",
            Duration::from_millis(300),
        )
    }

    #[test]
    fn answers_are_read_in_every_form() {
        let plain = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1.0.0", true).unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (200, "1.0.0"));
        let (_folder, path) = serve(b"HTTP/1.1 200 OK\r\n\r\n", false);
        let own = Some(std::process::id() as i32);
        let stranger = |listener| listener != own;
        let refused = ask_socket(&path, stranger, "a", "/", Duration::from_secs(1));
        assert!(matches!(refused, Err(ProbeError::Stranger)));
        let open = ask(b"HTTP/1.0 503 No\r\n\r\nsorry", false).unwrap();
        assert_eq!((open.status, open.body.as_str()), (503, "sorry"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n1.0\r\n2\r\n.0\r\n0\r\n\r\n";
        assert_eq!(ask(chunked, false).unwrap().body, "1.0.0");
    }

    #[test]
    fn whoever_hangs_or_talks_nonsense_is_not_healthy() {
        assert!(matches!(ask(b"", true), Err(ProbeError::Slow(_))));
        assert!(matches!(
            ask(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", true),
            Err(ProbeError::Slow(_))
        ));
        assert!(matches!(ask(b"hello", false), Err(ProbeError::NotHttp)));
        let nobody = ask_socket(
            Path::new("/nowhere/sock"),
            |_| true,
            "a",
            "/",
            Duration::from_secs(1),
        );
        assert!(matches!(nobody, Err(ProbeError::Nobody(_))));
    }
}
