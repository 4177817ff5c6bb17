//! `package.json`: a front end to build beside a Python app, or a Node app by itself.

use std::path::Path;

use serde_json::Value;

use super::project::{Node, Project, Serve};
use super::sources;

pub(super) fn look(root: &Path) -> Option<Node> {
    let package = package(root)?;
    let has = |name: &str| root.join(name).is_file();
    let (install, run) = if has("pnpm-lock.yaml") {
        ("pnpm install --frozen-lockfile", "pnpm run")
    } else if has("yarn.lock") {
        ("yarn install --frozen-lockfile", "yarn run")
    } else if has("package-lock.json") || has("npm-shrinkwrap.json") {
        ("npm ci", "npm run")
    } else {
        ("npm install", "npm run")
    };
    let script = |name: &str| {
        package
            .get("scripts")
            .and_then(|scripts| scripts.get(name))
            .is_some()
    };
    Some(Node {
        install,
        run,
        builds: script("build"),
        starts: script("start"),
    })
}

pub(super) fn name(root: &Path) -> Option<String> {
    let package = package(root)?;
    let name = package.get("name")?.as_str()?;
    // `@company/shop` is called shop.
    Some(name.rsplit('/').next().unwrap_or(name).to_owned())
}

fn package(root: &Path) -> Option<Value> {
    serde_json::from_str(&sources::text(root, "package.json")?).ok()
}

pub(super) fn serve(project: &mut Project) {
    let starts = project.node.as_ref().is_some_and(|node| node.starts);
    let start = if starts {
        "npm start"
    } else {
        "node server.js"
    };
    // Node listens on a path as on a port.
    project.serve = Serve::Command(format!("env PORT=$LONGSHORE_SOCKET {start}"));
    project.doubts.push(
        "The app must listen on the path in $LONGSHORE_SOCKET: server.listen(process.env.PORT), not parseInt of it.".to_owned(),
    );
}
