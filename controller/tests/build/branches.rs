//! A branch by its name, and by nothing that only looks like one.

use longshore::build::Repository;

use crate::app::App;

const HERE_FIRST: &[&str] = &["heads", "remotes/origin"];
const AT_REMOTE: &[&str] = &["remotes/origin"];

#[test]
fn a_branch_is_named_without_doubt() {
    let app = App::empty();
    app.write("a", "1");
    let first = app.commit("First");
    app.git(&["branch", "login"]);
    app.git(&["branch", "shadowed"]);
    app.write("a", "2");
    let second = app.commit("Second");
    app.git(&["tag", "shadowed"]);
    app.git(&["update-ref", "refs/remotes/origin/login", &second]);
    app.git(&["update-ref", "refs/remotes/origin/theirs", &second]);
    app.git(&["update-ref", "refs/remotes/origin/HEAD", &second]);
    let repository = Repository::find(&app.root()).unwrap();
    let hash = |name: &str, places| {
        let called = repository.branch_called(name, places).unwrap()?;
        Some(repository.resolve(&called).unwrap().hash)
    };
    assert_eq!(hash("login", HERE_FIRST), Some(first.clone()));
    assert_eq!(hash("login", AT_REMOTE), Some(second.clone()));
    assert_eq!(hash("theirs", HERE_FIRST), Some(second));
    assert_eq!(hash("shadowed", HERE_FIRST), Some(first));
    for name in ["HEAD", "main~1", "main@{0}", "nobody", "", "../x"] {
        assert_eq!(hash(name, HERE_FIRST), None, "{name}");
    }
    let plain = repository.branch_called("login", HERE_FIRST).unwrap();
    assert_eq!(plain.as_deref(), Some("login"));
}
