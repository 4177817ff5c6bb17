//! Steps of a validly signed release that try to lead root out of the release.

use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::ended;
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "hostile_steps::never_lead_root_out_of_the_release",
        tell: never_lead_root_out,
    },
    Story {
        name: "hostile_steps::a_good_layer_is_made_once_and_kept_while_it_is_used",
        tell: a_good_layer,
    },
];

const TINY: Sample = Sample::Tiny;

/// Gives the app's user a right to whatever is made in the release from now on.
const ACCESS_LISTS: &str = r#"
import os, struct
nobody = 0xFFFFFFFF
entries = [(1, 7, nobody), (2, 7, os.getuid()), (4, 7, nobody), (16, 7, nobody), (32, 5, nobody)]
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
os.setxattr(".", "system.posix_acl_default", acl)
os.mkdir("d")
assert os.listxattr("d")
"#;

fn never_lead_root_out() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let good = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &good)?, 0);
    let plain = fs_err::read_to_string(repository.folder().join("longshore.toml"))?;
    let etc = "find /etc -newer /root/before ! -name '*-' ! -path '/etc/systemd/*' -type f; \
               stat -c '%a %U' /etc/shadow; ls /etc/systemd/system | sort";
    host.sh("touch /root/before; sleep 0.1")?;
    let before = host.sh(etc)?;
    let attacks = [
        // A kept path whose parent is a link to somewhere else.
        "[[prepare]]\nrun = [\"ln -s /etc x\"]\nlayer = { keep = [\"x/shadow\"], key = [\"app.py\"] }\n",
        // A link of the release to what is not its own.
        "[[prepare]]\nrun = [\"ln -s /etc static\"]\n",
        "[[prepare]]\nrun = [\"mkdir -p a && ln -s /usr a/u && ln -s a/u/../etc/passwd p\"]\n",
        // What nginx and the next release must never meet.
        "[[prepare]]\nrun = [\"mkfifo pipe\"]\n",
        "[[prepare]]\nrun = [\"mkdir .longshore\"]\n",
        "[[prepare]]\nrun = [\"python3 -c 'import os; [(os.mkdir(\\\"d\\\"), os.chdir(\\\"d\\\")) for _ in range(1500)]'\"]\n",
    ];
    for (minor, attack) in attacks.iter().enumerate() {
        repository.change_app_file(|_| format!("{plain}\n{attack}"))?;
        let version = format!("1.1.{minor}");
        let release = lease.release(&repository, &version, &Behaviour::Good)?;
        let answer = lease.deploy(TINY, &release)?;
        assert_eq!(answer.code, Some(1), "{attack}: {}", answer.all());
        host.sh(&format!("test ! -e /srv/longshore/tiny/releases/{version}"))?;
        assert_eq!(host.sh(etc)?, before, "{attack}");
    }
    // Bits and access lists that a release must not keep are taken away.
    let bits = "[[prepare]]\nrun = [\"cp /bin/true t && chmod 4777 t && chmod 777 . && cp serve.py x && mv x serve.py\", \"python3 lists.py\"]\n";
    fs_err::write(repository.folder().join("lists.py"), ACCESS_LISTS)?;
    repository.change_app_file(|_| format!("{plain}\n{bits}"))?;
    let release = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &release)?, 0);
    let modes = host.sh("cd /srv/longshore/tiny/current/ && stat -c '%a %U:%G' . t app.py")?;
    // What a step made is not trusted in later releases, which its group tells.
    assert_eq!(modes, "755 root:root\n755 root:app-tiny\n644 root:root\n");
    let inherited = host.sh(
        "cd /srv/longshore/tiny/current/ && stat -c '%a %U' .longshore .longshore/layers d && \
         python3 -c 'import os; print([os.listxattr(p) for p in (\".\", \"d\", \".longshore\")])'",
    )?;
    assert_eq!(inherited, "755 root\n644 root\n755 root\n[[], [], []]\n");
    repository.change_app_file(|_| plain.clone())?;
    let next = lease.release(&repository, "1.3.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &next)?, 0);
    host.sh("cd /srv/longshore/tiny/releases && test $(stat -c %G 1.2.0/serve.py 1.3.0/serve.py | tr '\\n' ,) = app-tiny,root, && ! test 1.2.0/serve.py -ef 1.3.0/serve.py")?;
    host.sh("systemctl is-active longshore-agent")?;
    Ok(())
}

fn a_good_layer() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| {
        let text = text.replace("name = \"tiny\"\n", "name = \"tiny\"\nkeep_releases = 2\n");
        let run = "mkdir -p deep/kept && date +%s.%N > deep/kept/made";
        format!(
            "{text}\n[[prepare]]\nrun = [\"{run}\"]\nlayer = {{ keep = [\"deep/kept\"], key = [\"key.txt\"] }}\n"
        )
    })?;
    let made = "cat /srv/longshore/tiny/current/deep/kept/made";
    let mut seen = Vec::new();
    for (minor, key) in ["a", "a", "b", "b", "b"].iter().enumerate() {
        fs_err::write(repository.folder().join("key.txt"), key)?;
        let version = format!("1.{minor}.0");
        let release = lease.release(&repository, &version, &Behaviour::Good)?;
        ended(&lease.deploy(TINY, &release)?, 0);
        seen.push(host.sh(made)?);
    }
    assert_eq!(seen[0], seen[1], "made once for one key");
    assert_ne!(seen[1], seen[2], "made anew for another");
    assert_eq!(seen[2], seen[4]);
    assert_eq!(
        host.sh("ls /srv/longshore/tiny/layers | wc -l")?.trim(),
        "1"
    );
    Ok(())
}
