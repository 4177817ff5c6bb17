//! A Procfile: `web` says what serves, `release` what migrates.

use std::path::Path;

use longshore_shared::app_file;
use longshore_shared::name::ProcessName;

use super::project::{Process, Project, Serve, WORKERS};
use super::python::uvicorn;
use super::sources;

#[derive(Debug, Clone)]
pub(super) struct Procfile {
    web: Option<String>,
    release: Option<String>,
    /// What else it runs.
    others: Vec<(String, String)>,
}

/// What clocks of task queues are mostly called: two of them would start everything twice.
const CLOCKS: [&str; 4] = ["beat", "clock", "cron", "scheduler"];

impl Procfile {
    pub(super) fn read(root: &Path) -> Option<Self> {
        let text = sources::text(root, "Procfile")?;
        let lines = || {
            let plain = text.lines().filter(|line| !line.starts_with('#'));
            plain.filter_map(|line| {
                let (name, command) = line.split_once(':')?;
                let (name, command) = (name.trim(), command.trim());
                (!command.is_empty()).then_some((name, command))
            })
        };
        let line = |name: &str| {
            let mut lines = lines();
            lines.find_map(|(found, command)| (found == name).then(|| command.to_owned()))
        };
        let others = lines().filter(|(name, _)| !matches!(*name, "web" | "release"));
        Some(Self {
            web: line("web"),
            release: line("release"),
            others: others
                .map(|(name, command)| (name.to_owned(), command.to_owned()))
                .collect(),
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
        let left = left_out(web);
        if !left.is_empty() && matches!(project.serve, Serve::Gunicorn { .. }) {
            project.doubts.push(format!(
                "The Procfile also told gunicorn {}: write that into gunicorn.conf.py, which it reads by itself.",
                left.join(" ")
            ));
        }
    }
    for (name, command) in &procfile.others {
        let plain = name.to_ascii_lowercase().replace('_', "-");
        match ProcessName::new(plain) {
            Ok(plain)
                if app_file::Process::may_be_called(&plain)
                    && project
                        .processes
                        .iter()
                        .all(|one| one.name != plain.as_str()) =>
            {
                project.processes.push(Process {
                    single: CLOCKS.iter().any(|clock| plain.as_str().contains(clock)),
                    name: plain.to_string(),
                    command: in_venv(command),
                });
            }
            _ => project.doubts.push(format!(
                "Of the Procfile, {name} is not run: write it as a [process] under another name."
            )),
        }
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
        "gunicorn" => Some(Serve::Gunicorn {
            application: application.or_else(|| bare(rest))?.to_owned(),
            workers: workers(rest).unwrap_or(WORKERS),
        }),
        "uvicorn" => Some(Serve::Command(uvicorn(application?))),
        _ => None,
    }
}

/// `-w 4`, `--workers 4` and `--workers=4`
fn workers(words: &[&str]) -> Option<u32> {
    words.iter().enumerate().find_map(|(at, word)| {
        let number = match *word {
            "-w" | "--workers" => words.get(at + 1)?,
            word => word.strip_prefix("--workers=")?,
        };
        number.parse().ok().filter(|number| *number > 0)
    })
}

/// Options that the app file has no place for. Where it listens and how it logs is the agent's to say.
fn left_out(web: &str) -> Vec<&str> {
    let mut left = Vec::new();
    let mut words = web.split_whitespace().skip(1).peekable();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            continue;
        }
        let name = word.split('=').next().unwrap_or(word);
        let value = match word.contains('=') {
            true => None,
            // gunicorn itself takes a lone dash as a value.
            false => words
                .next_if(|next| (!next.starts_with('-') || *next == "-") && !is_application(next)),
        };
        let known = [
            "-b",
            "--bind",
            "-w",
            "--workers",
            "--log-file",
            "--access-logfile",
            "--error-logfile",
        ];
        if !known.contains(&name) {
            left.push(word);
            left.extend(value);
        }
    }
    left
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
            | "waitress-serve" | "celery" | "dramatiq" | "rq"),
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
        let gunicorn = |text: &str| {
            Some(Serve::Gunicorn {
                application: text.to_owned(),
                workers: WORKERS,
            })
        };
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
        assert_eq!(workers(&["a:b", "--workers=4"]), Some(4));
        assert_eq!(workers(&["-w", "5", "a:b"]), Some(5));
        assert_eq!(
            left_out("gunicorn -b 0.0.0.0:$PORT --timeout 120 --preload a:b --log-file -"),
            ["--timeout", "120", "--preload"]
        );
        assert_eq!(
            in_venv("python manage.py migrate"),
            ".venv/bin/python manage.py migrate"
        );
    }
}
