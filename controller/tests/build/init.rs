//! The files that `init` writes: right for each kind of app, and never over others.

use std::fs;
use std::path::Path;
use std::process::Output;

use longshore::init::{Answers, look, texts};
use longshore::inventory::Inventory;
use longshore::toml_file;
use longshore_shared::app_file::AppFile;
use longshore_shared::signature::AllowedSigners;

use crate::app::{App, said};

/// A repository with these files, and what `init --yes` makes of it.
fn initialized(files: &[(&str, &str)]) -> (App, AppFile) {
    let app = App::empty();
    for (path, text) in files {
        app.write(path, text);
    }
    let output = init(&app, &["--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    let file: AppFile = toml_file::read(&app.root().join("longshore.toml")).unwrap();
    file.check().unwrap();
    let inventory = Inventory::read(&app.root().join("inventory.toml")).unwrap();
    let environment = inventory.environment("production").unwrap();
    assert_eq!(environment.only_app().unwrap().name, file.app.name);
    (app, file)
}

fn init(app: &App, words: &[&str]) -> Output {
    let mut all = vec!["init"];
    all.extend(words);
    app.longshore(&all)
}

fn text(app: &App, name: &str) -> String {
    fs::read_to_string(app.root().join(name)).unwrap()
}

/// The parts of an app file as texts.
fn steps(commands: &[longshore_shared::app_file::Command]) -> Vec<&str> {
    commands.iter().map(|command| command.as_str()).collect()
}

fn gunicorn(file: &AppFile) -> &str {
    file.web.gunicorn.as_ref().unwrap().as_str()
}

fn command(file: &AppFile) -> &str {
    file.web.command.as_ref().unwrap().as_str()
}

#[test]
fn a_django_app_is_understood_as_its_own_file_says() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/apps/cortico");
    let own: AppFile = toml_file::read(&sample.join("longshore.toml")).unwrap();
    let names = [
        "manage.py",
        "requirements.txt",
        "config/settings.py",
        "config/urls.py",
        "config/wsgi.py",
    ];
    let files = names.map(|name| (name, fs::read_to_string(sample.join(name)).unwrap()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let (_, file) = initialized(&files);
    assert_eq!(gunicorn(&file), gunicorn(&own));
    assert_eq!(file.static_files, own.static_files);
    assert_eq!(file.shared, own.shared);
    assert_eq!(file.migrate, own.migrate);
    assert_eq!(file.web.health.path, own.web.health.path);
    assert_eq!(file.prepare[1], own.prepare[1]);
    assert_eq!(file.prepare[0].layer, own.prepare[0].layer);
}

#[test]
fn a_plain_new_django_project_works_too() {
    // As `django-admin startproject shop` makes it.
    let (_, file) = initialized(&[
        (
            "manage.py",
            "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
        ),
        (
            "shop/settings.py",
            "STATIC_URL = 'static/'\nDATABASES = {'default': {\n'NAME': BASE_DIR / 'db.sqlite3',\n}}\n",
        ),
        ("shop/wsgi.py", "application = get_wsgi_application()\n"),
    ]);
    assert_eq!(gunicorn(&file), "shop.wsgi:application");
    // Without STATIC_ROOT, collectstatic would fail.
    assert_eq!((file.prepare.len(), file.static_files.len()), (1, 0));
    assert_eq!(file.shared.files[0].as_str(), "db.sqlite3");
    assert!(steps(&file.build.run)[0].ends_with("--dest wheels django gunicorn"));
}

#[test]
fn flask_and_fastapi_apps() {
    let (_, file) = initialized(&[
        ("requirements.txt", "Flask==3.0\ngunicorn\n"),
        (
            "shop/__init__.py",
            "def create_app():\n    return Flask(__name__)\n",
        ),
        (
            "shop/views.py",
            "@bp.route(\"/healthz\")\ndef health(): ...\n",
        ),
        ("migrations/alembic.ini", ""),
    ]);
    assert_eq!(gunicorn(&file), "shop:create_app()");
    assert_eq!(file.web.health.path.as_str(), "/healthz");
    assert_eq!(
        steps(&file.migrate.run),
        [".venv/bin/flask --app shop db upgrade"]
    );
    assert!(steps(&file.build.run)[0].ends_with("-r requirements.txt"));

    let (_, file) = initialized(&[
        (
            "pyproject.toml",
            "[project]\nname = \"My_Shop\"\ndependencies = [\"fastapi>=0.100\"]\n",
        ),
        ("src/shop/main.py", "api: FastAPI = FastAPI(title=\"x\")\n"),
        ("alembic.ini", ""),
    ]);
    assert_eq!(file.app.name.as_str(), "my-shop");
    assert!(
        command(&file)
            .starts_with(".venv/bin/uvicorn shop.main:api --app-dir src --uds $LONGSHORE_SOCKET")
    );
    let build = steps(&file.build.run);
    assert!(
        build[1].contains("tomllib") && build[2].ends_with("-r wheels/requirements.txt uvicorn"),
        "{build:?}"
    );
    assert_eq!(steps(&file.migrate.run), [".venv/bin/alembic upgrade head"]);
}

#[test]
fn lock_files_decide_which_packages() {
    let project = (
        "pyproject.toml",
        "[project]\nname = \"a\"\ndependencies = [\"flask\", \"gunicorn\"]\n",
    );
    let app = ("app.py", "app = Flask(__name__)\n");
    for (lock, tool) in [("uv.lock", "uv export"), ("poetry.lock", "poetry export")] {
        let (_, file) = initialized(&[project, app, (lock, ""), ("requirements.txt", "old\n")]);
        let build = steps(&file.build.run);
        assert!(build[1].starts_with(tool), "{build:?}");
        assert!(
            build[2].ends_with("-r wheels/requirements.txt"),
            "{build:?}"
        );
        assert_eq!(gunicorn(&file), "app:app");
    }
}

#[test]
fn lists_in_a_folder_and_none_at_all() {
    let manage = (
        "manage.py",
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.settings')\n",
    );
    let lists = [
        ("requirements/base.txt", "Django\n"),
        ("requirements/production.txt", "-r base.txt\ngunicorn\n"),
    ];
    let (app, file) = initialized(&[manage, lists[0], lists[1]]);
    assert!(steps(&file.build.run)[0].ends_with("-r requirements/production.txt"));
    let key = &file.prepare[0].layer.as_ref().unwrap().key;
    assert_eq!(key[0].as_str(), "requirements");
    assert!(!text(&app, "longshore.toml").contains("No list"));
    let (app, _) = initialized(&[manage]);
    assert!(text(&app, "longshore.toml").contains("No list of the app's packages"));
    let (_, file) = initialized(&[
        manage,
        ("Pipfile", "django = \"*\""),
        ("Pipfile.lock", "{}"),
    ]);
    assert!(steps(&file.build.run)[1].starts_with("pipenv requirements"));
}

#[test]
fn a_procfile_says_what_serves_and_a_front_end_is_built() {
    let (app, file) = initialized(&[
        (
            "Procfile",
            "release: python manage.py migrate\nworker: celery -A shop worker\n\
             clock_1: python clock.py\nagent: ./x\n\
             web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT --workers 5 --timeout 120\n",
        ),
        ("requirements.txt", "bottle\n"),
        (
            "package.json",
            r#"{"name": "@x/front", "scripts": {"build": "vite build"}}"#,
        ),
        ("package-lock.json", "{}"),
    ]);
    assert_eq!(gunicorn(&file), "shop.wsgi");
    assert_eq!(file.web.workers, 5);
    // What has no place in the app file is not lost in silence.
    let text = text(&app, "longshore.toml");
    assert!(text.contains("told gunicorn --timeout 120:"), "{text}");
    assert!(text.contains("agent is not run"), "{text}");
    let processes: Vec<_> = file
        .processes
        .iter()
        .map(|(name, process)| (name.as_str(), process.command.as_str(), process.single))
        .collect();
    assert_eq!(
        processes,
        [
            ("clock-1", ".venv/bin/python clock.py", true),
            ("worker", ".venv/bin/celery -A shop worker", false)
        ]
    );
    assert_eq!(
        steps(&file.migrate.run),
        [".venv/bin/python manage.py migrate"]
    );
    let build = steps(&file.build.run);
    assert_eq!(
        build[..3],
        ["npm ci", "npm run build", "rm -rf node_modules"]
    );
    assert!(
        build[3].ends_with("-r requirements.txt gunicorn"),
        "{build:?}"
    );
}

#[test]
fn node_and_nothing_at_all() {
    let (app, file) = initialized(&[(
        "package.json",
        r#"{"name": "@x/front", "scripts": {"build": "tsc", "start": "node ."}}"#,
    )]);
    assert_eq!(file.app.name.as_str(), "front");
    assert_eq!(command(&file), "env PORT=$LONGSHORE_SOCKET npm start");
    assert!(text(&app, "longshore.toml").contains("# CHECK:"));
    assert!(file.prepare.is_empty());

    let (app, _) = initialized(&[("README", "")]);
    assert!(text(&app, "longshore.toml").contains("# CHECK: What serves the app was not found"));
}

#[test]
fn nothing_is_ever_overwritten() {
    let app = App::empty();
    app.write("longshore.toml", "mine\n");
    std::os::unix::fs::symlink("nowhere", app.root().join("inventory.toml")).unwrap();
    let output = init(&app, &["--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(text(&app, "longshore.toml"), "mine\n");
    assert!(!app.root().join("nowhere").exists());
    for name in ["longshore.toml", "inventory.toml"] {
        let words = format!("{name} was there already, and is left as it is");
        assert!(said(&output).contains(&words), "{}", said(&output));
    }
}

#[test]
fn what_it_says_comes_next_leads_to_a_release() {
    let app = App::empty();
    app.write(".gitignore", "*.pyc\n");
    app.commit("Begin");
    let output = init(&app, &["--yes", "--app", "shop"]);
    let words = said(&output);
    let line = words
        .lines()
        .find_map(|line| line.strip_prefix("  - git add "))
        .unwrap();
    let (files, _) = line.split_once(" &&").unwrap();
    assert_eq!(
        files,
        "longshore.toml inventory.toml .gitignore allowed_signers"
    );
    // As an earlier step has it.
    app.write("allowed_signers", "# nobody yet\n");
    let mut add = vec!["add"];
    add.extend(files.split(' '));
    app.git(&add);
    app.git(&["commit", "--quiet", "--message", "feat: ship"]);
    app.build_well(&[]);
    let hash = app.git(&["rev-parse", "HEAD"]);
    assert!(app.is_signed(&format!("shop-0.1.0-main.2+g{}", &hash[..7])));
}

#[test]
fn dist_is_added_to_a_gitignore_that_lacks_it() {
    for (before, after) in [
        ("*.pyc", "*.pyc\ndist/\n"),
        ("", "dist/\n"),
        ("a\r\n/dist\r\n", "a\r\n/dist\r\n"),
    ] {
        let (app, _) = initialized(&[(".gitignore", before)]);
        assert_eq!(text(&app, ".gitignore"), after);
    }
    let (app, _) = initialized(&[]);
    assert!(!app.root().join(".gitignore").exists());
}

#[test]
fn the_public_half_of_the_signing_key_is_the_first_signer() {
    for passphrase in ["", "secret"] {
        let app = App::empty();
        app.generate_key("mine", "ed25519", passphrase);
        let public = fs::read_to_string(app.path("mine.pub")).unwrap();
        // Nobody has to be asked: the public half is in the private file too.
        fs::remove_file(app.path("mine.pub")).unwrap();
        app.git(&["config", "gpg.format", "ssh"]);
        app.git(&[
            "config",
            "user.signingkey",
            app.path("mine").to_str().unwrap(),
        ]);
        let output = init(&app, &["--yes"]);
        assert!(said(&output).contains("user.email"), "{}", said(&output));
        assert!(!app.root().join("allowed_signers").exists());

        app.git(&["config", "user.email", "ada@example.com"]);
        assert!(init(&app, &["--yes"]).status.success());
        let signers = text(&app, "allowed_signers");
        let key: Vec<&str> = public.split_whitespace().take(2).collect();
        let line = format!(
            "ada@example.com namespaces=\"longshore-release,longshore-signers\" {}\n",
            key.join(" ")
        );
        assert!(signers.ends_with(&line), "{signers}");
        assert!(!signers.contains("PRIVATE"));
        AllowedSigners::parse(&signers).unwrap();
    }
}

#[test]
fn answers_on_the_command_line_and_wrong_ones() {
    let app = App::new();
    fs::remove_file(app.root().join("longshore.toml")).unwrap();
    let words = [
        "--yes",
        "--app",
        "shop",
        "--host",
        "198.51.100.11:2222",
        "--domain",
        "shop.example.com",
    ];
    let output = init(&app, &words);
    assert!(output.status.success(), "{}", said(&output));
    let inventory = Inventory::read(&app.root().join("inventory.toml")).unwrap();
    let shop = inventory
        .environment("production")
        .unwrap()
        .app("shop")
        .unwrap();
    assert_eq!(shop.domain.as_deref(), Some("shop.example.com"));
    assert_eq!(shop.branch.as_deref(), Some("main"));

    for (wrong, told) in [
        (["--app", "No Name"], "app name"),
        (["--domain", "a b"], "domain"),
        (["--host", "a\"b"], "address"),
    ] {
        let app = App::empty();
        let output = init(&app, &["--yes", wrong[0], wrong[1]]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(told), "{wrong:?}: {}", said(&output));
        assert_eq!(
            fs::read_dir(app.root()).unwrap().count(),
            1,
            "something was left"
        );
    }
}

#[test]
fn without_a_terminal_and_outside_of_git() {
    let app = App::empty();
    let output = init(&app, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("longshore init --yes"));

    let output = app
        .longshore_command()
        .current_dir(app.home.path())
        .args(["init", "--yes", "--app", "a"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("git init"), "{}", said(&output));
    assert!(app.path("longshore.toml").is_file());
}

#[test]
fn any_name_of_a_folder_gives_files_that_can_be_read() {
    let home = tempfile::tempdir().unwrap();
    for name in [
        "007",
        "Ünïcode",
        "a--b",
        "My Shop (old)",
        &"x".repeat(100),
        "-",
        "1a",
    ] {
        let root = home.path().join(name);
        fs::create_dir(&root).unwrap();
        let project = look(&root);
        let answers = Answers {
            name: project.name.clone(),
            address: "203.0.113.7".to_owned(),
            domain: format!("{}.example.com", project.name),
            branch: "feature/\"x\"".to_owned(),
        };
        texts(&project, &answers).unwrap();
    }
}
