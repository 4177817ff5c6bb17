//! Python apps: how their packages get onto a host, and what serves them.

use std::path::Path;

use super::project::{Kind, Project, Python, Serve, WORKERS};
use super::sources::{self, Source};

/// Files that name an app's packages.
const PACKAGE_FILES: [&str; 6] = [
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "pyproject.toml",
    "Pipfile",
];
/// Files that an app object is mostly in, the likeliest first.
const USUAL: [&str; 6] = [
    "app.py",
    "main.py",
    "wsgi.py",
    "asgi.py",
    "server.py",
    "__init__.py",
];
/// The list that is made during the build, where the repository has none.
const MADE_LIST: &str = "wheels/requirements.txt";

impl Python {
    pub(super) fn look(root: &Path, serve: &Serve, kind: Kind) -> Option<Self> {
        let has = |name: &str| root.join(name).is_file();
        let packages = packages_text(root);
        let make = |command: &str| vec!["mkdir -p wheels".to_owned(), command.to_owned()];
        let written = PACKAGE_FILES
            .into_iter()
            .find(|file| file.ends_with(".txt") && has(file));
        let (list, file) = if has("uv.lock") {
            let export = "uv export --quiet --frozen --no-dev --no-emit-project --no-hashes --output-file wheels/requirements.txt";
            (make(export), Some(MADE_LIST))
        } else if has("poetry.lock") {
            // A plug-in of poetry: pipx inject poetry poetry-plugin-export
            let export = "poetry export --quiet --without-hashes --output wheels/requirements.txt";
            (make(export), Some(MADE_LIST))
        } else if has("Pipfile.lock") {
            (
                make("pipenv requirements > wheels/requirements.txt"),
                Some(MADE_LIST),
            )
        } else if written.is_some() {
            (Vec::new(), written)
        } else if project_table(root).is_some_and(|table| table.contains_key("dependencies")) {
            let export = "python3 -c 'import tomllib; print(*tomllib.load(open(\"pyproject.toml\", \"rb\"))[\"project\"][\"dependencies\"], sep=chr(10))' > wheels/requirements.txt";
            (make(export), Some(MADE_LIST))
        } else {
            (Vec::new(), None)
        };
        let mut words: Vec<&str> = file.map(|file| vec!["-r", file]).unwrap_or_default();
        if file.is_none() {
            words.extend(match kind {
                Kind::Django => Some("django"),
                Kind::Flask => Some("flask"),
                Kind::FastApi => Some("fastapi"),
                _ => None,
            });
        }
        let server = match serve {
            Serve::Gunicorn { .. } => Some("gunicorn"),
            Serve::Command(command) => ["uvicorn", "gunicorn"]
                .into_iter()
                .find(|server| command.starts_with(&format!(".venv/bin/{server} "))),
        };
        words.extend(server.filter(|server| !sources::names_package(&packages, server)));
        if words.is_empty() {
            return None;
        }
        let mut key = vec!["wheels/".to_owned()];
        if let Some(file) = written.filter(|written| file == Some(*written)) {
            // Lists in a folder take in one another.
            let whole = file.split_once('/').map(|(folder, _)| format!("{folder}/"));
            key.insert(0, whole.unwrap_or_else(|| file.to_owned()));
        }
        Some(Self {
            listed: file.is_some(),
            list,
            wanted: words.join(" "),
            key,
        })
    }
}

/// Everything that names packages, one after the other.
pub(super) fn packages_text(root: &Path) -> String {
    PACKAGE_FILES
        .iter()
        .filter_map(|file| sources::text(root, file))
        .collect::<Vec<_>>()
        .join("\n")
}

fn project_table(root: &Path) -> Option<toml::Table> {
    let table: toml::Table = sources::text(root, "pyproject.toml")?.parse().ok()?;
    table.get("project")?.as_table().cloned()
}

pub(super) fn project_name(root: &Path) -> Option<String> {
    let table: toml::Table = sources::text(root, "pyproject.toml")?.parse().ok()?;
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry"));
    let name = table.get("project").or(poetry)?.get("name")?.as_str()?;
    Some(name.to_owned())
}

/// Where an app object is made.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    module: String,
    name: String,
    factory: bool,
    /// The folder that modules are found in, where that is not the root.
    folder: Option<&'static str>,
}

/// The module that makes an object of this class, or has a function that does.
fn find(code: &[Source], class: &str) -> Option<Found> {
    let mut ordered: Vec<&Source> = code.iter().collect();
    let rank = |source: &Source| {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        USUAL
            .iter()
            .position(|usual| *usual == name)
            .unwrap_or(USUAL.len())
    };
    // Both sorts are stable, so those near the root stay first.
    ordered.sort_by_key(|source| rank(source));
    let object = ordered.iter().find_map(|source| {
        let name = source.text.lines().find_map(|line| assigned(line, class))?;
        Some(found(&source.path, name, false))
    });
    object.or_else(|| {
        ordered.iter().find_map(|source| {
            let makes = source.text.contains(&format!("{class}("));
            let functions = ["create_app", "make_app", "get_app"];
            let name = functions.into_iter().find(|name| {
                source
                    .text
                    .lines()
                    .any(|line| line.starts_with(&format!("def {name}(")))
            })?;
            makes.then(|| found(&source.path, name, true))
        })
    })
}

/// `app` of `app = Flask(__name__)` or `app: Flask = Flask(…)`, at the left edge.
fn assigned<'a>(line: &'a str, class: &str) -> Option<&'a str> {
    let (left, right) = line.split_once('=')?;
    let right = right.trim_start();
    let right = right
        .rsplit_once('.')
        .filter(|(module, _)| {
            module
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map_or(right, |(_, rest)| rest);
    let name = left.split(':').next()?.trim_end();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && right.starts_with(&format!("{class}("))).then_some(name)
}

fn found(path: &str, name: &str, factory: bool) -> Found {
    let (inner, folder) = match path.strip_prefix("src/") {
        Some(inner) => (inner, Some("src")),
        None => (path, None),
    };
    let module = inner.strip_suffix(".py").unwrap_or(inner);
    let module = module.strip_suffix("/__init__").unwrap_or(module);
    Found {
        module: module.replace('/', "."),
        name: name.to_owned(),
        factory,
        folder,
    }
}

pub(super) fn flask(root: &Path, code: &[Source], project: &mut Project) {
    let app = find(code, "Flask").unwrap_or_else(|| doubtful(project, "app"));
    let folder = app.folder.map(|folder| format!("--pythonpath {folder} "));
    let call = if app.factory { "()" } else { "" };
    project.serve = Serve::Gunicorn {
        application: format!(
            "{}{}:{}{call}",
            folder.unwrap_or_default(),
            app.module,
            app.name
        ),
        workers: WORKERS,
    };
    if root.join("migrations/alembic.ini").is_file() {
        project.migrate = vec![format!(".venv/bin/flask --app {} db upgrade", app.module)];
    } else {
        alembic(root, project);
    }
}

pub(super) fn fastapi(root: &Path, code: &[Source], project: &mut Project) {
    let app = find(code, "FastAPI").unwrap_or_else(|| doubtful(project, "main"));
    let folder = app.folder.map(|folder| format!(" --app-dir {folder}"));
    let factory = if app.factory { " --factory" } else { "" };
    project.serve = Serve::Command(uvicorn(&format!(
        "{}:{}{factory}{}",
        app.module,
        app.name,
        folder.unwrap_or_default()
    )));
    alembic(root, project);
}

/// uvicorn behind nginx, on the slot's socket.
pub(super) fn uvicorn(application: &str) -> String {
    format!(
        ".venv/bin/uvicorn {application} --uds $LONGSHORE_SOCKET --workers 3 --proxy-headers --forwarded-allow-ips '*'"
    )
}

fn alembic(root: &Path, project: &mut Project) {
    if root.join("alembic.ini").is_file() {
        project.migrate = vec![".venv/bin/alembic upgrade head".to_owned()];
    }
}

fn doubtful(project: &mut Project, module: &str) -> Found {
    project
        .doubts
        .push("Where the app object is made was not found: check MODULE:NAME.".to_owned());
    found(&format!("{module}.py"), "app", false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn app_objects_are_found_where_they_are_made() {
        let code = [
            source("notes.py", "x = 1\n"),
            source(
                "shop/app.py",
                "from flask import Flask\napp = Flask(__name__)\n",
            ),
        ];
        let app = find(&code, "Flask").unwrap();
        assert_eq!(
            (app.module.as_str(), app.name.as_str(), app.factory),
            ("shop.app", "app", false)
        );
        let code = [source(
            "src/shop/__init__.py",
            "def create_app():\n    app = Flask(__name__)\n",
        )];
        let app = find(&code, "Flask").unwrap();
        assert_eq!(
            (app.module.as_str(), app.factory, app.folder),
            ("shop", true, Some("src"))
        );
        assert_eq!(find(&code, "FastAPI"), None);
        assert_eq!(
            assigned("api: FastAPI = fastapi.FastAPI(title=\"x\")", "FastAPI"),
            Some("api")
        );
        assert_eq!(assigned("if x == Flask(1):", "Flask"), None);
    }
}
