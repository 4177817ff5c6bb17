//! An app's site in nginx: made from a fixed form, tested apart from the others, installed and
//! reloaded only when it changed, and taken back when nginx does not take it.

mod text;
mod users;

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use longshore_shared::manifest::Manifest;
use thiserror::Error;

use super::probe::ask_web_server;
use super::workers::Workers;
use crate::command::{self, CommandError};
use crate::host::Front;
use crate::journal;
use crate::layout::{AppLayout, NGINX_CONFIG};
use crate::operation::Trouble;
use crate::system_file::put;
use crate::systemd;
use text::{Listen, MARKER, render};
use users::Users;

/// A host whose disk or memory is short takes its time; meanwhile the site of before is served.
const UNTIL_RELOADED: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// nginx has one configuration: two apps that install sites at once would blame each other.
static NGINX: Mutex<()> = Mutex::new(());

/// Why a site is not served. The one before it is.
#[derive(Debug, Error)]
pub(crate) enum SiteError {
    #[error("the site's test cannot be set up")]
    Prepare(#[source] io::Error),
    #[error("nginx does not run, or cannot be asked")]
    Nginx(#[source] CommandError),
    #[error("nginx refuses the site of {app}: {said}")]
    Refused { app: String, said: String },
    #[error("nginx's configuration is broken already, before anything was changed: {said}")]
    BrokenBefore { said: String },
    #[error("with the site of {app} in place nginx refuses the whole: {said}")]
    RefusedTogether { app: String, said: String },
    #[error("nginx was reloaded, and does not serve the site of {app} within {UNTIL_RELOADED:?}")]
    NotTaken { app: String },
    #[error("{0}")]
    Users(String),
    #[error("the site's file cannot be written")]
    Write(#[source] io::Error),
}

impl SiteError {
    /// Whether other settings would do.
    pub(crate) fn is_of_settings(&self) -> bool {
        matches!(self, Self::Users(_))
    }

    /// What to do about it.
    pub(crate) fn next(&self) -> &'static str {
        match self {
            Self::Prepare(_) | Self::Write(_) => "look at the disk of this host, then deploy again",
            Self::Nginx(_) => {
                "start nginx on this host (`systemctl status nginx` tells why it does not run)"
            }
            Self::Users(_) => {
                "`longshore settings set` it: a line NAME:HASH for each who may see the site, as `htpasswd -nB NAME` prints it; or off"
            }
            Self::Refused { .. } => {
                "correct [static], [site] and [web] in longshore.toml, then deploy again"
            }
            Self::BrokenBefore { .. } => {
                "mend the file that it names (`nginx -t` on the host), then deploy again"
            }
            Self::RefusedTogether { .. } => {
                "another site takes the same domain, or the file that it names is wrong: correct it, then deploy again"
            }
            Self::NotTaken { .. } => {
                "read `journalctl -u nginx` and /var/log/nginx/error.log on this host"
            }
        }
    }
}

impl From<SiteError> for Trouble {
    fn from(error: SiteError) -> Self {
        Self::because(&error, error.next())
    }
}

/// The group of nginx's workers, as its configuration has it.
pub(crate) fn nginx_group() -> String {
    let user = nginx_user();
    let mut words = user.split_whitespace();
    let (name, group) = (words.next().unwrap_or("www-data"), words.next());
    group.unwrap_or(name).to_owned()
}

fn nginx_user() -> String {
    let text = fs_err::read_to_string(NGINX_CONFIG).unwrap_or_default();
    let user = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("user ")?.split(';').next());
    user.map_or_else(|| "www-data".to_owned(), |user| user.trim().to_owned())
}

/// Tests the site of a release by itself, in a throw-away configuration that touches nothing of
/// nginx's own.
pub(crate) fn test(
    layout: &AppLayout,
    manifest: &Manifest,
    front: &Front,
) -> Result<(), SiteError> {
    let folder = tempfile::Builder::new().prefix("longshore-site-").tempdir();
    let folder = folder.map_err(SiteError::Prepare)?;
    let place = folder.path().display();
    let listen = Listen {
        plain: format!("    listen unix:{place}/plain;\n"),
        tls: format!("    listen unix:{place}/tls ssl;\n"),
    };
    let users = Users::of(layout, manifest)?;
    let (site, _) = render(layout, manifest, front, &users, &listen);
    let (fine, said) = test_apart(folder.path(), &site)?;
    if fine && !said.contains("[warn]") {
        return Ok(());
    }
    Err(SiteError::Refused {
        app: layout.app.to_string(),
        said: one_line(&said),
    })
}

/// Has nginx test servers by themselves. Without the host's own `user`, it would give its folders to
/// somebody else even in a test.
pub(crate) fn test_apart(folder: &Path, servers: &str) -> Result<(bool, String), SiteError> {
    let place = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
        .concat();
    let text = format!(
        "user {};\npid {place}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{servers}}}\n",
        nginx_user()
    );
    let file = folder.join("nginx.conf");
    fs_err::write(&file, text).map_err(SiteError::Prepare)?;
    let words = ["-t", "-q", "-p"].map(Path::new);
    let [test, quiet, prefix] = words;
    command::ask(
        "nginx",
        &[test, quiet, prefix, folder, Path::new("-c"), &file],
    )
    .map_err(SiteError::Nginx)
}

/// Makes sure that nginx runs and that its configuration is sound as it stands. Gives back the
/// conflicts that it has all the same.
pub(crate) fn test_present() -> Result<Vec<String>, SiteError> {
    let (fine, said) = command::ask("nginx", &["-t"]).map_err(SiteError::Nginx)?;
    if !fine {
        return Err(SiteError::BrokenBefore {
            said: one_line(&said),
        });
    }
    test_running()?;
    Ok(conflicts(&said))
}

/// Whether nginx runs.
pub(crate) fn test_running() -> Result<(), SiteError> {
    command::run("systemctl", &["is-active", "nginx"])
        .map(drop)
        .map_err(SiteError::Nginx)
}

/// Whether nginx serves the site of a release: the file alone does not tell what was loaded.
pub(crate) fn is_served(layout: &AppLayout, manifest: &Manifest, front: &Front) -> bool {
    Site::of(layout, manifest, front).is_ok_and(|site| site.is_served(layout, front))
}

/// Installs the site of a release. One that nginx refuses leaves the one before it.
pub(crate) fn install(
    layout: &AppLayout,
    manifest: &Manifest,
    front: &Front,
) -> Result<(), SiteError> {
    test(layout, manifest, front)?;
    let _one_at_a_time = NGINX.lock().unwrap_or_else(PoisonError::into_inner);
    let known = test_present()?;
    let before = fs_err::read_to_string(layout.site()).ok();
    let site = Site::of(layout, manifest, front)?;
    site.put(layout)?;
    let put_back = || match &before {
        Some(before) => put(&layout.site(), before).map(drop),
        None => fs_err::remove_file(layout.site()),
    };
    // nginx has not looked at it yet: visitors of other apps are not to feel a reload for nothing.
    test_together(layout, &known).inspect_err(|_| note(put_back()))?;
    site.reload(layout, front).inspect_err(|_| {
        note(put_back());
        note(systemd::reload("nginx"));
    })
}

/// The answer is what went wrong first; a failure to go back is for the journal.
fn note<E: std::error::Error>(back: Result<(), E>) {
    if let Err(error) = back {
        let error = crate::operation::chain(&error);
        journal::say(&format!("the site before was not put back whole: {error}"));
    }
}

/// Puts the site of what serves back where another took its place, also where nginx's configuration is
/// broken as it stands: it may be this very file that breaks it.
pub(crate) fn restore(
    layout: &AppLayout,
    manifest: &Manifest,
    front: &Front,
) -> Result<(), SiteError> {
    // Where nobody can tell any more who may see it, it is as it was before.
    let as_before = || match layout.site_users().exists() {
        true => Users::AsBefore,
        false => Users::Off,
    };
    let users = Users::of(layout, manifest).unwrap_or_else(|_| as_before());
    let site = Site::with(layout, manifest, front, users);
    if site.is_served(layout, front) {
        return Ok(());
    }
    let _one_at_a_time = NGINX.lock().unwrap_or_else(PoisonError::into_inner);
    site.put(layout)?;
    test_present()?;
    site.reload(layout, front)
}

/// Takes an app's site away, where it has one.
pub(crate) fn remove(layout: &AppLayout) -> Result<(), SiteError> {
    let _one_at_a_time = NGINX.lock().unwrap_or_else(PoisonError::into_inner);
    match fs_err::remove_file(layout.site()) {
        Ok(()) => systemd::reload("nginx").map_err(SiteError::Nginx),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SiteError::Write(error)),
    }
}

/// The same for an app that goes, and with it the site that nginx may have loaded before a stop.
pub(crate) fn forget(layout: &AppLayout) -> Result<(), SiteError> {
    let _one_at_a_time = NGINX.lock().unwrap_or_else(PoisonError::into_inner);
    match fs_err::remove_file(layout.site()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SiteError::Write(error));
        }
        _ => {}
    }
    match systemd::is_active("nginx").map_err(SiteError::Nginx)? {
        true => systemd::reload("nginx").map_err(SiteError::Nginx),
        false => Ok(()),
    }
}

/// The text of a site, and what it says of itself once nginx has loaded it.
struct Site {
    text: String,
    marker: String,
    users: Users,
}

impl Site {
    fn of(layout: &AppLayout, manifest: &Manifest, front: &Front) -> Result<Self, SiteError> {
        let users = Users::of(layout, manifest)?;
        Ok(Self::with(layout, manifest, front, users))
    }

    fn with(layout: &AppLayout, manifest: &Manifest, front: &Front, users: Users) -> Self {
        let (text, marker) = render(layout, manifest, front, &users, &Listen::to_everybody());
        Self {
            text,
            marker,
            users,
        }
    }

    fn put(&self, layout: &AppLayout) -> Result<(), SiteError> {
        self.users.install(layout).map_err(SiteError::Write)?;
        put(&layout.site(), &self.text)
            .map(drop)
            .map_err(SiteError::Write)
    }

    fn is_served(&self, layout: &AppLayout, front: &Front) -> bool {
        let installed = fs_err::read_to_string(layout.site()).is_ok_and(|text| text == self.text);
        installed && self.users.are_installed(layout) && self.answers(front)
    }

    fn answers(&self, front: &Front) -> bool {
        let answer = ask_web_server(front.domain.as_str(), MARKER, Duration::from_secs(2));
        answer.is_ok_and(|answer| answer.status == 200 && answer.body == self.marker)
    }

    /// nginx reports success before it has looked at anything, so the site itself is asked. Its
    /// answer came from a new worker; the next one could come from an old one.
    fn reload(&self, layout: &AppLayout, front: &Front) -> Result<(), SiteError> {
        let before = Workers::now().map_err(SiteError::Nginx)?;
        systemd::reload("nginx").map_err(SiteError::Nginx)?;
        let deadline = Instant::now() + UNTIL_RELOADED;
        while Instant::now() < deadline {
            if self.answers(front) && before.have_retired() {
                return Ok(());
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Err(SiteError::NotTaken {
            app: layout.app.to_string(),
        })
    }
}

/// A domain that two files claim is a warning to nginx. Those that were there before are somebody
/// else's business.
fn test_together(layout: &AppLayout, known: &[String]) -> Result<(), SiteError> {
    let (fine, said) = command::ask("nginx", &["-t"]).map_err(SiteError::Nginx)?;
    if fine
        && conflicts(&said)
            .iter()
            .all(|conflict| known.contains(conflict))
    {
        return Ok(());
    }
    Err(SiteError::RefusedTogether {
        app: layout.app.to_string(),
        said: one_line(&said),
    })
}

/// What nginx says of domains that are claimed twice, without the times of its log.
fn conflicts(said: &str) -> Vec<String> {
    let conflict = |line: &str| {
        Some(
            line.get(line.find("conflicting server name")?..)?
                .to_owned(),
        )
    };
    said.lines().filter_map(conflict).collect()
}

fn one_line(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    command::printable(&lines.join(" | "))
}
