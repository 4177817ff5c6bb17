use longshore_shared::name::{EnvironmentName, HostName};
use proptest::prelude::*;

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHA6z4/gUl4i2/lS9FZJQtsl7ENcEpaVVPCgz9cJz7Jm";

fn demo() -> EnvironmentName {
    EnvironmentName::new("demo").unwrap()
}

fn pinned(text: &str, host: &str) -> Result<String, TextError> {
    pin_host_key(text, &demo(), &HostName::new(host).unwrap(), KEY)
}

fn new_host(name: &str) -> NewHost {
    NewHost {
        name: HostName::new(name).unwrap(),
        address: "[2001:db8::9]:2222".parse().unwrap(),
        user: Some("ops".to_owned()),
        roles: vec!["web".to_owned(), "blue".to_owned()],
    }
}

fn added(text: &str) -> Result<String, TextError> {
    add_host(text, &demo(), &new_host("web-9"))
}

#[test]
fn a_key_is_pinned_below_its_host() {
    let text = "# ours\n[environments.demo]   # the demo\n\n[[environments.demo.hosts]]\n\
                name    = 'web-1'  # first\naddress = \"192.0.2.1\"\nroles = [ \"web\" , ] # all\n\n\
                # second\n[[environments.demo.hosts]]\n  name = \"web-2\"\n  address = \"192.0.2.2\"";
    for (host, after, indent) in [
        ("web-1", "roles = [ \"web\" , ] # all\n", ""),
        ("web-2", "address = \"192.0.2.2\"", "  "),
    ] {
        let newline = if after.ends_with('\n') { "" } else { "\n" };
        let line = format!("{after}{newline}{indent}host_key = \"{KEY}\"\n");
        assert_eq!(pinned(text, host).unwrap(), text.replace(after, &line));
    }
    let no_host = TextError::NoHost(HostName::new("web-3").unwrap());
    assert_eq!(pinned(text, "web-3"), Err(no_host));
}

#[test]
fn a_key_that_is_there_is_replaced_and_a_list_grows() {
    let text = |key: &str| {
        format!("[[environments.demo.hosts]]\nname = \"a\"\naddress = \"b\"\nhost_key = {key}\n")
    };
    let one = |key: &str| format!("\"{key}\" # of May");
    assert_eq!(
        pinned(&text(&one(OTHER)), "a").unwrap(),
        text(&one(KEY)),
        "what stands behind it stays"
    );
    let both = |between: &str, end: &str| format!("[{between}'{OTHER}'{end}]");
    let grown = |before: &str, after: String| {
        assert_eq!(pinned(&text(before), "a").unwrap(), text(&after));
    };
    grown(&both("", ""), format!("['{OTHER}', \"{KEY}\"]"));
    grown(
        &both("\n  ", ", # old\n"),
        format!("[\n  '{OTHER}', # old\n  \"{KEY}\",\n]"),
    );
    grown(
        &both("\n  ", " # old\n"),
        format!("[\n  '{OTHER}', # old\n  \"{KEY}\"\n]"),
    );
    // The list ends on the line of its last item.
    grown(&both("\n  ", ""), format!("[\n  '{OTHER}', \"{KEY}\"]"));
    grown(&both("\n  ", ", "), format!("[\n  '{OTHER}', \"{KEY}\" ]"));
    // The same key, written in another way, is there already.
    for same in [
        format!("'{KEY} root@a'"),
        format!("['{OTHER}', '{KEY} root@a']"),
    ] {
        assert_eq!(pinned(&text(&same), "a").unwrap(), text(&same));
    }
}

#[test]
fn hosts_on_one_line_are_edited_too() {
    let text =
        "[environments.demo]\nhosts = [{ name = \"web-1\", address = \"192.0.2.1\" }] # all\n";
    let key = format!("\"192.0.2.1\", host_key = \"{KEY}\" }}] # all");
    assert_eq!(
        pinned(text, "web-1").unwrap(),
        text.replace("\"192.0.2.1\" }] # all", &key)
    );
    let host = "}, { name = \"web-9\", address = \"[2001:db8::9]:2222\", user = \"ops\", roles = [\"web\", \"blue\"] }] # all";
    assert_eq!(added(text).unwrap(), text.replace("}] # all", host));
}

const BLOCK: &str = "[[environments.demo.hosts]]\nname = \"web-9\"\naddress = \"[2001:db8::9]:2222\"\nuser = \"ops\"\nroles = [\"web\", \"blue\"]\n";

#[test]
fn a_host_is_added_behind_the_others_and_before_what_follows() {
    let apps = "\n# apps\n[environments.demo.apps.cortico]\nhosts = [\"web-1\"]\n";
    let head = "[environments.demo]\n\n[[environments.demo.hosts]]\nname = \"web-1\"\naddress = \"192.0.2.1\" # first\n";
    let text = format!("{head}{apps}");
    assert_eq!(added(&text).unwrap(), format!("{head}\n{BLOCK}{apps}"));
}

#[test]
fn an_environment_is_made_where_it_is_missing() {
    let header = "[environments.demo]\n";
    assert_eq!(added("").unwrap(), format!("{header}\n{BLOCK}"));
    let other = "# ours\n[environments.other] # the end";
    let expected = format!("{other}\n\n{header}\n{BLOCK}");
    assert_eq!(added(other).unwrap(), expected);
    // It is there, and has no hosts yet.
    let rest = "\n[environments.demo.setup]\nswap = \"1G\"\n";
    let own = format!("{header}forward_only = true # so\n");
    let expected = format!("{own}\n{BLOCK}{rest}");
    assert_eq!(added(&format!("{own}{rest}")).unwrap(), expected);
    assert_eq!(added(rest).unwrap(), format!("{rest}\n{BLOCK}"));
}

#[test]
fn what_headers_cannot_add_to_is_left_to_a_person() {
    for text in [
        "environments = { demo = { forward_only = true } }\n",
        "environments.demo.forward_only = true\n",
        "[environments]\ndemo = { forward_only = true }\n",
        "[environments]\ndemo.forward_only = true\n",
        "[environments.demo]\nhosts = 3\n",
    ] {
        assert!(matches!(added(text), Err(TextError::Form(..))), "{text}");
    }
    assert!(matches!(added("a = \n"), Err(TextError::Syntax(_))));
}

/// A piece of an inventory that a person might have written.
fn host(at: usize) -> impl Strategy<Value = String> {
    let styles = ["\"", "'"];
    (
        prop::sample::select(styles.to_vec()),
        prop::sample::select(vec!["", "  ", "\t"]),
        prop::sample::select(vec!["", " # é", "   #"]),
        prop::sample::select(vec![
            String::new(),
            "\n# between\n".to_owned(),
            format!("host_key = '{OTHER}' # old\n"),
            format!("host_key = [ '{OTHER}' ]\n"),
            format!("host_key = [\n  '{OTHER}', # a\n]\n"),
            "roles = [\n  'web', # b\n\n]\n".to_owned(),
        ]),
    )
        .prop_map(move |(quote, indent, comment, more)| {
            format!(
                "{indent}[[environments.demo.hosts]]{comment}\n{indent}name={quote}web-{at}{quote}{comment}\n\
                 {indent}address   = {quote}192.0.2.{at}{quote}\n{more}"
            )
        })
}

fn inventory() -> impl Strategy<Value = String> {
    let pieces = vec![
        "",
        "\u{feff}",
        "# a comment\n\n",
        "[fleet]\nsigners = 'x' # who\n",
        "[environments.other]\nhosts = [\n  { name = 'o-1', address = 'o1' }, # one\n]\n",
    ];
    let ends = vec![
        "",
        "\n\n   # the end",
        "[environments.demo.setup]\nswap = '1G'\n",
        "\n[environments.demo.apps.cortico] # lives\nhosts = [\"*\"]\n\n\n",
        "[environments.last]\n\n",
    ];
    (
        prop::sample::select(pieces),
        (host(1), host(2), host(3)),
        prop::sample::select(ends),
        any::<bool>(),
    )
        .prop_map(|(head, (one, two, three), end, windows)| {
            let text = format!("{head}{one}\n{two}{three}{end}");
            let newline = if windows { "\r\n" } else { "\n" };
            text.replace('\n', newline)
        })
}

fn value(text: &str) -> toml::Table {
    text.trim_start_matches('\u{feff}').parse().unwrap()
}

fn hosts(table: &mut toml::Table) -> &mut Vec<toml::Value> {
    let demo = table["environments"].get_mut("demo").unwrap();
    demo["hosts"].as_array_mut().unwrap()
}

/// Whether one part was put in, and nothing was taken out.
fn only_inserted(before: &str, after: &str) -> bool {
    let same = before.bytes().zip(after.bytes());
    let same = same.take_while(|(one, other)| one == other).count();
    let rest = &before.as_bytes()[same..];
    after.len() > before.len() && after.as_bytes().ends_with(rest)
}

proptest! {
    #[test]
    fn everything_else_of_a_text_stays_as_it_is(text in inventory(), at in 1usize..=3) {
        let name = format!("web-{at}");
        let after = pinned(&text, &name).unwrap();
        let (mut expected, mut there) = (value(&text), value(&after));
        let host = hosts(&mut expected)[at - 1].as_table_mut().unwrap();
        match host.get_mut("host_key") {
            Some(toml::Value::Array(list)) => list.push(KEY.into()),
            _ => drop(host.insert("host_key".to_owned(), KEY.into())),
        }
        prop_assert_eq!(&expected, &there);
        if after.len() > text.len() {
            prop_assert!(only_inserted(&text, &after), "{}", after);
        } else {
            let key = format!("\"{KEY}\"");
            prop_assert_eq!(text.matches(OTHER).count(), after.matches(OTHER).count() + 1);
            prop_assert!(after.replacen(&key, &format!("'{OTHER}'"), 1) == text, "{}", after);
        }

        let after = added(&text).unwrap();
        prop_assert!(only_inserted(&text, &after), "{}", after);
        let newlines = |text: &str| (text.matches("\r\n").count(), text.matches('\n').count());
        let (windows, all) = newlines(&after);
        prop_assert!(windows == 0 || windows == all, "{after:?}");
        (expected, there) = (value(&text), value(&after));
        let new = hosts(&mut there).pop().unwrap();
        prop_assert_eq!(new["name"].as_str(), Some("web-9"));
        prop_assert_eq!(new["roles"].as_array().map(Vec::len), Some(2));
        prop_assert_eq!(expected, there);
    }
}
