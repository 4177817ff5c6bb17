//! The text of a new `longshore.toml`.

use std::fmt::Write;

use super::project::{Project, Serve};
use super::{Answers, list, quoted};

pub(super) fn render(project: &Project, answers: &Answers) -> String {
    let mut text = format!(
        "# How this app is built, prepared, run and checked. It is signed into every release, so a host runs\n\
         # nothing but what stands here. Unknown keys are errors that name the line.\n\n\
         [app]\nname = {}\n",
        quoted(&answers.name)
    );
    // Writing to a String cannot fail, so the result of `write!` says nothing.
    let _ = build(&mut text, project);
    let _ = prepare(&mut text, project);
    let _ = web(&mut text, project);
    let _ = processes(&mut text, project);
    let _ = rest(&mut text, project, &answers.name);
    text
}

fn build(text: &mut String, project: &Project) -> std::fmt::Result {
    let mut steps: Vec<String> = Vec::new();
    if let Some(node) = &project.node
        && (node.builds || project.python.is_none())
    {
        steps.push(node.install.to_owned());
        if node.builds {
            steps.push(format!("{} build", node.run));
        }
        if project.python.is_some() {
            steps.push("rm -rf node_modules".to_owned());
        }
    }
    if let Some(python) = &project.python {
        steps.extend(python.list.iter().cloned());
        steps.push(format!(
            "python3 -m pip download --quiet --disable-pip-version-check --dest wheels {}",
            python.wanted
        ));
    }
    text.push_str("\n# On the machine that builds, in a clean export of the commit.\n[build]\n");
    if project.python.is_some() {
        text.push_str(
            "# The packages must fit the hosts' Python and system. If this machine's differ, tell pip, for example:\n\
             #   --python-version 3.11 --platform manylinux2014_x86_64 --only-binary=:all:\n",
        );
    }
    if !steps.is_empty() {
        writeln!(text, "run = {}", lines(&steps))?;
    }
    text.push_str("# exclude = [\"inventory.toml\", \"tests\"]     # what hosts do not need\n");
    Ok(())
}

fn prepare(text: &mut String, project: &Project) -> std::fmt::Result {
    if let Some(python) = &project.python {
        let steps = [
            "python3 -m venv .venv".to_owned(),
            format!(
                ".venv/bin/pip install --quiet --no-index --find-links wheels {}",
                python.wanted
            ),
        ];
        write!(
            text,
            "\n# On each host, as the app's own user, in the new release and before it serves. What a layer keeps is\n\
             # made once for each state of its key.\n[[prepare]]\nrun = {}\nlayer = {{ keep = [\".venv\"], key = {} }}\n",
            lines(&steps),
            list(&python.key)
        )?;
    }
    if !project.each_release.is_empty() {
        write!(
            text,
            "\n[[prepare]]\nrun = {}\n",
            list(&project.each_release)
        )?;
    }
    if project.migrate.is_empty() {
        return Ok(());
    }
    write!(
        text,
        "\n# Once per environment, before anything is switched: the old release still serves while this runs.\n\
         [migrate]\nrun = {}\n",
        list(&project.migrate)
    )?;
    match &project.migrated {
        None => Ok(()),
        Some((check, undo)) => write!(
            text,
            "check = {}\n# Where the inventory says on_leave = \"undo\", as on a dev server: for each migration that the next release\n\
             # does not have, the newest first.\nundo = {}\n",
            quoted(check),
            list(std::slice::from_ref(undo))
        ),
    }
}

fn web(text: &mut String, project: &Project) -> std::fmt::Result {
    text.push_str(
        "\n# What serves, beside the release that still does until this one is healthy.\n[web]\n",
    );
    for doubt in &project.doubts {
        writeln!(text, "# CHECK: {doubt}")?;
    }
    match &project.serve {
        Serve::Gunicorn {
            application,
            workers,
        } => {
            writeln!(
                text,
                "gunicorn = {}\nworkers = {workers}",
                quoted(application)
            )?;
        }
        Serve::Command(command) => writeln!(text, "command = {}", quoted(command))?,
    }
    match &project.health {
        Some(path) => writeln!(
            text,
            "# Must answer 2xx; no traffic moves before it does.\nhealth = {{ path = {}, timeout = \"30s\" }}",
            quoted(path)
        )?,
        None => text.push_str(
            "# Must answer 2xx, without a redirect; no traffic moves before it does. A path that looks at the database\n\
             # too, such as /healthz, is better than the front page.\nhealth = { path = \"/\", timeout = \"30s\" }\n",
        ),
    }
    text.push_str(
        "# cooldown = \"10m\"        # how long the release that was left stays warm, for a rollback at once\n\
         # max_upload = \"20m\"      # the largest request body; 1m if nothing is said\n",
    );
    Ok(())
}

fn processes(text: &mut String, project: &Project) -> std::fmt::Result {
    if project.processes.is_empty() {
        text.push_str(
            "\n# What runs beside it, of the same release: workers, and what runs now and then.\n\
             # [process.worker]\n# command = \".venv/bin/celery -A config worker\"\n\
             # [timer.cleanup]\n# command = \".venv/bin/python manage.py clearsessions\"\n# at = \"daily\"\n",
        );
    }
    for process in &project.processes {
        writeln!(
            text,
            "\n[process.{}]\ncommand = {}",
            process.name,
            quoted(&process.command)
        )?;
        if process.single {
            text.push_str("single = true             # on one host of the environment\n");
        }
    }
    Ok(())
}

fn rest(text: &mut String, project: &Project, app: &str) -> std::fmt::Result {
    if project.statics.is_empty() {
        text.push_str("\n# Folders of the release that nginx serves by itself.\n# [static]\n# \"/static/\" = \"static/\"\n");
    } else {
        text.push_str("\n# Folders of the release that nginx serves by itself.\n[static]\n");
        for (url, folder) in &project.statics {
            writeln!(text, "{} = {}", quoted(url), quoted(folder))?;
        }
    }
    write!(
        text,
        "\n# What survives releases: links to folders and files that the host keeps. Settings and secrets are not\n\
         # here, but in the host's /etc/longshore/apps/{app}.env.\n"
    )?;
    if project.shared_dirs.is_empty() && project.shared_files.is_empty() {
        text.push_str("# [shared]\n# dirs = [\"media\"]\n");
        return Ok(());
    }
    text.push_str("[shared]\n");
    if !project.shared_dirs.is_empty() {
        writeln!(text, "dirs = {}", list(&project.shared_dirs))?;
    }
    if !project.shared_files.is_empty() {
        writeln!(text, "files = {}", list(&project.shared_files))?;
    }
    Ok(())
}

/// A list with a line for each item.
fn lines(items: &[String]) -> String {
    let items = items.iter().map(|item| format!("    {},\n", quoted(item)));
    format!("[\n{}]", items.collect::<String>())
}
