//! Bytes that one thread writes and many read from the start, while they are still being written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The written bytes, in an unnamed temporary file.
#[derive(Debug)]
struct Spool {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
    /// Of what is compressed into it, so much was read.
    taken_in: AtomicU64,
}

#[derive(Debug)]
struct State {
    written: u64,
    /// Pairs that rise: what was written, and what of the source was in it.
    marks: Vec<(u64, u64)>,
    /// How it ended, once it did.
    end: Option<Result<(), String>>,
}

impl Spool {
    fn state(&self) -> MutexGuard<'_, State> {
        // A number and a flag are true even if a thread that held them panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. Dropped before [`SpoolWriter::finish`], it tells the readers of a failure.
#[derive(Debug)]
pub(super) struct SpoolWriter(Arc<Spool>);

/// A reading end, with a place of its own.
#[derive(Debug, Clone)]
pub(super) struct SpoolReader {
    spool: Arc<Spool>,
    at: u64,
}

pub(super) fn spool(file: File) -> (SpoolWriter, SpoolReader) {
    let spool = Arc::new(Spool {
        file,
        state: Mutex::new(State {
            written: 0,
            marks: Vec::new(),
            end: None,
        }),
        changed: Condvar::new(),
        taken_in: AtomicU64::new(0),
    });
    let reader = SpoolReader {
        spool: Arc::clone(&spool),
        at: 0,
    };
    (SpoolWriter(spool), reader)
}

impl SpoolWriter {
    /// Counts what is read of the source, for readers who want to know how far they are.
    pub(super) fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.0))
    }

    /// Says how the writing ended.
    pub(super) fn finish(self, end: Result<(), String>) {
        self.0.state().end = Some(end);
        // Dropping wakes the readers.
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state
            .end
            .get_or_insert_with(|| Err("the thread that compresses has died".to_owned()));
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One end writes, one counts; nobody is left to read.
        if Arc::strong_count(&self.0) <= 2 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let at = self.0.state().written;
        let written = self.0.file.write_at(bytes, at)?;
        let mut state = self.0.state();
        state.written += written as u64;
        let mark = (state.written, self.0.taken_in.load(Ordering::Relaxed));
        state.marks.push(mark);
        drop(state);
        self.0.changed.notify_all();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what is read of the source.
#[derive(Debug)]
pub(super) struct Counter(Arc<Spool>);

impl Counter {
    pub(super) fn counting<R: Read>(&self, content: R) -> Counting<'_, R> {
        Counting {
            content,
            spool: &self.0,
        }
    }
}

/// A part of the source.
#[derive(Debug)]
pub(super) struct Counting<'a, R> {
    content: R,
    spool: &'a Spool,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.spool
            .taken_in
            .fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl SpoolReader {
    /// How much of the source is in what was read so far, about.
    pub(super) fn covered(&self) -> u64 {
        let state = self.spool.state();
        let passed = state
            .marks
            .partition_point(|(written, _)| *written <= self.at);
        let mark = passed.checked_sub(1).and_then(|last| state.marks.get(last));
        mark.map_or(0, |(_, source)| *source)
    }

    /// Another end that begins at the first byte, whatever this one has read.
    pub(super) fn rewound(&self) -> Self {
        Self {
            spool: Arc::clone(&self.spool),
            at: 0,
        }
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.spool.state();
        while state.written <= self.at {
            match &state.end {
                Some(Ok(())) => return Ok(0),
                Some(Err(why)) => return Err(io::Error::other(why.clone())),
                None => {}
            }
            state = self
                .spool
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let read = self.spool.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
