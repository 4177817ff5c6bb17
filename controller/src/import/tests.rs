use proptest::prelude::*;

use super::*;

const SHOW: &str = include_str!("testdata/terraform_show.json");
const OUTPUT: &str = include_str!("testdata/terraform_output.json");
const DOCTL: &str = include_str!("testdata/doctl.json");
const SCW: &str = include_str!("testdata/scw.json");
const INI: &str = include_str!("testdata/hosts.ini");
const YAML: &str = include_str!("testdata/hosts.yaml");

fn found(text: &str) -> Vec<String> {
    let hosts = read(text, None).unwrap();
    hosts.found.iter().map(words).collect()
}

fn words(found: &Found) -> String {
    let mut words = format!("{} {}", found.name, found.address);
    words.extend(found.port.map(|port| format!(":{port}")));
    words.extend(found.user.as_ref().map(|user| format!(" {user}")));
    words.extend(found.private.then_some(" private"));
    words + " [" + &found.roles.join(" ") + "]"
}

fn unmapped(text: &str) -> Vec<String> {
    let hosts = read(text, None).unwrap();
    let one = |one: &Remark| format!("{}: {}", one.what, one.why);
    hosts.unmapped.iter().map(one).collect()
}

fn error(text: &str, format: Option<Format>) -> ImportError {
    read(text, format).unwrap_err()
}

#[test]
fn a_state_of_terraform_with_three_providers() {
    assert_eq!(
        found(SHOW),
        [
            "web-1 203.0.113.10 [Production web]",
            "web-2 2001:db8::12 []",
            "inner-1 10.114.0.4 private [db]",
            "tagged-1 203.0.113.14 []",
            "scw-app 198.51.100.20 [app]",
            "api 192.0.2.31 [api worker]",
            "i-0def 2001:db8:2::7 []",
        ]
    );
    assert_eq!(
        unmapped(SHOW),
        [
            "digitalocean_droplet.new: it has no address yet",
            "digitalocean_droplet.hidden: it has no name that may be shown",
            "hcloud_server.other: resources of type hcloud_server are not known",
        ]
    );
}

#[test]
fn a_plan_of_terraform_and_states_with_nothing_in_them() {
    let plan = SHOW.replacen("\"values\"", "\"planned_values\"", 1);
    assert_eq!(found(&plan), found(SHOW));
    for empty in [
        "{\"format_version\": \"1.0\"}",
        "{}",
        "[]",
        "null\n",
        "{\"format_version\": \"1.0\", \"values\": {\"root_module\": {}}}",
    ] {
        assert_eq!(read(empty, None), Ok(Hosts::default()), "{empty}");
    }
}

#[test]
fn outputs_of_terraform() {
    assert_eq!(
        found(OUTPUT),
        [
            "web-1 203.0.113.1 [web]",
            "web-2 203.0.113.2 []",
            "api 203.0.113.6 [api]",
            "lb_ip 203.0.113.8 []",
            "web-7 203.0.113.7 []",
            "jobs-1 203.0.113.5 [jobs]",
            "jobs-2 jobs.example.com [jobs]",
            "public_ips-1 203.0.113.1 []",
        ]
    );
    let name = "a name alone may be anything: give a list, or an object with name and address";
    let private = "a private address where others are public: it may be one of the same servers";
    assert_eq!(
        unmapped(OUTPUT),
        [
            "output counted: it holds no addresses",
            "output droplets: droplets-3: it holds no address",
            &format!("output endpoint: {name}"),
            "output jwt: it holds no addresses",
            "output password: it is sensitive",
            "output release: it holds no addresses",
            "output web: zone: it is no address",
            &format!("private_ips-1: {private}"),
        ]
    );
    let alone = r#"{"ips": {"sensitive": false, "type": "list", "value": ["10.0.0.1"]}}"#;
    assert_eq!(found(alone), ["ips-1 10.0.0.1 private []"]);
}

#[test]
fn lists_of_two_providers() {
    assert_eq!(
        found(DOCTL),
        [
            "web-1 203.0.113.5 [web]",
            "six 2001:db8::5 []",
            "inner 10.114.0.3 private []"
        ]
    );
    assert_eq!(unmapped(DOCTL), ["making: it has no address yet"]);
    assert_eq!(
        found(SCW),
        [
            "scw-1 198.51.100.7 [web blue]",
            "scw-2 10.64.0.2 private []"
        ]
    );
    assert_eq!(unmapped(SCW), ["scw-3: it has no address yet"]);
}

#[test]
fn inventories_of_ansible() {
    let expected = [
        "bastion.example.com bastion.example.com:22 nobody [gate]",
        "web01 192.0.2.1:2222 deploy [web site]",
        "web02 web02:22 deploy [web site]",
        "web-old 192.0.2.3:2022 [web site]",
        "six 2001:db8::6:22 deploy [web site]",
        "db-a db-a:22 ops [db site]",
        "db-b db-b:22 ops [db site]",
        "2001:db8::7 2001:db8::7:2200 deploy [db site]",
    ];
    let skipped = [
        "localhost: it is the machine that Ansible runs on",
        "here: it is not reached over SSH",
        "old-pc: it is not reached over SSH",
        "vaulted: its address is computed by Ansible, or encrypted",
        "odd-port: its ansible_port is no number of a port",
    ];
    for text in [INI, YAML] {
        assert_eq!(found(text), expected);
        assert_eq!(unmapped(text), skipped);
        let hosts = read(text, None).unwrap().found;
        let noted: Vec<&str> = hosts
            .iter()
            .filter(|found| !found.notes.is_empty())
            .map(|found| found.name.as_str())
            .collect();
        assert_eq!(noted, ["bastion.example.com", "web-old"]);
    }
}

#[test]
fn the_nearest_group_counts_and_of_equals_the_last_by_name() {
    let text = "[a]\none\n[b]\none\n[top:children]\na\n[a:vars]\nansible_user=a\n[b:vars]\nansible_user=b\n[top:vars]\nansible_user=top\n";
    assert_eq!(found(text), ["one one a [a b top]"]);
    let equals = text.replace("[top:children]\na\n", "");
    assert_eq!(found(&equals), ["one one b [a b]"]);
    let first = equals.replace("[b:vars]", "[a:vars]\nansible_group_priority=7\n[b:vars]");
    assert_eq!(found(&first), ["one one a [a b]"]);
    // A group in itself is nobody's, and has an end here.
    let round = "[a]\none\n[a:children]\nb\n[b:children]\na\n";
    assert_eq!(found(round).len(), 1);
}

#[test]
fn ranges_are_spelled_out() {
    let names = |pattern: &str| -> Option<String> {
        let hosts = read(&format!("[web]\n{pattern}\n"), None).ok()?;
        let names: Vec<String> = hosts.found.into_iter().map(|found| found.name).collect();
        Some(names.join(" "))
    };
    assert_eq!(names("w[1:3]").as_deref(), Some("w1 w2 w3"));
    assert_eq!(names("w[08:10].x").as_deref(), Some("w08.x w09.x w10.x"));
    assert_eq!(names("w[0:6:3]").as_deref(), Some("w0 w3 w6"));
    assert_eq!(names("[a:b][1:2]").as_deref(), Some("a1 a2 b1 b2"));
    for wrong in [
        "w[3:1]",
        "w[1:2",
        "w[1:x]",
        "w[1]",
        "w[1:2:0]",
        "w[1:999999]",
        "w[b:a]",
        "w[0:200][0:200]",
    ] {
        assert_eq!(names(wrong), None, "{wrong}");
    }
}

#[test]
fn a_hostile_file_ends_in_an_error() {
    let brackets = format!("[web]\na{}\n", "[1:2]".repeat(100_000));
    let ranges: String = (0..20).map(|n| format!("h{n}-[1:1000]\n")).collect();
    let again = "h[1:9999]\n".repeat(20);
    for text in [
        brackets,
        format!("[web]\n{ranges}"),
        format!("[web]\n{again}"),
    ] {
        let error = error(&text, Some(Format::AnsibleIni)).to_string();
        assert!(error.contains("no name of hosts"), "{error}");
    }
}

#[test]
fn what_is_in_a_yaml_inventory_and_no_host_is_named() {
    let text = "web:\n  hosts: [one, two]\ndb:\n  hosts:\n    'no host':\n    three:\nmore: s3cret\nother:\n  password: s3cret\n";
    assert_eq!(found(text), ["three three [db]"]);
    let part = "it has a part that is no mapping under `hosts`, `vars` or `children`";
    assert_eq!(
        unmapped(text),
        [
            format!("group web: {part}"),
            "no host: it is no name of hosts that can be spelled out".to_owned(),
            "group more: it is no group".to_owned(),
            format!("group other: {part}"),
        ]
    );
    let deep: String = (0..40)
        .map(|at| {
            format!(
                "{:indent$}children:\n{:indent$} g{at}:\n",
                "",
                "",
                indent = 1 + 2 * at
            )
        })
        .collect();
    let deep = unmapped(&format!("all:\n{deep}"));
    assert_eq!(deep, ["group g32: it lies too deep in other groups"]);
}

#[test]
fn what_is_none_of_them_is_said_with_its_place_and_without_its_content() {
    assert_eq!(error("", None), ImportError::Unknown);
    assert_eq!(error("{\"a\": \"s3cret\"}", None), ImportError::Unknown);
    assert_eq!(error("[\"s3cret\"]", None), ImportError::Unknown);
    let json = ImportError::Json { line: 2 };
    assert_eq!(error("{\n\"s3cret\"", Some(Format::Doctl)), json);
    assert_eq!(
        error("[web\n", Some(Format::AnsibleIni)).to_string(),
        "line 1 is not understood: a group is written [name], [name:children] or [name:vars]"
    );
    // The rest of a quoted secret that was broken into two lines is no host.
    let quote = error("[web]\na pass=\"x\ns3cret\"\n", None);
    assert!(matches!(quote, ImportError::Ini { line: 2, .. }));
    let quote = error("[web]\ns3cret\"\n", None);
    assert!(matches!(quote, ImportError::Ini { line: 2, .. }));
    let yaml = error("a: [\n", Some(Format::AnsibleYaml));
    assert!(matches!(yaml, ImportError::Yaml { .. }));
    for list in ["- a\n", "a:\n---\nb:\n"] {
        let yaml = error(list, Some(Format::AnsibleYaml));
        assert!(matches!(yaml, ImportError::Shape(_)), "{list}");
    }
    let state = r#"{"version": 4, "terraform_version": "1.9.5", "serial": 3, "lineage": "a", "outputs": {}, "resources": []}"#;
    assert_eq!(error(state, None), ImportError::RawState);
    let ansible = r#"{"_meta": {"hostvars": {}}, "all": {"children": ["ungrouped"]}}"#;
    assert_eq!(error(ansible, None), ImportError::AnsibleJson);
    // People's output of terraform, and prose.
    let people = "# digitalocean_droplet.web:\nresource \"digitalocean_droplet\" \"web\" {\n    user_data = \"s3cret\"\n}\n";
    assert_eq!(error(people, None), ImportError::Unknown);
    assert_eq!(
        error("These are s3cret words.\n", None),
        ImportError::Unknown
    );
    assert_eq!(
        error("Dear all, s3cret\n\n[web]\na\n", None),
        ImportError::Unknown
    );
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    for text in [SHOW, OUTPUT, DOCTL, SCW, INI, YAML] {
        assert_eq!(found(&format!("\u{feff}{text}")), found(text));
    }
}

const FIXTURES: [&str; 6] = [SHOW, OUTPUT, DOCTL, SCW, INI, YAML];
const FORMATS: [Option<Format>; 6] = [
    None,
    Some(Format::Terraform),
    Some(Format::Doctl),
    Some(Format::Scw),
    Some(Format::AnsibleIni),
    Some(Format::AnsibleYaml),
];

proptest! {
    /// However a file was cut off or damaged, and whatever it is taken for, no secret is in what comes of it.
    #[test]
    fn no_secret_is_shown(
        fixture in 0..FIXTURES.len(),
        format in prop::option::of(0..FORMATS.len()),
        cut in 0.0..=1.0f64,
        damage in prop::option::of(("[\\]\\[{}\":, x=-]{0,3}", 0.0..=1.0f64)),
        one_line in any::<bool>(),
    ) {
        let text = FIXTURES[fixture];
        let at = |part: f64, text: &str| {
            let at = (text.len() as f64 * part) as usize;
            (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
        };
        let mut text = text[..at(cut, text)].to_owned();
        if let Some((bytes, place)) = damage {
            let place = at(place, &text);
            text.insert_str(place, &bytes);
        }
        if one_line && text.starts_with(['{', '[']) {
            text = text.split_whitespace().collect();
        }
        let format = format.and_then(|at| FORMATS[at]);
        let shown = format!("{:?}", read(&text, format));
        prop_assert!(!shown.contains("s3cret"), "{}", shown);
    }

    #[test]
    fn any_text_has_an_end(text in "[\\[\\]:{}\"'a-c0-9=\n #.-]{0,60}", format in 0..FORMATS.len()) {
        let _ = read(&text, FORMATS[format]);
    }
}
