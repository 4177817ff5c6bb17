//! What people do every day: look at a host.

use std::os::unix::fs::PermissionsExt as _;

use longshore_lab::controller::{Answer, answer};
use longshore_lab::sample::Sample;

use crate::answers::ended;
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "daily::the_real_ssh_goes_to_the_pinned_host_and_to_no_other",
        tell: the_real_ssh,
    },
    Story {
        name: "daily::a_command_runs_on_all_hosts_and_ends_as_the_worst",
        tell: on_all_hosts,
    },
];

fn on_all_hosts() -> Told {
    let lease = lease(2)?;
    let controller = lease.controller(Sample::Tiny);
    let names: Vec<&str> = lease.hosts.iter().map(|host| host.name.as_str()).collect();
    let line = format!(
        "hostname; id -un >&2; test $(hostname) = {} && exit 5; exit 3",
        names[1]
    );
    let answer = controller.plain(&["exec", "demo", "--", &line])?;
    assert_eq!(answer.code, Some(5), "{}", answer.all());
    let mut lines: Vec<&str> = answer.stdout.lines().collect();
    lines.sort_unstable();
    let said = |name: &str| [format!("{name} | ops1"), format!("{name} | {name}")];
    let mut wanted: Vec<String> = names.iter().flat_map(|name| said(name)).collect();
    wanted.sort();
    assert_eq!(lines, wanted, "{}", answer.all());
    let one = controller.run(&[
        "exec", "demo", "--on", names[0], "--", "printf", "%s", "$HOME a",
    ])?;
    ended(&one, 0);
    assert!(one.stdout.contains("$HOME a"), "{}", one.all());

    // What is printed harms no terminal, and a line of any length is shown.
    let odd = "printf '\\033[2Jgone\\n'; head -c 1048576 /dev/zero | tr '\\0' x; echo; echo end";
    let answer = controller.plain(&["exec", "demo", "--on", names[0], "--", odd])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.stdout.contains("\\u{1b}[2Jgone") && answer.stdout.contains("| end"));
    assert!(!answer.stdout.contains('\u{1b}'));
    assert!(answer.stdout.len() < 20_000, "{}", answer.stdout.len());

    lease.plug(&lease.hosts[1], false)?;
    let answer = controller.run(&["exec", "demo", "--", "true"])?;
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    assert!(answer.all().contains(names[1]), "{}", answer.all());
    let without = controller.run(&["exec", "demo", "--skip-offline", "--", "true"])?;
    ended(&without, 0);
    lease.plug(&lease.hosts[1], true)?;
    Ok(())
}

/// OpenSSH reads the configuration of the account, whatever HOME says: here it is told.
fn ssh(lease: &Lease, words: &[&str]) -> Result<Answer, Box<dyn std::error::Error>> {
    let bin = lease.folder().join("bin");
    fs_err::create_dir_all(&bin)?;
    let wrapper = bin.join("ssh");
    let script = "#!/bin/sh\nexec /usr/bin/ssh -F \"$HOME/.ssh/config\" \"$@\"\n";
    fs_err::write(&wrapper, script)?;
    fs_err::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    let mut command = lease.controller(Sample::Tiny).command(words);
    let path = std::env::var("PATH")?;
    command.env("PATH", format!("{}:{path}", bin.display()));
    Ok(answer(&command.output()?))
}

fn the_real_ssh() -> Told {
    let lease = lease(2)?;
    let names: Vec<String> = lease
        .hosts
        .iter()
        .map(|host| host.name.to_string())
        .collect();
    let who = ssh(
        &lease,
        &["ssh", "demo", &names[1], "--", "hostname; id -un; exit 7"],
    )?;
    assert_eq!(who.code, Some(7), "{}", who.all());
    assert_eq!(
        who.stdout.lines().next(),
        Some(names[1].as_str()),
        "{}",
        who.all()
    );

    let unknown = ssh(&lease, &["ssh", "demo", "web-99"])?;
    assert_eq!(unknown.code, Some(2), "{}", unknown.all());
    let several = ssh(&lease, &["ssh", "demo", "web-*"])?;
    assert_eq!(several.code, Some(2), "{}", several.all());

    // The first host's keys at the second one's address: somebody else answers.
    let text = fs_err::read_to_string(lease.inventory())?;
    let addresses: Vec<String> = lease
        .hosts
        .iter()
        .map(|host| host.address.to_string())
        .collect();
    let swapped = text
        .replace(&format!("\"{}\"", addresses[0]), "\"first\"")
        .replace(
            &format!("\"{}\"", addresses[1]),
            &format!("\"{}\"", addresses[0]),
        )
        .replace("\"first\"", &format!("\"{}\"", addresses[1]));
    assert_ne!(text, swapped);
    fs_err::write(lease.inventory(), swapped)?;
    let other = ssh(&lease, &["ssh", "demo", &names[0], "--", "hostname"])?;
    assert_eq!(other.code, Some(255), "{}", other.all());
    assert!(
        other.all().contains("HOST IDENTIFICATION HAS CHANGED"),
        "{}",
        other.all()
    );
    Ok(())
}
