//! Sends zeros to `cat` on a host through the controller's own SSH, as fast as that goes, and prints
//! the seconds from the first byte to the last: `bulk ADDRESS USER KEY HOST_KEY MIB`.
//!
//! `cargo lab bench` measures it beside `ssh`.

#![allow(clippy::print_stdout, reason = "it prints its one figure")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore::ssh::{HostTrust, Identities, Keyring, NobodyToAsk, Session, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, key, host_key, mebibytes] = words.as_slice() else {
        return Err("usage: bulk ADDRESS USER KEY HOST_KEY MIB".into());
    };
    let target = Target {
        name: address.clone(),
        host: address.clone(),
        port: 22,
        user: user.clone(),
        trust: HostTrust::Pinned(vec![host_key.parse()?]),
        identities: Identities {
            agent_socket: None,
            files: vec![PathBuf::from(key)],
            explicit: true,
            only: true,
        },
        jumps: Vec::new(),
        connect_timeout: Duration::from_secs(10),
    };
    let session = Session::connect(&target, &Keyring::new(Arc::new(NobodyToAsk))).await?;
    let mut there = session.run("cat > /dev/null && echo done").await?;
    let zeros = vec![0; 128 * 1024];
    let begun = Instant::now();
    for _ in 0..mebibytes.parse::<usize>()? * 8 {
        there.write_all(&zeros).await?;
    }
    there.shutdown().await?;
    let mut said = String::new();
    there.read_to_string(&mut said).await?;
    if said.trim() != "done" {
        return Err(format!("the host said {said:?}").into());
    }
    println!("{:.3}", begun.elapsed().as_secs_f64());
    session.close().await;
    Ok(())
}
