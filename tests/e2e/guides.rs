//! The README's guides: every command that they give is run, as it stands.

use std::error::Error;
use std::process::Command;

use longshore_lab::base::Suite;
use longshore_lab::binaries;
use longshore_lab::process;
use longshore_lab::provision::{Bare, Login};
use longshore_lab::sample::{Repository, Sample};

use crate::daily::with_ssh;
use crate::stage::{Lease, lease_bare};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "guides::every_command_of_the_readme_is_run",
    tell: all_commands,
}];

const BEGIN: &str = "## Ten minutes for each of you";
const END: &str = "## Use it";
/// As many there are at least: a text that is no longer found would pass.
const FEWEST: usize = 20;

/// The commands of one guide each.
fn guides() -> Result<Vec<Vec<String>>, Box<dyn Error>> {
    let readme = fs_err::read_to_string(binaries::workspace().join("README.md"))?;
    let begin = readme.find(BEGIN).ok_or("the guides are gone")?;
    let end = readme.find(END).ok_or("their end is gone")?;
    let guides = readme[begin..end].split("\n### ").skip(1);
    let commands = |guide: &str| {
        let lines = guide.lines().filter_map(|line| line.strip_prefix("$ "));
        lines.map(str::to_owned).collect()
    };
    Ok(guides.map(commands).collect())
}

/// What is the reader's own.
fn with_own_names(lease: &Lease, command: &str) -> Result<String, Box<dyn Error>> {
    let host = &lease.hosts[0];
    let key = lease.folder().join("host_key.pub");
    fs_err::write(&key, format!("{}\n", host.host_key.public.trim()))?;
    let said = process::run(Command::new("ssh-keygen").arg("-lf").arg(&key))?;
    let fingerprint = said.split(' ').nth(1).ok_or("no fingerprint")?;
    let mut command = command
        .replace("203.0.113.7", &host.address.to_string())
        .replace("SHA256:AAAA…", fingerprint)
        .replace("shop.example.com", &Sample::Tiny.domain())
        .replace("--app shop", "--app tiny");
    // Nobody is here to be asked.
    if command.starts_with("longshore bump") || command.starts_with("longshore return") {
        command.push_str(" --yes");
    }
    // A debug build carries no agents along.
    if command.starts_with("longshore bootstrap") {
        command.push_str(&format!(" --agent {}", lease.agent()?));
    }
    Ok(command)
}

/// At a shell in the app's repository, with `longshore` on the PATH.
fn type_in(lease: &Lease, repository: &Repository, who: &str, line: &str) -> Told {
    let own = with_own_names(lease, line)?;
    let controller = with_ssh(lease)?;
    let program = controller.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args([
        "-euc",
        &format!("longshore() {{ \"$PROGRAM\" \"$@\"; }}; {own}"),
    ]);
    shell
        .current_dir(repository.folder())
        .env_clear()
        .env("PROGRAM", program);
    for (name, value) in controller.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
        .env("LONGSHORE_USER", who)
        .env_remove("LONGSHORE_INVENTORY");
    let output = shell.stdin(std::process::Stdio::null()).output()?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "$ {line}\n({own}) {}\n{}\n{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
    Ok(())
}

fn git(repository: &Repository, words: &[&str]) -> Told {
    process::run(
        Command::new("git")
            .current_dir(repository.folder())
            .args(words),
    )?;
    Ok(())
}

/// What the guides ask a person to write, and what lies around them.
fn own_repository(lease: &Lease) -> Result<Repository, Box<dyn Error>> {
    let repository = lease.repository(Sample::Tiny)?;
    fs_err::remove_file(repository.folder().join("longshore.toml"))?;
    let procfile = "web: /usr/bin/python3 serve.py $LONGSHORE_SOCKET\n";
    fs_err::write(repository.folder().join("Procfile"), procfile)?;
    fs_err::write(repository.folder().join("motto.txt"), "")?;
    let origin = lease.folder().join("origin.git").display().to_string();
    process::run(Command::new("git").args([
        "init",
        "--quiet",
        "--bare",
        "--initial-branch=main",
        &origin,
    ]))?;
    git(&repository, &["remote", "add", "origin", &origin])?;
    for (name, value) in [
        ("user.name", "Ops"),
        ("user.email", "release@example.com"),
        ("gpg.format", "ssh"),
        ("user.signingkey", &lease.signing_key()),
        ("push.default", "current"),
    ] {
        git(&repository, &["config", name, value])?;
    }
    Ok(repository)
}

/// Who one is, and the server for branches.
fn write_into_the_inventory(lease: &Lease, repository: &Repository) -> Told {
    let path = repository.folder().join("inventory.toml");
    let text = fs_err::read_to_string(&path)?;
    let key = lease.operator_key().public.trim().to_owned();
    let dev = &lease.hosts[1];
    let text = format!(
        "{text}\n[people.ops1]\nkeys = [\"{key}\"]\ngroups = [\"sudo\", \"longshore\"]\n\n\
         [people.dev1]\nkeys = [\"{key}\"]\ngroups = [\"longshore\"]\n\n\
         [environments.dev]\n[[environments.dev.hosts]]\nname = \"dev-1\"\naddress = \"{}\"\n\
         roles = [\"web\"]\nhost_key = \"{}\"\n\n[environments.dev.apps.tiny]\nhosts = [\"@web\"]\n\
         domain = \"{}\"\nbranch = \"main\"\non_leave = \"undo\"\npreview = {{ max = 2 }}\n",
        dev.address,
        dev.host_key.pinned(),
        Sample::Tiny.domain()
    );
    fs_err::write(path, text)?;
    Ok(())
}

fn all_commands() -> Told {
    let lease = lease_bare(
        2,
        Bare {
            suite: Suite::Bookworm,
            login: Login::Root,
        },
    )?;
    let guides = guides()?;
    assert_eq!(guides.len(), 3);
    assert!(guides.iter().map(Vec::len).sum::<usize>() >= FEWEST);
    let repository = own_repository(&lease)?;
    let [ops, team, developer] = &guides[..] else {
        return Err("not three guides".into());
    };
    let (init, bootstrap) = ops.split_first().ok_or("no command")?;
    type_in(&lease, &repository, "ops1", init)?;
    write_into_the_inventory(&lease, &repository)?;
    for command in bootstrap {
        type_in(&lease, &repository, "ops1", command)?;
    }
    for command in team {
        type_in(&lease, &repository, "ops1", command)?;
    }
    // Whoever runs the servers has made the one for branches in the same way.
    type_in(&lease, &repository, "ops1", "longshore bootstrap dev")?;
    type_in(&lease, &repository, "ops1", "longshore deploy dev")?;
    for command in developer {
        type_in(&lease, &repository, "dev1", command)?;
    }
    Ok(())
}
