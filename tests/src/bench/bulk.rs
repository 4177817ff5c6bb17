//! How fast bytes go to a host: through the controller's own SSH, and through `ssh`.

use std::path::Path;
use std::process::Command;

use super::Error;
use super::baseline;
use super::figures::Bulk;
use super::measure::{self, Cables};
use crate::binaries;
use crate::host::Host;
use crate::lab::Lab;

/// Enough that a slow beginning does not count.
const MEBIBYTES: usize = 1024;

/// Both once, after each other. What `ssh` takes to log in is not counted.
pub(super) fn measure(lab: &Lab, folder: &Path, host: &Host) -> Result<Bulk, Error> {
    let none = Cables::none();
    let mut ours = Command::new(binaries::example("longshore", "bulk")?);
    ours.args([&host.address.to_string(), "root"]);
    ours.arg(&lab.keys.root.file).arg(host.host_key.pinned());
    ours.arg(MEBIBYTES.to_string());
    let said = measure::run(&mut ours, &none)?.said;
    let longshore = said.trim().parse().unwrap_or(f64::INFINITY);
    let mut plain = Command::new("sh");
    plain.args([
        "-c",
        "head -c \"$0\" /dev/zero | ssh -F \"$1\" \"$2\" 'cat > /dev/null'",
    ]);
    plain.arg(format!("{MEBIBYTES}M"));
    plain
        .arg(folder.join("ssh_config"))
        .arg(host.address.to_string());
    let whole = measure::run(&mut plain, &none)?.seconds;
    let login = measure::run(
        &mut baseline::cold_ssh(folder, std::slice::from_ref(host)),
        &none,
    )?;
    Ok(Bulk {
        longshore,
        ssh: whole - login.seconds,
    })
}
