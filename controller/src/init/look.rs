//! What kind of app a repository holds.

use std::path::Path;

use super::django;
use super::node;
use super::procfile::{self, Procfile};
use super::project::{Kind, Node, Project, Python, Serve};
use super::python;
use super::sources::{self, Source};
use crate::versions::slug;

const LONGEST_NAME: usize = 20;
/// What apps call the path that tells whether they are well.
const HEALTH: [&str; 6] = ["healthz", "health", "healthcheck", "readyz", "ping", "up"];

/// Looks at the repository in `root`. Nothing in it is run.
pub fn look(root: &Path) -> Project {
    let code = sources::all(root, &[".py"]);
    let procfile = Procfile::read(root);
    let node = node::look(root);
    let kind = kind(root, procfile.as_ref(), node.as_ref());
    let mut project = Project {
        kind,
        name: name(root),
        python: None,
        node,
        serve: Serve::Command("./serve --socket $LONGSHORE_SOCKET".to_owned()),
        processes: Vec::new(),
        doubts: Vec::new(),
        each_release: Vec::new(),
        migrate: Vec::new(),
        migrated: None,
        statics: Vec::new(),
        shared_dirs: Vec::new(),
        shared_files: Vec::new(),
        health: health(&code),
    };
    match kind {
        Kind::Django => django::fill(root, &mut project),
        Kind::Flask => python::flask(root, &code, &mut project),
        Kind::FastApi => python::fastapi(root, &code, &mut project),
        Kind::Node => node::serve(&mut project),
        Kind::Procfile | Kind::Python | Kind::Unknown => project.doubts.push(
            "What serves the app was not found: name it. It must listen on $LONGSHORE_SOCKET."
                .to_owned(),
        ),
    }
    if let Some(procfile) = &procfile {
        procfile::fill(procfile, &mut project);
    }
    if !matches!(kind, Kind::Node | Kind::Unknown) {
        project.python = Python::look(root, &project.serve, kind);
        if project.python.as_ref().is_none_or(|python| !python.listed) {
            project.doubts.push(
                "No list of the app's packages was found: name them in [build] and [[prepare]]."
                    .to_owned(),
            );
        }
    }
    project
}

fn kind(root: &Path, procfile: Option<&Procfile>, node: Option<&Node>) -> Kind {
    let packages = python::packages_text(root);
    let uses = |package| sources::names_package(&packages, package);
    if root.join("manage.py").is_file() && (uses("django") || django::settings(root).is_some()) {
        Kind::Django
    } else if uses("fastapi") {
        Kind::FastApi
    } else if uses("flask") {
        Kind::Flask
    } else if procfile.is_some() {
        Kind::Procfile
    } else if !packages.is_empty() {
        Kind::Python
    } else if node.is_some() {
        Kind::Node
    } else {
        Kind::Unknown
    }
}

/// As the project calls itself, else as its folder is called.
fn name(root: &Path) -> String {
    let folder = root.file_name().unwrap_or_default().to_string_lossy();
    let own = python::project_name(root).or_else(|| node::name(root));
    let name = slug(&own.unwrap_or_else(|| folder.into_owned()), LONGEST_NAME);
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name
    } else {
        format!("app-{name}")
    }
}

fn health(code: &[Source]) -> Option<String> {
    HEALTH.iter().find_map(|word| {
        let forms = [format!("{word}/"), (*word).to_owned()];
        forms.into_iter().find_map(|form| {
            let named = |text: &str| text.strip_prefix('/').unwrap_or(text) == form;
            let route = |line: &str| {
                line.contains("path(") || line.contains("route(") || line.contains(".get(")
            };
            code.iter()
                .flat_map(|source| source.text.lines())
                .any(|line| route(line) && sources::quotes(line).into_iter().any(named))
                .then(|| format!("/{form}"))
        })
    })
}
