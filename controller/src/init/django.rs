//! Django apps: the settings say where static files, uploads and a SQLite database are.

use std::path::Path;

use longshore_shared::app_file::{InnerPath, SitePath};

use super::project::{Project, Serve, WORKERS};
use super::python::uvicorn;
use super::sources;

/// The settings module that `manage.py` names.
pub(super) fn settings(root: &Path) -> Option<String> {
    let text = sources::text(root, "manage.py")?;
    let line = text
        .lines()
        .find(|line| line.contains("DJANGO_SETTINGS_MODULE"))?;
    let mut names = sources::quotes(line).into_iter();
    names
        .find(|name| *name != "DJANGO_SETTINGS_MODULE")
        .map(str::to_owned)
}

pub(super) fn fill(root: &Path, project: &mut Project) {
    let settings = settings(root).unwrap_or_default();
    project.serve = serve(root, &settings, project);
    let manage = |command: &str| format!(".venv/bin/python manage.py {command}");
    project.migrate = vec![manage("migrate --noinput")];
    let undo = "migrate --noinput ${LONGSHORE_MIGRATION%%.*} ${LONGSHORE_MIGRATION_BEFORE:-zero}";
    project.migrated = Some((manage("showmigrations --plan"), manage(undo)));
    let lines = setting_lines(root, &settings);
    // Without STATIC_ROOT, collectstatic fails.
    if let Some(folder) = folder(&lines, "STATIC_ROOT") {
        project.each_release = vec![manage("collectstatic --noinput")];
        let url = url(&lines, "STATIC_URL").unwrap_or_else(|| "/static/".to_owned());
        project.statics.push((url, format!("{folder}/")));
    }
    if let Some(folder) = folder(&lines, "MEDIA_ROOT") {
        let url = url(&lines, "MEDIA_URL").unwrap_or_else(|| "/media/".to_owned());
        project.statics.push((url, format!("{folder}/")));
        project.shared_dirs.push(folder);
    }
    if let Some(file) = sqlite(&lines) {
        match file.rsplit_once('/') {
            // SQLite writes beside its file too.
            Some((folder, _))
                if !project
                    .shared_dirs
                    .iter()
                    .any(|dir| folder == dir || folder.starts_with(&format!("{dir}/"))) =>
            {
                project.shared_dirs.push(folder.to_owned());
            }
            Some(_) => {}
            None => project.shared_files.push(file),
        }
    }
}

fn serve(root: &Path, settings: &str, project: &mut Project) -> Serve {
    let mut parts: Vec<&str> = settings.split('.').collect();
    while !parts.is_empty() {
        parts.pop();
        let (folder, module) = (parts.join("/"), parts.join("."));
        let has = |file: &str| root.join(&folder).join(file).is_file();
        let dot = if module.is_empty() { "" } else { "." };
        if has("wsgi.py") {
            return Serve::Gunicorn {
                application: format!("{module}{dot}wsgi:application"),
                workers: WORKERS,
            };
        }
        if has("asgi.py") {
            return Serve::Command(uvicorn(&format!("{module}{dot}asgi:application")));
        }
    }
    project
        .doubts
        .push("No wsgi.py was found beside the settings: check MODULE:NAME.".to_owned());
    Serve::Gunicorn {
        application: "config.wsgi:application".to_owned(),
        workers: WORKERS,
    }
}

/// The lines of the settings, and of those they are based on.
fn setting_lines(root: &Path, settings: &str) -> Vec<String> {
    let path = settings.replace('.', "/");
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let files = [
        format!("{path}.py"),
        format!("{path}/__init__.py"),
        format!("{path}/base.py"),
        format!("{parent}/base.py"),
        format!("{parent}/common.py"),
    ];
    let texts = files.iter().filter_map(|file| sources::text(root, file));
    texts
        .flat_map(|text| {
            text.lines()
                .map(|line| line.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (left, right) = line.split_once('=')?;
        (left.trim() == name).then_some(right)
    })
}

/// A folder of the repository, as in `BASE_DIR / "staticfiles"`.
fn folder(lines: &[String], name: &str) -> Option<String> {
    inside(value(lines, name)?)
}

fn inside(expression: &str) -> Option<String> {
    let path = sources::quotes(expression).join("/");
    let path = InnerPath::try_from(path).ok()?;
    let of_project = ["BASE_DIR", "ROOT_DIR", "PROJECT_ROOT"];
    of_project
        .iter()
        .any(|word| expression.contains(word))
        .then(|| path.as_str().to_owned())
}

fn url(lines: &[String], name: &str) -> Option<String> {
    let found = *sources::quotes(value(lines, name)?).first()?;
    let path = format!("/{}/", found.trim_matches('/'));
    SitePath::try_from(path)
        .ok()
        .map(String::from)
        .filter(|path| path != "//")
}

fn sqlite(lines: &[String]) -> Option<String> {
    let line = lines.iter().find(|line| {
        !line.starts_with('#') && line.contains("sqlite3") && line.contains("BASE_DIR")
    })?;
    let (_, expression) = line.split_once(':').or_else(|| line.split_once('='))?;
    inside(expression)
}
