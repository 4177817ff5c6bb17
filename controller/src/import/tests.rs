use super::*;

fn found(text: &str) -> Vec<String> {
    let hosts = read(text, None).unwrap();
    hosts.found.iter().map(words).collect()
}

fn words(found: &Found) -> String {
    let mut words = format!("{} {}", found.name, found.address);
    words.extend(found.port.map(|port| format!(":{port}")));
    words.extend(found.user.as_ref().map(|user| format!(" {user}")));
    words + " [" + &found.roles.join(" ") + "]"
}

fn unmapped(text: &str) -> Vec<String> {
    let hosts = read(text, None).unwrap();
    let one = |one: &Unmapped| format!("{}: {}", one.what, one.why);
    hosts.unmapped.iter().map(one).collect()
}

#[test]
fn a_state_of_terraform_with_three_providers() {
    let text = include_str!("testdata/terraform_show.json");
    assert_eq!(
        found(text),
        [
            "web-1 203.0.113.10 [web production]",
            "web-2 2001:db8::12 []",
            "scw-app 198.51.100.20 [app]",
            "api 192.0.2.30 [api worker]",
        ]
    );
    let unmapped = unmapped(text);
    assert_eq!(
        unmapped,
        [
            "digitalocean_droplet.new: it has no public address yet",
            "hcloud_server.other: resources of type hcloud_server are not known",
        ]
    );
    let all = format!("{:?}", read(text, None));
    assert!(!all.contains("s3cret"), "{all}");
}

#[test]
fn outputs_of_terraform() {
    let text = r#"{
        "web": {"sensitive": false, "type": ["map", "string"], "value": {"web-1": "203.0.113.1", "web-2": "203.0.113.2"}},
        "workers": {"sensitive": false, "type": "list", "value": ["203.0.113.3", {"name": "w", "ipv4_address": "203.0.113.4", "tags": ["job"]}]},
        "lb": {"sensitive": false, "type": "string", "value": "lb.example.com"},
        "password": {"sensitive": true, "type": "string", "value": "s3cret.example"},
        "count": {"sensitive": false, "type": "number", "value": 3}
    }"#;
    assert_eq!(
        found(text),
        [
            "lb lb.example.com []",
            "web-1 203.0.113.1 []",
            "web-2 203.0.113.2 []",
            "workers-1 203.0.113.3 []",
            "w 203.0.113.4 [job]",
        ]
    );
    assert_eq!(
        unmapped(text),
        [
            "output count: it holds no addresses",
            "output password: it is sensitive"
        ]
    );
}

#[test]
fn lists_of_two_providers() {
    assert_eq!(
        found(include_str!("testdata/doctl.json")),
        ["web-1 203.0.113.5 [web]", "six 2001:db8::5 []"]
    );
    assert_eq!(
        unmapped(include_str!("testdata/doctl.json")),
        ["inner: it has no public address"]
    );
    assert_eq!(
        found(include_str!("testdata/scw.json")),
        ["scw-1 198.51.100.7 [web blue]", "scw-2 198.51.100.8 []"]
    );
}

#[test]
fn inventories_of_ansible() {
    let expected = [
        "bastion.example.com bastion.example.com [gate]",
        "web01 192.0.2.1:2222 deploy [web site]",
        "web02 web02 deploy [web site]",
        "db-a db-a ops [db site]",
        "db-b db-b ops [db site]",
    ];
    assert_eq!(found(include_str!("testdata/hosts.ini")), expected);
    assert_eq!(
        unmapped(include_str!("testdata/hosts.ini")),
        ["here: it is not reached over SSH"]
    );
    assert_eq!(found(include_str!("testdata/hosts.yaml")), expected);
}

#[test]
fn what_is_none_of_them_is_said_with_its_place_and_without_its_content() {
    let error = |text: &str, format| read(text, format).unwrap_err();
    assert_eq!(error("", None), ImportError::Unknown);
    assert_eq!(error("{\"a\": \"s3cret\"}", None), ImportError::Unknown);
    let json = error("{\n\"s3cret\"", Some(Format::Doctl));
    assert_eq!(json, ImportError::Json { line: 2 });
    assert!(matches!(
        error("[web\n", Some(Format::AnsibleIni)),
        ImportError::Ini { line: 1, .. }
    ));
    assert!(matches!(
        error("a: [\n", Some(Format::AnsibleYaml)),
        ImportError::Yaml { .. }
    ));
    assert!(matches!(
        error("- a\n", Some(Format::AnsibleYaml)),
        ImportError::Shape(_)
    ));
}
