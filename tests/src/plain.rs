//! The sample app deployed the plain way, with nothing of Longshore: one gunicorn behind nginx,
//! restarted in place. Tests hold the load generator against it, to see that it sees failures.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::host::{self, Host};
use crate::sample::{self, Sample};
use crate::{binaries, process};

/// The domain of the plain site.
pub const DOMAIN: &str = "plain.test";
const FOLDER: &str = "/srv/plain";
const UNIT: &str = "\
[Service]
WorkingDirectory=/srv/plain/app
Environment=LONGSHORE_VERSION=plain
ExecStart=/srv/plain/venv/bin/gunicorn --workers 2 --bind unix:/run/plain.sock config.wsgi:application
";
const SITE: &str = "\
server {
    listen 80;
    server_name plain.test;
    location / {
        proxy_pass http://unix:/run/plain.sock;
        proxy_set_header Host $host;
    }
}
";

/// Why the plain site could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// The wheels could not be had.
    #[error("could not download the sample app's wheels")]
    Wheels(#[source] process::Error),
    /// The host refused.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// The app could not be copied.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Installs the site on a host and starts it.
pub fn install(host: &Host, cache: &Path) -> Result<(), Error> {
    let wheels = wheels(cache)?;
    let folder = host.path(FOLDER)?;
    sample::copy(&app(), &folder.join("app"))?;
    sample::copy(&wheels, &folder.join("wheels"))?;
    fs_err::write(host.path("/etc/systemd/system/plain.service")?, UNIT)?;
    fs_err::write(host.path("/etc/nginx/sites-enabled/plain")?, SITE)?;
    host.sh(&format!(
        "cd {FOLDER} && python3 -m venv venv && mkdir -p app/data && \
         venv/bin/pip install --quiet --no-index --find-links wheels -r app/requirements.txt && \
         systemctl daemon-reload && systemctl start plain && \
         nginx -q -t && systemctl reload-or-restart nginx && \
         for i in $(seq 600); do \
         curl -fs -o /dev/null -H 'Host: {DOMAIN}' http://127.0.0.1/version && exit 0; \
         sleep 0.1; done; exit 1"
    ))?;
    Ok(())
}

/// Restarts it as people do when they have nothing better.
pub fn restart(host: &Host) -> Result<(), Error> {
    host.sh("systemctl restart plain")?;
    Ok(())
}

fn app() -> PathBuf {
    binaries::workspace()
        .join("tests/apps")
        .join(Sample::Cortico.name())
}

/// The wheels of the sample app's requirements, downloaded once.
fn wheels(cache: &Path) -> Result<PathBuf, Error> {
    let requirements = app().join("requirements.txt");
    let finished = cache.join(format!(
        "wheels-{}",
        sample::digest(&fs_err::read(&requirements)?)
    ));
    if finished.is_dir() {
        return Ok(finished);
    }
    let unfinished = tempfile::Builder::new()
        .prefix(".wheels-")
        .tempdir_in(cache)?;
    let mut pip = Command::new("pip3");
    pip.args([
        "download",
        "--quiet",
        "--python-version",
        "3.11",
        "--only-binary=:all:",
    ]);
    pip.arg("--dest")
        .arg(unfinished.path())
        .arg("--requirement")
        .arg(&requirements);
    process::run(&mut pip).map_err(Error::Wheels)?;
    // Someone else may have been quicker; theirs holds the same files.
    if fs_err::rename(unfinished.path(), &finished).is_err() && !finished.is_dir() {
        fs_err::rename(unfinished.path(), &finished)?;
    }
    Ok(finished)
}
