//! A Procfile: `web` says what serves, `release` what migrates.

use std::path::Path;

use super::project::{Project, Serve};
use super::python::uvicorn;
use super::sources;

#[derive(Debug, Clone)]
pub(super) struct Procfile {
    web: Option<String>,
    release: Option<String>,
}

impl Procfile {
    pub(super) fn read(root: &Path) -> Option<Self> {
        let text = sources::text(root, "Procfile")?;
        let line = |name: &str| {
            text.lines().find_map(|line| {
                let (found, command) = line.split_once(':')?;
                (found.trim() == name && !command.trim().is_empty())
                    .then(|| command.trim().to_owned())
            })
        };
        Some(Self {
            web: line("web"),
            release: line("release"),
        })
    }
}

pub(super) fn fill(procfile: &Procfile, project: &mut Project) {
    if let Some(web) = &procfile.web {
        project.doubts.clear();
        project.serve = serve(web).unwrap_or_else(|| {
            project.doubts.push("From the Procfile: it must listen on the Unix socket $LONGSHORE_SOCKET instead of a port.".to_owned());
            Serve::Command(in_venv(web))
        });
    }
    if let Some(release) = procfile
        .release
        .as_ref()
        .filter(|_| project.migrate.is_empty())
    {
        project.migrate = vec![in_venv(release)];
    }
}

/// A server that is known, with its application; where it listens is the agent's to say.
fn serve(web: &str) -> Option<Serve> {
    let words: Vec<&str> = web.split_whitespace().collect();
    let (server, rest) = words.split_first()?;
    let application = rest.iter().rev().copied().find(|word| is_application(word));
    match *server {
        "gunicorn" if rest.iter().any(|word| word.contains("uvicorn")) => {
            Some(Serve::Command(uvicorn(application?)))
        }
        "gunicorn" => Some(Serve::Gunicorn(
            application.or_else(|| bare(rest))?.to_owned(),
        )),
        "uvicorn" => Some(Serve::Command(uvicorn(application?))),
        _ => None,
    }
}

/// `config.wsgi:application`
fn is_application(word: &str) -> bool {
    let Some((module, name)) = word.split_once(':') else {
        return false;
    };
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '(' | ')'))
    };
    plain(module) && plain(name)
}

/// `gunicorn config.wsgi` means its `application`.
fn bare<'a>(words: &[&'a str]) -> Option<&'a str> {
    let first = *words.first()?;
    (!first.starts_with('-') && !first.contains(['/', '$', '='])).then_some(first)
}

fn in_venv(command: &str) -> String {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("python" | "python3", rest) => format!(".venv/bin/python {rest}"),
        (
            program @ ("gunicorn" | "uvicorn" | "flask" | "alembic" | "hypercorn" | "daphne"
            | "waitress-serve"),
            rest,
        ) => {
            format!(".venv/bin/{program} {rest}")
        }
        _ => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_servers_are_told_where_to_listen_by_the_agent() {
        let gunicorn = |text: &str| Some(Serve::Gunicorn(text.to_owned()));
        assert_eq!(
            serve("gunicorn config.wsgi --log-file -"),
            gunicorn("config.wsgi")
        );
        assert_eq!(
            serve("gunicorn -b 0.0.0.0:$PORT shop:create_app()"),
            gunicorn("shop:create_app()")
        );
        let asgi = Some(Serve::Command(uvicorn("a.b:app")));
        assert_eq!(serve("uvicorn a.b:app --host 0.0.0.0 --port $PORT"), asgi);
        assert_eq!(
            serve("gunicorn -k uvicorn.workers.UvicornWorker a.b:app"),
            asgi
        );
        assert_eq!(serve("node server.js"), None);
        assert_eq!(
            in_venv("python manage.py migrate"),
            ".venv/bin/python manage.py migrate"
        );
    }
}
