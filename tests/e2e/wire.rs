//! A conversation with an agent, frame by frame: for saying what no `longshore` would ever say.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use longshore_lab::host::Host;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MAGIC: &[u8] = b"\0longshore\0\n";
const CHUNK: usize = 128 * 1024;

/// One connection, made by the system's own ssh.
pub(crate) struct Wire {
    ssh: Child,
    to: ChildStdin,
    from: ChildStdout,
}

/// What a controller sends of a release.
#[derive(Debug, Clone)]
pub(crate) struct Shipment {
    pub(crate) manifest: String,
    pub(crate) signature: String,
    pub(crate) tree: Vec<u8>,
    /// All contents, in the order of the tree.
    pub(crate) contents: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(host: &Host) -> Result<Self> {
        let mut ssh = host.ssh();
        ssh.arg("longshore-agent connect");
        let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = ssh.stdin.take().ok_or("no way in")?;
        let from = ssh.stdout.take().ok_or("no way out")?;
        let mut wire = Self { ssh, to, from };
        let mut magic = [0; MAGIC.len()];
        wire.from.read_exact(&mut magic)?;
        assert_eq!(magic, MAGIC);
        let hello = wire.heard()?;
        assert_eq!(hello["message"], "hello", "{hello}");
        Ok(wire)
    }

    /// Locks an app for what follows.
    pub(crate) fn lock(&mut self, environment: &str, app: &str) -> Result<()> {
        let order = json!({"order": "lock", "environment": environment, "app": app, "verb": "try"});
        let reply = self.order(order)?;
        assert_eq!(reply["reply"], "locked", "{reply}");
        Ok(())
    }

    /// Gives an order that asks for nothing.
    pub(crate) fn order(&mut self, mut order: Value) -> Result<Value> {
        order["message"] = json!("order");
        self.say(&order)?;
        loop {
            let heard = self.heard()?;
            if heard["message"] == "reply" {
                return Ok(heard);
            }
        }
    }

    /// Ships a release to an empty host and gives back the reply. What goes out is changed by
    /// `spoil`, frame by frame: the tree first, then the contents.
    pub(crate) fn stage(
        &mut self,
        app: &str,
        shipment: &Shipment,
        spoil: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> Result<Value> {
        let tree = spoil(zstd::encode_all(&shipment.tree[..], 3)?);
        let contents = spoil(zstd::encode_all(&shipment.contents[..], 3)?);
        let (manifest, signature) = (&shipment.manifest, &shipment.signature);
        self.ship(app, manifest, signature, [&tree, &contents])
    }

    /// The same with frames that were made already: of the tree, and of all contents.
    pub(crate) fn ship(
        &mut self,
        app: &str,
        manifest: &str,
        signature: &str,
        [tree, contents]: [&[u8]; 2],
    ) -> Result<Value> {
        let release = json!({"manifest": manifest, "signature": signature});
        let order = json!({"message": "order", "order": "stage", "app": app, "release": release});
        self.say(&order)?;
        loop {
            let heard = self.heard()?;
            let frame = match (heard["message"].as_str(), heard["ask"].as_str()) {
                (Some("reply"), _) => return Ok(heard),
                (Some("ask"), Some("tree")) => tree,
                (Some("ask"), Some("contents")) => contents,
                _ => continue,
            };
            for chunk in frame.chunks(CHUNK) {
                self.frame(b'D', chunk)?;
            }
            self.say(&json!({"message": "end"}))?;
        }
    }

    fn say(&mut self, message: &Value) -> Result<()> {
        self.frame(b'J', &serde_json::to_vec(message)?)
    }

    fn frame(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        let length = u32::try_from(content.len() + 1)?;
        let frame = [&length.to_be_bytes()[..], &[kind], content].concat();
        self.to.write_all(&frame)?;
        Ok(self.to.flush()?)
    }

    fn heard(&mut self) -> Result<Value> {
        let mut head = [0; 5];
        self.from.read_exact(&mut head)?;
        let [a, b, c, d, _kind] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let mut content = vec![0; length - 1];
        self.from.read_exact(&mut content)?;
        Ok(serde_json::from_slice(&content)?)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // It ends by itself where the host still answers.
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}
