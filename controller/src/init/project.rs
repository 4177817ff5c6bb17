//! What was found out about a repository, as the app file needs it.

/// What the app is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Django,
    Flask,
    FastApi,
    Procfile,
    Python,
    Node,
    Unknown,
}

impl Kind {
    /// As people call it.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Django => "a Django app",
            Kind::Flask => "a Flask app",
            Kind::FastApi => "a FastAPI app",
            Kind::Procfile => "an app with a Procfile",
            Kind::Python => "a Python app",
            Kind::Node => "a Node app",
            Kind::Unknown => "nothing that it knows",
        }
    }
}

/// What serves well on a small host.
pub(super) const WORKERS: u32 = 3;

/// What serves the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Serve {
    Gunicorn { application: String, workers: u32 },
    Command(String),
}

/// Everything that the app file says.
#[derive(Debug, Clone)]
pub struct Project {
    pub kind: Kind,
    /// An app name to offer.
    pub name: String,
    pub(super) python: Option<Python>,
    pub(super) node: Option<Node>,
    pub(super) serve: Serve,
    pub(super) processes: Vec<Process>,
    /// What to look at again, above `[web]`.
    pub(super) doubts: Vec<String>,
    pub(super) each_release: Vec<String>,
    pub(super) migrate: Vec<String>,
    /// What tells which migrations are in the database, and what takes one out of it.
    pub(super) migrated: Option<(String, String)>,
    /// From a path of the site to a folder.
    pub(super) statics: Vec<(String, String)>,
    pub(super) shared_dirs: Vec<String>,
    pub(super) shared_files: Vec<String>,
    /// Where the app was seen to tell of its health.
    pub(super) health: Option<String>,
}

/// What runs beside what serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) command: String,
    /// On one host alone.
    pub(super) single: bool,
}

/// What `package.json` and the lock file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// `npm ci`
    pub(super) install: &'static str,
    /// `npm run`
    pub(super) run: &'static str,
    pub(super) builds: bool,
    pub(super) starts: bool,
}

/// How packages are fetched during the build and installed on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Python {
    /// Whether the repository names the app's packages at all.
    pub(super) listed: bool,
    /// Steps that make the list of packages.
    pub(super) list: Vec<String>,
    /// What `pip` is told to take.
    pub(super) wanted: String,
    /// What decides whether the virtualenv of an earlier release will do.
    pub(super) key: Vec<String>,
}
