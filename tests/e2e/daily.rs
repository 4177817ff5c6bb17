//! What people do every day: look at a host.

use std::os::unix::fs::PermissionsExt as _;

use longshore_lab::controller::{Answer, answer};
use longshore_lab::sample::Sample;

use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "daily::the_real_ssh_goes_to_the_pinned_host_and_to_no_other",
    tell: the_real_ssh,
}];

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
