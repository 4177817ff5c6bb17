//! One HTTP/1.1 connection, plain enough that every fault is seen and named.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Kind;

const LARGEST_HEAD: usize = 64 * 1024;
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What went wrong, and the bytes that had come by then.
type Fault = (Kind, Vec<u8>);

/// A connection that is opened when it is needed.
pub(super) struct Connection {
    address: SocketAddr,
    patience: Duration,
    stream: Option<TcpStream>,
}

impl Connection {
    pub(super) fn new(address: SocketAddr, patience: Duration) -> Self {
        Self {
            address,
            patience,
            stream: None,
        }
    }

    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Sends the request and reads the whole answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<Answer, Fault> {
        let deadline = Instant::now() + self.patience;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        // A kept connection that the server closed can fail here or at the first read; both are
        // a request that got no answer.
        if stream.write_all(request).is_err() {
            return Err((Kind::NoAnswer, Vec::new()));
        }
        let (answer, keep) = read_answer(&mut stream, deadline)?;
        if keep {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> Result<TcpStream, Fault> {
        let refused = |_| (Kind::Connect, Vec::new());
        let stream = TcpStream::connect_timeout(&self.address, self.patience).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        stream
            .set_write_timeout(Some(self.patience))
            .map_err(refused)?;
        Ok(stream)
    }
}

struct Head {
    status: u16,
    length: usize,
    body: Body,
    keep: bool,
}

enum Body {
    Sized(usize),
    Chunked,
    UntilClose,
}

fn read_answer(stream: &mut TcpStream, deadline: Instant) -> Result<(Answer, bool), Fault> {
    let mut bytes = Vec::new();
    let head = loop {
        if !more(stream, &mut bytes, deadline)? {
            let kind = if bytes.is_empty() {
                Kind::NoAnswer
            } else {
                Kind::CutShort
            };
            return Err((kind, bytes));
        }
        match parse_head(&bytes) {
            Ok(Some(head)) => break head,
            Ok(None) if bytes.len() < LARGEST_HEAD => {}
            _ => return Err((Kind::Malformed, bytes)),
        }
    };
    let mut rest = bytes.split_off(head.length);
    let mut whole = false;
    while !whole {
        let end = match head.body {
            Body::Sized(size) => (rest.len() >= size).then_some(size),
            Body::Chunked => match dechunk(&rest) {
                Ok(Some(body)) => {
                    rest = body;
                    Some(rest.len())
                }
                Ok(None) => None,
                Err(()) => return Err((Kind::Malformed, rest)),
            },
            Body::UntilClose => None,
        };
        if let Some(end) = end {
            rest.truncate(end);
            whole = true;
        } else if !more(stream, &mut rest, deadline)? {
            if !matches!(head.body, Body::UntilClose) {
                return Err((Kind::CutShort, rest));
            }
            whole = true;
        } else if rest.len() > LARGEST_ANSWER {
            return Err((Kind::Malformed, rest));
        }
    }
    Ok((
        Answer {
            status: head.status,
            body: rest,
        },
        head.keep,
    ))
}

/// Reads what there is; false at the end of the stream.
fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>, deadline: Instant) -> Result<bool, Fault> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
        return Err((Kind::TooSlow, std::mem::take(bytes)));
    }
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(count) => {
            bytes.extend_from_slice(&buffer[..count]);
            Ok(count > 0)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err((Kind::TooSlow, std::mem::take(bytes)))
        }
        // A reset is an end as well; whether anything had come decides what it is called.
        Err(_) => Ok(false),
    }
}

/// None while the head is not complete.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(0);
    let value = |name: &str| {
        response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    let body = match (value("transfer-encoding"), value("content-length")) {
        (Some(encoding), _) if encoding.contains("chunked") => Body::Chunked,
        (_, Some(size)) => Body::Sized(
            size.trim()
                .parse()
                .map_err(|_| httparse::Error::HeaderValue)?,
        ),
        _ if status == 204 || status == 304 => Body::Sized(0),
        _ => Body::UntilClose,
    };
    let keep = response.version == Some(1)
        && !matches!(body, Body::UntilClose)
        && value("connection").is_none_or(|connection| !connection.contains("close"));
    Ok(Some(Head {
        status,
        length,
        body,
        keep,
    }))
}

/// The body of a chunked answer; none while it is not complete.
fn dechunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, ()> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete((start, size))) => (start, size),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(()),
        };
        let size = usize::try_from(size).map_err(|_| ())?;
        if size > LARGEST_ANSWER {
            return Err(());
        }
        let end = start + size;
        let Some(after) = bytes.get(end..end + 2) else {
            return Ok(None);
        };
        if after != b"\r\n" {
            return Err(());
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&bytes[start..end]);
        bytes = &bytes[end + 2..];
    }
}
