//! The text of a new `inventory.toml`.

use super::{Answers, quoted};

pub(super) fn render(answers: &Answers) -> String {
    let name = &answers.name;
    let (address, domain, branch) = (
        quoted(&answers.address),
        quoted(&answers.domain),
        quoted(&answers.branch),
    );
    format!(
        "\
# Which hosts there are, and which app lives where. Unknown keys are errors that name the line.

[fleet]
# Who may sign releases, in the format of ssh-keygen's ALLOWED SIGNERS; beside this file.
signers = \"allowed_signers\"

# People get an account on every host by `longshore bootstrap`. Who is in longshore may deploy, who is in
# sudo may become root; as long as nobody is named, root alone can deploy. Name yourself:
# [people.ops1]
# keys = [\"ssh-ed25519 AAAA… ops1@example.com\"]   # as in ~/.ssh/id_ed25519.pub
# groups = [\"sudo\", \"longshore\"]

# An environment is a set of hosts. A host belongs to one, and says so itself in its host.toml.
# One that is named production takes only versions that come after what serves there (forward_only).
[environments.production]
# release_by = [\"ci@example.com\"] # whose signatures count here; else those of every signer

# The first host of an app runs its migrations.
[[environments.production.hosts]]
name = \"web-1\"                  # how you call it: --on web-1
# host, host:port, IPv6 or [IPv6]:port; ~/.ssh/config applies
address = {address}
roles = [\"web\"]                 # named as @web by apps, --on and --exclude
# user = \"ops1\"                 # goes before ~/.ssh/config and your own name; LONGSHORE_USER goes before it
# The host's public key, as `ssh-keyscan` prints it (from a place that you trust). Without it,
# ~/.ssh/known_hosts must know the host; an unknown one is always refused.
# host_key = \"ssh-ed25519 AAAA…\"

[environments.production.apps.{name}]
hosts = [\"@web\"]                # roles, names and globs
# The server name of its nginx site.
domain = {domain}
# What `longshore deploy production` takes without a release.
branch = {branch}

# A second environment, for what is not released yet:
# [environments.staging]
# [[environments.staging.hosts]]
# name = \"staging-1\"
# address = \"203.0.113.8\"
# roles = [\"web\"]
# [environments.staging.apps.{name}]
# hosts = [\"@web\"]
# domain = \"staging.example.com\"
# branch = \"develop\"
"
    )
}
