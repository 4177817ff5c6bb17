//! Which release `deploy` takes.

use longshore::build::{BuildEvent, ForDeploy, ResolveError, Resolved, WhichRelease};
use longshore::ssh::NobodyToAsk;
use longshore_shared::name::AppName;

use crate::app::App;

fn resolve(app: &App, name: &str, which: WhichRelease) -> Result<Resolved, ResolveError> {
    let key = app.key();
    let request = ForDeploy {
        which,
        app: &AppName::new(name).unwrap(),
        folder: &app.root(),
        key: Some(&key),
        person: &NobodyToAsk,
    };
    request.resolve(&mut |_: BuildEvent| {})
}

#[test]
fn a_commit_is_built_once_and_then_reused() {
    let app = App::new();
    let hash = app.git(&["rev-parse", "HEAD"]);
    let main = || WhichRelease::Branch(Some("main".to_owned()));
    let untagged = resolve(&app, "cortico", main()).unwrap();
    let version = untagged.release.manifest().version.to_string();
    assert_eq!(version, format!("0.1.0-main.1+g{}", &hash[..7]));
    assert!(untagged.built && !resolve(&app, "cortico", main()).unwrap().built);
    // What was built before the tag is not what the tag says.
    app.git(&["tag", "v1.0.0"]);
    let first = resolve(&app, "cortico", main()).unwrap();
    assert!(first.built);
    let commit = first.commit.unwrap();
    assert_eq!(
        (commit.hash.as_str(), commit.author.as_str()),
        (hash.as_str(), "Ada")
    );
    assert_eq!(commit.subject, "Begin");
    for which in [
        main(),
        WhichRelease::Branch(None),
        WhichRelease::Ref("v1.0.0".to_owned()),
        WhichRelease::Ref(hash.clone()),
        WhichRelease::Version(semver::Version::new(1, 0, 0)),
        WhichRelease::File(app.dist("cortico-1.0.0.json")),
    ] {
        let again = resolve(&app, "cortico", which).unwrap();
        assert!(!again.built);
        assert_eq!(again.commit.unwrap().hash, hash);
        assert_eq!(
            again.release.manifest().version,
            semver::Version::new(1, 0, 0)
        );
    }
}

#[test]
fn the_remote_says_what_is_newest() {
    let origin = App::new();
    origin.git(&["tag", "v1.0.0"]);
    let app = App::empty();
    app.git(&["remote", "add", "origin", origin.root().to_str().unwrap()]);
    app.git(&["fetch", "--quiet", "origin"]);
    app.git(&["checkout", "--quiet", "-b", "work", "origin/main"]);
    origin.write("manage.py", "newer\n");
    let newest = origin.commit("Newer");
    origin.git(&["tag", "v1.1.0"]);
    let main = WhichRelease::Branch(Some("main".to_owned()));
    let resolved = resolve(&app, "cortico", main).unwrap();
    assert_eq!(resolved.commit.unwrap().hash, newest);
    assert_eq!(
        resolved.release.manifest().version,
        semver::Version::new(1, 1, 0)
    );
    assert_eq!(resolved.release.manifest().git_ref, "main");
    let gone = resolve(
        &app,
        "cortico",
        WhichRelease::Branch(Some("gone".to_owned())),
    );
    assert!(matches!(gone, Err(ResolveError::Fetch { .. })), "{gone:?}");
}

#[test]
fn another_app_and_another_version_are_refused() {
    let app = App::new();
    app.build_well(&["--version", "1.0.0"]);
    let file = WhichRelease::File(app.dist("cortico-1.0.0.tar.gz"));
    let other = resolve(&app, "other", file);
    assert!(
        matches!(other, Err(ResolveError::OtherApp { .. })),
        "{other:?}"
    );
    let missing = resolve(
        &app,
        "cortico",
        WhichRelease::Version(semver::Version::new(9, 0, 0)),
    );
    assert!(
        matches!(missing, Err(ResolveError::NoVersion { .. })),
        "{missing:?}"
    );
}
