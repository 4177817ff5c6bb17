//! Inventories as people write them, right and wrong.

use std::path::Path;

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn read(text: &str) -> Result<Inventory, String> {
    Inventory::from_source(&SourceText::from_text(Path::new("inventory.toml"), text))
        .map_err(|error| error.to_string())
}

fn three_hosts() -> Inventory {
    read(&format!(
        r#"
[fleet]
signers = "allowed_signers"
[environments.staging]
[[environments.staging.hosts]]
name = "web-1"
address = "203.0.113.7"
roles = ["web"]
host_key = "{KEY}"
[[environments.staging.hosts]]
name = "web-2"
address = "203.0.113.8:2222"
user = "deploy"
roles = ["web"]
host_key = ["{KEY}", "{KEY}"]
[[environments.staging.hosts]]
name = "db-1"
address = "2001:db8::9"
[environments.staging.apps.cortico]
hosts = ["web-*", "@web"]
domain = "staging.cortico.example"
branch = "develop"
"#
    ))
    .unwrap()
}

fn chosen(on: &[&str], exclude: &[&str]) -> Result<Vec<String>, SelectionError> {
    let inventory = three_hosts();
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let environment = inventory.environment("staging").unwrap();
    let hosts = HostSelection::new(&words(on), &words(exclude)).choose(environment, |_| true)?;
    Ok(hosts.iter().map(|host| host.name.to_string()).collect())
}

#[test]
fn a_good_file_is_read_whole() {
    let inventory = three_hosts();
    let staging = inventory.environment("staging").unwrap();
    assert_eq!(staging.hosts.len(), 3);
    let app = staging.only_app().unwrap();
    assert_eq!(
        app.hosts.iter().map(HostName::as_str).collect::<Vec<_>>(),
        ["web-1", "web-2"]
    );
    assert_eq!(staging.hosts[1].address.port(), Some(2222));
    assert_eq!(staging.hosts[1].host_keys.len(), 2);
}

#[test]
fn selections_follow_the_inventory_order() {
    assert_eq!(chosen(&[], &[]).unwrap(), ["web-1", "web-2", "db-1"]);
    assert_eq!(
        chosen(&["db-1", "@web"], &["web-1"]).unwrap(),
        ["web-2", "db-1"]
    );
    assert_eq!(chosen(&["*-1"], &[]).unwrap(), ["web-1", "db-1"]);
}

#[test]
fn a_selection_that_matches_nothing_lists_what_there_is() {
    let error = chosen(&["web-3"], &[]).unwrap_err();
    assert!(error.to_string().contains("did you mean `web-"), "{error}");
    assert!(error.hints()[0].contains("web-1, web-2, db-1, @web"));
    assert!(matches!(
        chosen(&["web-1"], &["web-1"]),
        Err(SelectionError::Empty { .. })
    ));
    assert!(chosen(&[], &["nobody"]).is_err());
}

#[test]
fn unknown_environments_and_apps_are_answered_with_what_is_meant() {
    let inventory = three_hosts();
    let error = inventory.environment("stagin").unwrap_err();
    assert!(
        error.to_string().ends_with("did you mean `staging`?"),
        "{error}"
    );
    let error = inventory
        .environment("staging")
        .unwrap()
        .app("cortica")
        .unwrap_err();
    assert!(
        error.to_string().ends_with("did you mean `cortico`?"),
        "{error}"
    );
}

#[test]
fn every_mistake_names_its_line() {
    let host = |name: &str, address: &str, rest: &str| {
        format!("[[environments.e.hosts]]\nname = \"{name}\"\naddress = \"{address}\"\n{rest}")
    };
    let two = |a: String, b: String| format!("{a}{b}");
    let cases = [
        (
            host("a", "x", "hostkey = \"k\"\n"),
            4,
            "did you mean `host_key`",
        ),
        (host("A b", "x", ""), 2, "host name"),
        (host("a", "x:0", ""), 3, "not a port"),
        (host("a", "x:22", "port = 23\n"), 4, "says port 22 already"),
        (
            host("a", "x", "host_key = \"rubbish\"\n"),
            4,
            "not an SSH public key",
        ),
        (host("a", "x", "host_key = []\n"), 4, "pins nothing"),
        (host("a", "x", "roles = [\"@web\"]\n"), 4, "is not a role"),
        (host("a", "x", "user = \"-oProxy\"\n"), 4, "not a user name"),
        (
            two(host("a", "x", ""), host("a", "y", "")),
            5,
            "is there twice",
        ),
        (
            two(host("a", "x", ""), host("b", "x", "")),
            6,
            "already the address of host `a`",
        ),
        (
            host("a", "x", "[environments.e.apps.p]\nhosts = [\"@web\"]\n"),
            5,
            "no host or role",
        ),
        (
            host("a", "x", "[environments.e.apps.p]\nhosts = []\n"),
            4,
            "lives on no host",
        ),
        (
            host(
                "a",
                "x",
                "[environments.e.apps.p]\nhosts = [\"a\"]\ndomain = \"x;y\"\n",
            ),
            6,
            "not a domain",
        ),
        (
            host(
                "a",
                "x",
                "[environments.e.apps.p]\nhosts = [\"a\"]\ndomain = \"Www.Example.com\"\n",
            ),
            6,
            "write \"www.example.com\"",
        ),
        (
            "[environments.\"../x\"]\n".to_owned(),
            1,
            "environment name",
        ),
        (
            "[environments.e]\nrelease_by = [\"@leads\"]\n".to_owned(),
            2,
            "nobody in group `leads`",
        ),
        (
            "[environments.e]\nrelease_by = [\"a b\"]\n".to_owned(),
            2,
            "is no signer",
        ),
        (
            "[environments.e]\noverrule = [\"a\\\"b\"]\n".to_owned(),
            2,
            "is no account",
        ),
        (
            "[people.a]\nprincipal = \"a,b\"\n".to_owned(),
            2,
            "is no principal",
        ),
        (
            "[people.a]\nsigning_keys = [\"rubbish\"]\n".to_owned(),
            2,
            "not an SSH public key",
        ),
        (
            "[enviroments.x]\n".to_owned(),
            1,
            "did you mean `environments`",
        ),
        (
            "[environments.e]\nhosts = 3\n".to_owned(),
            2,
            "a list, as in",
        ),
    ];
    for (text, line, what) in cases {
        let error = read(&text).unwrap_err();
        assert!(
            error.starts_with(&format!("inventory.toml:{line}: ")),
            "{text}\n{error}"
        );
        assert!(error.contains(what), "{text}\n{error}");
    }
}

#[test]
fn the_commented_example_is_a_good_inventory() {
    let text = include_str!("../../../inventory.example.toml");
    let inventory = read(text).unwrap();
    let names: Vec<String> = inventory
        .environments()
        .map(|e| e.name.to_string())
        .collect();
    assert_eq!(names, ["production", "staging"]);
    assert!(inventory.environments().all(|e| !e.apps.is_empty()));
    let forward: Vec<bool> = inventory.environments().map(|e| e.forward_only).collect();
    assert_eq!(forward, [true, false]);
}

#[test]
fn previews_have_rules_and_places_of_their_own() {
    let with = |app: &str| {
        read(&format!(
            "[environments.dev]\n[[environments.dev.hosts]]\nname = \"a\"\naddress = \"203.0.113.1\"\n\
             [[environments.dev.hosts]]\nname = \"b\"\naddress = \"203.0.113.2\"\n\
             [environments.dev.apps.cortico]\nhosts = [\"*\"]\n{app}\n"
        ))
    };
    let place = |app: &str| {
        let inventory = with(app).unwrap();
        let dev = inventory.environment("dev").unwrap();
        let preview = dev.instance("cortico--login").unwrap().into_owned();
        let hosts: Vec<String> = preview.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["a"]);
        assert_eq!(preview.instance.as_str(), "cortico--login");
        (preview.domain, preview.tls.is_some())
    };
    let files = "tls = { certificate = \"c\", key = \"k\" }";
    for (app, domain, https) in [
        (
            "domain = \"d.example\"\npreview = {}",
            Some("login.d.example"),
            false,
        ),
        (
            "preview = { domain = \"p.example\" }",
            Some("login.p.example"),
            false,
        ),
        ("preview = {}", None, false),
        (
            &format!("domain = \"d.example\"\n{files}\npreview = {{ https = true }}"),
            Some("login.d.example"),
            true,
        ),
        (
            &format!("domain = \"d.example\"\n{files}\npreview = {{}}"),
            Some("login.d.example"),
            false,
        ),
    ] {
        assert_eq!(place(app), (domain.map(str::to_owned), https), "{app}");
    }
    for (rules, told) in [
        ("domain = \"no domain\"", "is not a domain name"),
        ("https = true", "needs a certificate"),
        ("max = 0", "leave `preview` out"),
        ("for = \"0s\"", "there for a while"),
        ("for = \"100d\"", "90 days"),
        ("memory = \"1m\"", "cannot run anything"),
        ("processes = 3", "cannot run anything"),
        ("mximum = 3", "unknown key"),
    ] {
        let error = with(&format!("preview = {{ {rules} }}")).unwrap_err();
        assert!(error.contains(told), "{rules}: {error}");
    }
    let inventory = with("").unwrap();
    let dev = inventory.environment("dev").unwrap();
    let refused = dev.allows_previews(dev.only_app().unwrap()).unwrap_err();
    assert!(refused.hints()[0].contains("preview = { max = 5 }"));
    for name in ["cortico--", "cortico--A", "nobody--login"] {
        assert!(dev.instance(name).is_err(), "{name}");
    }
}
