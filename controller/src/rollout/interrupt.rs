//! Ctrl-C, or a runner that cancels: once asks to stop, twice leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the person has asked to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Interrupts {
    count: watch::Receiver<u32>,
}

impl Interrupts {
    /// Listens from now on; the first Ctrl-C no longer ends the program, and neither does the SIGTERM by
    /// which a CI runner cancels a job.
    pub fn listen() -> Self {
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            // Without a signal handler the system's own signals still work; the channel must stay
            // open, or waiting for an interrupt would end.
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                loop {
                    let asked = tokio::select! {
                        asked = tokio::signal::ctrl_c() => asked.is_ok(),
                        asked = terminate.recv() => asked.is_some(),
                    };
                    if !asked {
                        break;
                    }
                    sender.send_modify(|count| *count += 1);
                }
            }
            sender.closed().await;
        });
        Interrupts { count }
    }

    /// The same of Ctrl-C alone, for whoever hands the terminal to another program: what the terminal sends
    /// is for that one.
    pub fn leave_to_another() -> Self {
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                sender.send_modify(|count| *count += 1);
            }
            sender.closed().await;
        });
        Interrupts { count }
    }

    /// For work that nobody may interrupt.
    pub fn never() -> Self {
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move { sender.closed().await });
        Interrupts { count }
    }

    #[cfg(test)]
    pub(super) fn of(count: watch::Receiver<u32>) -> Self {
        Interrupts { count }
    }

    pub fn is_asked(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Ends when the person has asked to stop.
    pub async fn asked(&self) {
        self.at_least(1).await;
    }

    /// Ends when the person insists.
    pub async fn insisted(&self) {
        self.at_least(2).await;
    }

    async fn at_least(&self, times: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
