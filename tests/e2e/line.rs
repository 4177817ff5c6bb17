//! A line to a host that can be cut, held and harmed at any byte.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use longshore_lab::host::Host;

use crate::stage::Lease;

/// A host that has more to do takes in what has reached it within this.
const IN_FLIGHT: Duration = Duration::from_secs(20);
/// What may be on its way for good: a block of the compression, and what had not left the frames around it.
pub(crate) const LOST: u64 = 500_000;

/// What happens to the first connection on which so many bytes have gone to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends.
    Cut(u64),
    /// Nothing more passes until [`Line::let_go`] or [`Line::cut`].
    Hold(u64),
    /// One bit of the next byte is another one.
    Harm(u64),
}

/// A port of this machine behind which a host's SSH is.
#[derive(Debug)]
pub(crate) struct Line {
    shared: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    host: Host,
    /// The first of them is the next to happen.
    faults: Mutex<VecDeque<Fault>>,
    changed: Condvar,
    held: AtomicBool,
    sent: AtomicU64,
    over: AtomicBool,
}

impl Line {
    pub(crate) fn to(host: &Host) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            host: host.clone(),
            faults: Mutex::default(),
            changed: Condvar::new(),
            held: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.carry(stream));
            }
        });
        Ok(Self { shared, address })
    }

    /// The inventory of the lease, with the host at the end of this line.
    pub(crate) fn inventory(&self, lease: &Lease) -> Result<std::path::PathBuf, Box<dyn Error>> {
        let text = fs_err::read_to_string(lease.inventory())?;
        let direct = format!("address = \"{}\"", self.shared.host.address);
        assert!(text.contains(&direct));
        let text = text.replace(&direct, &format!("address = \"{}\"", self.address));
        let file = format!("inventory-{}.toml", self.address.port());
        let file = lease.folder().join(file);
        fs_err::write(&file, text)?;
        Ok(file)
    }

    /// What is to happen next, and then; each connection counts from its first byte.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        *self.shared.faults() = faults.iter().copied().collect();
    }

    /// What has not happened yet is not going to.
    pub(crate) fn heal(&self) -> bool {
        let mut faults = self.shared.faults();
        let healed = !faults.is_empty();
        faults.clear();
        healed
    }

    /// Whether a connection is held at the moment.
    pub(crate) fn holds(&self) -> bool {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// A connection that is held goes on.
    pub(crate) fn let_go(&self) {
        self.heal();
        self.shared.changed.notify_all();
    }

    /// A connection that is held ends, and what it held never arrives.
    pub(crate) fn cut(&self) {
        self.faults(&[Fault::Cut(0)]);
        self.shared.changed.notify_all();
    }

    /// Bytes to the host since the last look.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.let_go();
        // So that the thread that accepts looks up.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, mut near: TcpStream) {
        let Ok(mut far) = TcpStream::connect((self.host.address, 22)) else {
            return;
        };
        let (Ok(mut back), Ok(mut home)) = (far.try_clone(), near.try_clone()) else {
            return;
        };
        let _quick = (near.set_nodelay(true), far.set_nodelay(true));
        thread::scope(|scope| {
            scope.spawn(move || {
                drop(std::io::copy(&mut back, &mut home));
                drop(home.shutdown(Shutdown::Both));
            });
            self.carry_there(&mut near, &mut far);
            drop((near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both)));
        });
    }

    fn carry_there(&self, near: &mut TcpStream, far: &mut TcpStream) {
        let before = self.staged();
        let mut passed = 0;
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = near.read(&mut buffer) {
            let mut bytes = &mut buffer[..read];
            loop {
                let fault = self.faults().front().copied();
                let until = match fault {
                    Some(Fault::Cut(at) | Fault::Hold(at) | Fault::Harm(at)) => at,
                    None => u64::MAX,
                };
                let room = usize::try_from(until.saturating_sub(passed)).unwrap_or(usize::MAX);
                let (now, later) = bytes.split_at_mut(room.min(bytes.len()));
                if far.write_all(now).is_err() {
                    return;
                }
                passed += now.len() as u64;
                self.sent.fetch_add(now.len() as u64, Ordering::SeqCst);
                let Some(first) = later.first_mut() else {
                    break;
                };
                match fault {
                    Some(Fault::Cut(_)) => {
                        self.faults().pop_front();
                        // What is in flight is lost with a line, and that is not what is tried.
                        let begun = Instant::now();
                        while begun.elapsed() < IN_FLIGHT {
                            thread::sleep(Duration::from_millis(400));
                            if self.has_taken_in(before + passed) {
                                return;
                            }
                        }
                        return;
                    }
                    Some(Fault::Harm(_)) => {
                        self.faults().pop_front();
                        *first ^= 1;
                    }
                    Some(Fault::Hold(_)) => self.hold(),
                    None => {}
                }
                bytes = later;
            }
        }
    }

    /// Whether so many bytes are on the disk, or the host has nothing to do any more.
    fn has_taken_in(&self, bytes: u64) -> bool {
        let running = "sqlite3 /var/lib/longshore/ledger.db \
                       \"SELECT count(*) FROM operations WHERE outcome = 'running'\"";
        let is_idle = || {
            self.host
                .sh(running)
                .is_ok_and(|running| running.trim() == "0")
        };
        self.staged() + LOST >= bytes || is_idle()
    }

    fn staged(&self) -> u64 {
        staged(&self.host).unwrap_or_default()
    }

    fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
        let holds = |all: &mut VecDeque<Fault>| matches!(all.front(), Some(Fault::Hold(_)));
        let gone = self.changed.wait_while(self.faults(), holds);
        drop(gone.unwrap_or_else(PoisonError::into_inner));
        self.held.store(false, Ordering::SeqCst);
    }
}

/// Bytes of releases that are under way.
pub(crate) fn staged(host: &Host) -> Result<u64, Box<dyn Error>> {
    let bytes = host.sh(
        "find /srv/longshore/*/staging -name 'trash-*' -prune -o -type f -printf '%s\\n' 2>/dev/null | \
         awk '{ n += $1 } END { print n + 0 }'",
    )?;
    Ok(bytes.trim().parse()?)
}
