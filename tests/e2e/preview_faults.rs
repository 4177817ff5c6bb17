//! Previews that cannot be made, or not taken away, and an agent that is killed meanwhile.

use longshore_lab::sample::{Behaviour, Sample};
use serde_json::{Value, json};

use crate::answers::{ended, live};
use crate::branches::git;
use crate::patience::until;
use crate::previews::{branch, left, listed, nothing_left, run, set_up, up};
use crate::stage::lease;
use crate::told::{Story, Told};
use crate::wire::Wire;

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "preview_faults::of_one_that_cannot_be_made_nothing_is_left",
        tell: cannot_be_made,
    },
    Story {
        name: "preview_faults::no_order_makes_a_preview_of_what_is_none_or_skips_what_it_needs",
        tell: out_of_order,
    },
    Story {
        name: "preview_faults::what_was_made_in_another_way_stays_until_it_is_taken_away",
        tell: made_in_another_way,
    },
    Story {
        name: "preview_faults::an_end_that_was_cut_short_is_begun_anew",
        tell: cut_short,
    },
];

const TINY: Sample = Sample::Tiny;

fn cannot_be_made() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let hooks = r#"
[preview]
create = ["printf 'PASSWORD=well-%s-secret\\n' kept; echo no room for $LONGSHORE_PREVIEW; exit 3"]
destroy = ["echo cleaning up"]
"#;
    let repository = set_up(&lease, hooks)?;
    branch(&repository, "login", "1.1.0-login.1")?;
    let answer = up(&lease, &repository, &["--ref", "login"])?;
    ended(&answer, 1);
    for words in ["no room for login", "nothing of it is left", "cleaning up"] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    assert!(!answer.all().contains("well-kept"), "{}", answer.all());
    host.sh("! journalctl -o cat | grep -v grep | grep well-kept-secret")?;
    nothing_left(host, "tiny--login")?;

    // One that does not come up is no preview either.
    repository.change_app_file(|text| text.replace(hooks, ""))?;
    git(&repository, &["checkout", "--quiet", "-b", "broken"])?;
    repository.commit("1.2.0-broken.1", &Behaviour::ExitsAtImport)?;
    let answer = up(&lease, &repository, &[])?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("cannot start: on purpose"),
        "{}",
        answer.all()
    );
    assert!(
        answer.all().contains("nothing of it is left"),
        "{}",
        answer.all()
    );
    nothing_left(host, "tiny--broken")?;

    // What cannot be taken away is told, and stays to be tried again.
    let hooks = "\n[preview]\ncreate = [\"true\"]\ndestroy = [\"echo in use; exit 1\"]\n";
    repository.change_app_file(|text| format!("{text}{hooks}"))?;
    git(&repository, &["checkout", "--quiet", "-b", "sticky"])?;
    repository.commit("1.3.0-sticky.1", &Behaviour::Good)?;
    ended(&up(&lease, &repository, &[])?, 0);
    let controller = lease.controller(TINY);
    let answer = controller.plain(&["preview", "down", "demo", "sticky"])?;
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    for words in ["in use", "kept for another try", "--without-hook"] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    assert_eq!(listed(&lease, TINY)?.len(), 1);
    host.sh("! systemctl is-active -q longshore-tiny--sticky@blue")?;
    let told = controller.plain(&["preview", "list", "demo"])?;
    assert!(
        told.stdout.contains("kept for another try"),
        "{}",
        told.all()
    );
    let answer = controller.plain(&["preview", "renew", "demo", "sticky"])?;
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    assert!(
        answer.all().contains("its end has begun"),
        "{}",
        answer.all()
    );
    let answer = controller.run(&["preview", "down", "demo", "sticky", "--without-hook"])?;
    ended(&answer, 0);
    nothing_left(host, "tiny--sticky")?;
    let answer = controller.plain(&["preview", "down", "demo", "sticky"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(
        answer.all().contains("There was no preview"),
        "{}",
        answer.all()
    );
    Ok(())
}

fn cut_short() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let hooks = r#"
[preview]
create = ["sleep 12; echo DATABASE=made"]
destroy = ["sleep 12; echo ended well"]
"#;
    let repository = set_up(&lease, hooks)?;
    branch(&repository, "login", "1.1.0-login.1")?;
    let in_step = "until systemctl is-active -q longshore-tiny--login-step; do sleep 0.05; done";
    // The agent is killed while the preview is made: the next try cleans up, and makes it.
    std::thread::scope(|scope| -> Told {
        let first = scope.spawn(|| {
            up(&lease, &repository, &["--ref", "login"]).map_err(|error| error.to_string())
        });
        host.sh(&format!(
            "{in_step}; systemctl kill -s KILL longshore-agent"
        ))?;
        let answer = first.join().map_err(|_| "the first try panicked")??;
        ended(&answer, 1);
        Ok(())
    })?;
    crate::ambush::agent(host)?;
    ended(&up(&lease, &repository, &["--ref", "login"])?, 0);
    assert!(
        run(host, "tiny--login", "env")?
            .lines()
            .any(|line| line == "DATABASE=made")
    );

    // And while it is taken away.
    std::thread::scope(|scope| -> Told {
        let down = scope.spawn(|| {
            let down = lease
                .controller(TINY)
                .run(&["preview", "down", "demo", "login"]);
            down.map_err(|error| error.to_string())
        });
        host.sh(&format!(
            "{in_step}; systemctl kill -s KILL longshore-agent"
        ))?;
        let answer = down.join().map_err(|_| "it panicked")??;
        assert_eq!(answer.code, Some(1), "{}", answer.all());
        Ok(())
    })?;
    crate::ambush::agent(host)?;
    until("the preview is gone", 60, || {
        Ok(listed(&lease, TINY)?.is_empty())
    })?;
    nothing_left(host, "tiny--login")?;
    host.sh("journalctl -o cat | grep -q 'ended well'")?;

    // Of two whose time comes at once, neither waits for the other's hook.
    repository.change_app_file(|text| text.replace("sleep 12; echo DATABASE", "echo DATABASE"))?;
    for name in ["one", "two"] {
        branch(&repository, name, &format!("1.2.0-{name}.1"))?;
        ended(&up(&lease, &repository, &["--ref", name])?, 0);
    }
    host.sh("sqlite3 /var/lib/longshore/ledger.db 'UPDATE previews SET until_time = created'; systemctl restart longshore-agent")?;
    let both = "systemctl is-active -q longshore-tiny--one-step && systemctl is-active -q longshore-tiny--two-step";
    host.sh(&format!(
        "timeout 60 sh -c 'until {both}; do sleep 0.05; done'"
    ))?;
    until("both are gone", 60, || Ok(listed(&lease, TINY)?.is_empty()))?;
    let status = lease.controller(TINY).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"], "{}", status.all());
    Ok(())
}

/// What no `longshore` would ever order.
fn out_of_order() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let hooks = r#"
[preview]
create = ["echo GIVEN=away"]
destroy = ["true"]
"#;
    let repository = set_up(&lease, hooks)?;
    branch(&repository, "login", "1.1.0-login.1")?;
    ended(&up(&lease, &repository, &["--ref", "login"])?, 0);
    let refused = |app: &str, order: Value, told: &str| -> Told {
        let mut wire = Wire::open(host)?;
        wire.lock("demo", app)?;
        let reply = wire.order(order)?;
        assert_eq!(reply["reply"], "refused", "{reply}");
        assert!(reply.to_string().contains(told), "{told}: {reply}");
        Ok(())
    };
    // An app is given nothing, neither made nor dropped, as if it were a preview.
    let version = "1.0.0";
    let make = json!({"order": "make_preview", "app": "tiny", "version": version});
    refused("tiny", make, "tiny is no preview")?;
    let wish = json!({"git_ref": "main", "seconds": 1});
    let keep = json!({"order": "keep_preview", "app": "tiny", "wish": wish});
    refused("tiny", keep, "tiny is no preview")?;
    let order = json!({"order": "drop_preview", "app": "tiny", "without_hook": true});
    refused("tiny", order, "tiny is no preview")?;
    host.sh("! grep -rq GIVEN /etc/longshore/apps/tiny.env")?;

    // Nothing is brought to a preview that nobody asked for, nor does one serve before it is made.
    let nobody = "tiny--nobody";
    let make = json!({"order": "make_preview", "app": nobody, "version": version});
    refused(nobody, make, "there is no preview tiny--nobody")?;
    host.sh(
        "sqlite3 /var/lib/longshore/ledger.db \"UPDATE previews SET made = 1, recipe = NULL\"",
    )?;
    let (app, version) = ("tiny--login", "1.1.0-login.1");
    let migrate = json!({"order": "migrate", "app": app, "version": version});
    refused(app, migrate, "is not made")?;
    let switch = json!({
        "order": "switch", "app": app, "version": version, "why": "deploy", "even_revoked": false
    });
    refused(app, switch, "is not made")?;
    let long = "x".repeat(300);
    for (git_ref, told) in [
        (long.as_str(), "no branch has such a name"),
        ("a\nb", "no branch"),
    ] {
        let wish = json!({"git_ref": git_ref, "seconds": 60});
        let keep = json!({"order": "keep_preview", "app": "tiny--odd", "wish": wish});
        refused("tiny--odd", keep, told)?;
    }
    // Another app's name is not to be had.
    host.sh("sed -i '/apps.cortico]/,/^domain/ s/^domain.*/domain = \"admin.tiny.test\"/' /etc/longshore/host.toml")?;
    let wish = json!({"git_ref": "admin", "seconds": 60});
    let keep = json!({"order": "keep_preview", "app": "tiny--admin", "wish": wish});
    refused(
        "tiny--admin",
        keep,
        "admin.tiny.test is the domain of cortico",
    )?;
    assert_eq!(listed(&lease, TINY)?.len(), 1);

    // One whose controller was lost before it served is given up after an hour, and only that one.
    let mut wire = Wire::open(host)?;
    wire.lock("demo", "tiny--lost")?;
    let wish = json!({"git_ref": "lost", "seconds": 86_400});
    let kept = wire.order(json!({"order": "keep_preview", "app": "tiny--lost", "wish": wish}))?;
    assert_eq!(kept["reply"], "preview", "{kept}");
    drop(wire);
    host.sh("systemctl restart longshore-agent")?;
    crate::ambush::agent(host)?;
    assert_eq!(listed(&lease, TINY)?.len(), 2);
    host.sh("sqlite3 /var/lib/longshore/ledger.db \"UPDATE previews SET created = created - 3600000\"; systemctl restart longshore-agent")?;
    crate::ambush::agent(host)?;
    until("the preview is gone", 30, || {
        Ok(listed(&lease, TINY)?.len() == 1)
    })?;
    let down = ["preview", "down", "demo", "login"];
    ended(&lease.controller(TINY).run(&down)?, 0);
    nothing_left(host, "tiny--lost")
}

fn made_in_another_way() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let copy = "\n[preview]\ncopy = [\"data/db\"]\n";
    let repository = set_up(&lease, copy)?;
    branch(&repository, "login", "1.1.0-login.1")?;
    ended(&up(&lease, &repository, &["--ref", "login"])?, 0);
    run(host, "tiny--login", "echo changed > data/db")?;

    // A later commit wants more than a copy, as a file too. What somebody works with stays what it is
    // until they take it away, and then it does not get the app's own instead.
    let more = r#"
[preview]
copy = ["data/db"]
create = ["echo DATABASE=own", "printf SERVICE_KEY=abc"]
destroy = ["echo gone: $DATABASE"]
[settings]
files = ["SERVICE_KEY"]
"#;
    git(&repository, &["checkout", "--quiet", "login"])?;
    repository.change_app_file(|text| text.replace(copy, more))?;
    repository.commit("1.1.0-login.2", &Behaviour::Good)?;
    let answer = up(&lease, &repository, &[])?;
    ended(&answer, 4);
    for words in ["was not made by", "longshore preview down demo login"] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    let there = run(host, "tiny--login", "cat data/db; echo $LONGSHORE_VERSION")?;
    assert_eq!(there, "changed\n1.1.0-login.1\n");
    let down = ["preview", "down", "demo", "login"];
    ended(&lease.controller(TINY).run(&down)?, 0);
    ended(&up(&lease, &repository, &[])?, 0);
    let said = run(
        host,
        "tiny--login",
        "echo $DATABASE; cat $CREDENTIALS_DIRECTORY/SERVICE_KEY; echo; cat data/db",
    )?;
    assert_eq!(said, "own\nabc\noriginal\n");

    // One that breaks off takes away its own, and not the app's.
    let breaks = more.replace(
        "\"printf SERVICE_KEY=abc\"",
        "\"echo a note about PGHOST=x; exit 3\"",
    );
    git(&repository, &["checkout", "--quiet", "-b", "two"])?;
    repository.change_app_file(|text| text.replace(more, &breaks))?;
    repository.commit("1.2.0-two.1", &Behaviour::Good)?;
    let answer = up(&lease, &repository, &[])?;
    ended(&answer, 1);
    for words in ["gone: own", "nothing of it is left"] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    let there = left(host, "tiny--two")?;
    assert!(!there.contains("tiny--two"), "{there}");

    // What is not in the app's shared/ cannot be copied, and that is told.
    repository.change_app_file(|text| text.replace("data/db\"]", "data/none\"]"))?;
    repository.commit("1.2.0-two.2", &Behaviour::Good)?;
    let answer = up(&lease, &repository, &[])?;
    ended(&answer, 1);
    for words in ["what tiny shares cannot be copied", "data/none"] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }

    // What would fill the disk is not begun.
    let data = "/srv/longshore/tiny/shared/data";
    host.sh(&format!(
        "truncate --size=3T {data}/huge; chown --reference={data} {data}/huge"
    ))?;
    repository.change_app_file(|text| text.replace("data/none\"]", "data/huge\"]"))?;
    repository.commit("1.2.0-two.3", &Behaviour::Good)?;
    let answer = up(&lease, &repository, &[])?;
    ended(&answer, 1);
    for words in [
        "MiB free, and the copy takes 3145792 MiB",
        "nothing of it is left",
    ] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    let down = ["preview", "down", "demo", "login"];
    ended(&lease.controller(TINY).run(&down)?, 0);
    nothing_left(host, "tiny--login")
}
