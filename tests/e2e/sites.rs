//! What nginx does for an app beside passing requests on.

use std::error::Error;

use longshore_lab::host::Host;
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::answers::{ended, kinds};
use crate::patience::until;
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "sites::files_have_their_types_ranges_and_lifetimes_for_as_long_as_a_release_is_kept",
        tell: files,
    },
    Story {
        name: "sites::what_the_app_file_says_of_the_site_is_what_visitors_get",
        tell: schema,
    },
    Story {
        name: "sites::a_websocket_goes_through_and_stays",
        tell: websocket,
    },
    Story {
        name: "sites::maintenance_closes_and_opens_a_site_without_a_reload",
        tell: maintenance,
    },
];

const TINY: Sample = Sample::Tiny;
/// `secret`, as `htpasswd -nbm ann secret` has it.
const USERS: &str = "ann:$apr1$lab$SDKktQqp/srHO0sEzIkft.";

/// The head of an answer in lower case, and its body.
fn ask(host: &Host, path: &str, with: &str) -> Result<(String, String), Box<dyn Error>> {
    let said = host.sh(&format!(
        "curl -s -i --max-time 30 -H 'Host: {}' {with} 'http://127.0.0.1{path}'",
        TINY.domain()
    ))?;
    let (head, body) = said.split_once("\r\n\r\n").ok_or("no head")?;
    Ok((head.to_lowercase(), body.to_owned()))
}

fn with_files(repository: &Repository, marker: &str) -> Told {
    let folder = repository.folder().join("assets");
    fs_err::create_dir_all(&folder)?;
    fs_err::remove_dir_all(&folder)?;
    fs_err::create_dir_all(folder.join("admin"))?;
    let text = format!("/* {marker} */\n{}", "body { color: red }\n".repeat(200));
    for name in [
        "site.css",
        "module.mjs",
        "app.webmanifest",
        "report-20261121.css",
        &format!("site.{marker}.css"),
        "index-BxQ2s8Lz.js",
        "team-IMG00123.jpg",
        "admin/own.css",
    ] {
        fs_err::write(folder.join(name), &text)?;
    }
    Ok(())
}

fn static_section(text: &str) -> String {
    format!(
        "{}\n[static]\n\"/static/\" = \"assets/\"\n\"/static/other/\" = \"assets/admin/\"\n\"/media/\" = \"media/\"\n",
        text.replace("dirs = [\"data\"]", "dirs = [\"data\", \"media\"]")
    )
}

fn files() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    repository.change_app_file(static_section)?;
    with_files(&repository, "0a1b2c3d4e5f")?;
    ended(&deploy(&lease, &repository, "1.0.0")?, 0);
    host.sh("install -o app-tiny -d /srv/longshore/tiny/shared/media; \
             printf 0123456789 > /srv/longshore/tiny/shared/media/film.0a1b2c3d4e5f.mp4; \
             ln -s /etc/passwd /srv/longshore/tiny/shared/media/passwd.txt")?;

    for (path, kind, cache) in [
        ("/static/site.css", "text/css; charset=utf-8", "no-cache"),
        ("/static/module.mjs", "text/javascript", "no-cache"),
        (
            "/static/app.webmanifest",
            "application/manifest+json",
            "no-cache",
        ),
        ("/static/report-20261121.css", "text/css", "no-cache"),
        (
            "/static/site.0a1b2c3d4e5f.css",
            "text/css",
            "public, max-age=31536000, immutable",
        ),
        ("/static/team-IMG00123.jpg", "image/jpeg", "no-cache"),
        (
            "/static/index-BxQ2s8Lz.js",
            "javascript",
            "public, max-age=31536000, immutable",
        ),
        ("/media/film.0a1b2c3d4e5f.mp4", "video/mp4", "no-cache"),
    ] {
        let (head, _) = ask(host, path, "")?;
        let kept = format!("cache-control: {cache}\r\n");
        let typed = head
            .lines()
            .any(|line| line.starts_with("content-type: ") && line.contains(kind));
        assert!(
            head.starts_with("http/1.1 200") && typed && format!("{head}\r\n").contains(&kept),
            "{path}: {head}"
        );
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }
    let (head, body) = ask(
        host,
        "/media/film.0a1b2c3d4e5f.mp4",
        "-H 'Range: bytes=2-5'",
    )?;
    assert!(head.starts_with("http/1.1 206") && body == "2345", "{head}");
    let zipped = "-H 'Accept-Encoding: gzip' --output /dev/null --dump-header -";
    let head = host.sh(&format!(
        "curl -s --max-time 30 -H 'Host: {}' {zipped} http://127.0.0.1/static/site.css",
        TINY.domain()
    ))?;
    let head = head.to_lowercase();
    assert!(
        head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"),
        "{head}"
    );
    let (head, _) = ask(host, "/static/none.0a1b2c3d4e5f.css", "")?;
    assert!(
        head.starts_with("http/1.1 404") && !head.contains("immutable"),
        "{head}"
    );
    assert!(
        ask(host, "/static/other/own.css", "")?
            .0
            .starts_with("http/1.1 200")
    );
    let (head, _) = ask(host, "/media/passwd.txt", "")?;
    assert!(
        head.starts_with("http/1.1 40"),
        "no link of the app's is followed: {head}"
    );

    // A page of the first release finds its file after four more, of which nginx knows nothing new, and
    // also where one of them was gone back from.
    let reloads = host.sh("journalctl -u nginx --no-pager -o cat | grep -c Reloaded || true")?;
    for (minor, marker) in [
        "1a1b2c3d4e5f",
        "2a1b2c3d4e5f",
        "3a1b2c3d4e5f",
        "4a1b2c3d4e5f",
    ]
    .iter()
    .enumerate()
    {
        with_files(&repository, marker)?;
        ended(
            &deploy(&lease, &repository, &format!("1.{}.0", minor + 1))?,
            0,
        );
    }
    assert_eq!(
        host.sh("journalctl -u nginx --no-pager -o cat | grep -c Reloaded || true")?,
        reloads
    );
    for marker in ["0a1b2c3d4e5f", "2a1b2c3d4e5f", "4a1b2c3d4e5f"] {
        let (head, body) = ask(host, &format!("/static/site.{marker}.css"), "")?;
        assert!(
            head.starts_with("http/1.1 200") && body.contains(marker),
            "{marker}: {head}"
        );
    }
    ended(&lease.controller(TINY).run(&["rollback", "demo"])?, 0);
    // What was gone back from is in no slot any more once another one has come.
    with_files(&repository, "6a1b2c3d4e5f")?;
    ended(&deploy(&lease, &repository, "1.4.1")?, 0);
    let (head, _) = ask(host, "/static/site.4a1b2c3d4e5f.css", "")?;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    // The seventh makes the first ones go.
    with_files(&repository, "5a1b2c3d4e5f")?;
    ended(&deploy(&lease, &repository, "1.5.0")?, 0);
    let (head, _) = ask(host, "/static/site.0a1b2c3d4e5f.css", "")?;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    assert_eq!(
        host.sh("cat /srv/longshore/tiny/shared/media/film.0a1b2c3d4e5f.mp4")?,
        "0123456789"
    );
    Ok(())
}

/// Serves requests as WSGI would not: an upgraded connection is echoed.
const ECHO: &str = "\
import os, socket, sys, threading
path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
os.chmod(path, 0o777)
server.listen(64)
def serve(one):
    head = b''
    while b'\\r\\n\\r\\n' not in head:
        more = one.recv(4096)
        if not more:
            return
        head += more
    if b'upgrade: websocket' in head.lower():
        one.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n')
        while data := one.recv(4096):
            one.sendall(data)
    else:
        body = os.environ['LONGSHORE_VERSION'].encode() + b'\\n'
        one.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n' % len(body) + body)
    one.close()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
";

/// Speaks to the site as a browser's websocket does, says something twice, and is silent between.
const CLIENT: &str = "\
import socket, time
one = socket.create_connection(('127.0.0.1', 80), 10)
one.sendall(b'GET /ws/chat HTTP/1.1\\r\\nHost: tiny.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
print(one.recv(4096).split(b'\\r\\n')[0].decode())
for word in (b'one', b'two'):
    one.sendall(word)
    print(one.recv(4096).decode())
    time.sleep(4)
";

fn websocket() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    fs_err::write(repository.folder().join("serve.py"), ECHO)?;
    repository.change_app_file(|text| format!("{text}\n[site]\nwebsockets = [\"/ws/\"]\n"))?;
    ended(&deploy(&lease, &repository, "1.0.0")?, 0);
    // One that nginx waits for only three seconds would be cut off: so it is the section that counts.
    let site = "/etc/nginx/conf.d/longshore-tiny.conf";
    let said = host.sh(&format!("grep -A6 'location ^~ /ws/' {site}"))?;
    assert!(said.contains("proxy_read_timeout 1h;"), "{said}");
    host.sh(&format!("sed -i 's/server_name tiny.test;/&\\n    proxy_read_timeout 3s;/' {site} && nginx -s reload && sleep 1"))?;
    let said = host.sh(&format!("python3 -c \"{CLIENT}\""))?;
    assert_eq!(said, "HTTP/1.1 101 Switching Protocols\none\ntwo\n");
    Ok(())
}

fn deploy(
    lease: &Lease,
    repository: &Repository,
    version: &str,
) -> Result<longshore_lab::controller::Answer, Box<dyn Error>> {
    let release = lease.release(repository, version, &Behaviour::Good)?;
    lease.deploy(TINY, &release)
}

const SITE: &str = r#"
[site]
headers = { "X-Frame-Options" = "DENY", "Content-Security-Policy" = "default-src 'self'; img-src *" }
redirects = { "/old/" = "/new/", "/blog" = "https://blog.example.com/" }
websockets = ["/ws/"]
basic_auth = "SITE_USERS"
"#;

fn schema() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let controller = lease.controller(TINY);
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| format!("{}{SITE}", static_section(text)))?;
    with_files(&repository, "0a1b2c3d4e5f")?;
    // It would be open to everybody, which nobody said that it should be.
    let answer = deploy(&lease, &repository, "1.0.0")?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("SITE_USERS, which is not set here"),
        "{}",
        answer.all()
    );
    let plain = format!("SITE_USERS={}", "ann:secret");
    ended(&controller.run(&["settings", "set", "demo", &plain])?, 0);
    let answer = deploy(&lease, &repository, "1.0.1")?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("htpasswd") && !answer.all().contains("ann:secret"),
        "{}",
        answer.all()
    );
    let users = format!("SITE_USERS={USERS}");
    ended(&controller.run(&["settings", "set", "demo", &users])?, 0);
    ended(&deploy(&lease, &repository, "1.0.2")?, 0);

    let ann = "-u ann:secret";
    let (head, _) = ask(host, "/version", "")?;
    assert!(head.starts_with("http/1.1 401"), "{head}");
    assert!(
        ask(host, "/static/site.css", "")?
            .0
            .starts_with("http/1.1 401")
    );
    assert!(
        ask(host, "/version", "-u ann:wrong")?
            .0
            .starts_with("http/1.1 401")
    );
    for path in ["/version", "/static/site.css"] {
        let (head, _) = ask(host, path, ann)?;
        for wanted in [
            "http/1.1 200",
            "x-frame-options: deny",
            "content-security-policy: default-src 'self'; img-src *",
        ] {
            assert!(head.contains(wanted), "{path}: {head}");
        }
    }
    let (head, _) = ask(host, "/old/?a=1", ann)?;
    assert!(
        head.starts_with("http/1.1 301") && head.contains("/new/?a=1"),
        "{head}"
    );
    let (head, _) = ask(host, "/blog", ann)?;
    assert!(
        head.contains("location: https://blog.example.com/"),
        "{head}"
    );
    let mode = host.sh("stat -c '%a %U %G' /etc/longshore/apps/tiny.users")?;
    assert_eq!(mode.trim(), "640 root www-data");

    // Whoever may see it is a setting: another one takes hold with the restart that it brings.
    ended(
        &controller.run(&["settings", "set", "demo", "SITE_USERS=off"])?,
        0,
    );
    assert!(ask(host, "/version", "")?.0.starts_with("http/1.1 200"));
    // Without it the release cannot be served as it says, so the setting is put back.
    let answer = controller.run(&["settings", "unset", "demo", "SITE_USERS"])?;
    ended(&answer, 1);
    assert!(ask(host, "/version", "")?.0.starts_with("http/1.1 200"));
    let values = controller.plain(&["settings", "list", "demo", "--show"])?;
    assert!(
        values.stdout.contains("SITE_USERS"),
        "{} {}",
        values.all(),
        answer.all()
    );

    // What would break out of its place is refused where the release is made.
    for (from, to) in [
        ("\"DENY\"", "\"DENY\\\"; return 200\""),
        ("\"/new/\"", "\"/new/; }\""),
        ("\"/ws/\"", "\"/.well-known/longshore-site\""),
    ] {
        let before = fs_err::read_to_string(repository.folder().join("longshore.toml"))?;
        repository.change_app_file(|text| text.replace(from, to))?;
        repository.commit("1.9.0", &Behaviour::Good)?;
        let build = lease.controller(TINY).in_folder(repository.folder());
        let answer = build.run(&["build", "--version", "1.9.0", "--key", &lease.signing_key()])?;
        ended(&answer, 2);
        assert!(answer.all().contains("longshore.toml"), "{}", answer.all());
        process::run(
            std::process::Command::new("git")
                .current_dir(repository.folder())
                .args(["tag", "--delete", "v1.9.0"]),
        )?;
        repository.change_app_file(|_| before.clone())?;
    }
    Ok(())
}

fn maintenance() -> Told {
    let lease = lease(2)?;
    let controller = lease.controller(TINY);
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| {
        format!(
            "{}\n[site]\nmaintenance = \"assets/closed.html\"\nwebsockets = [\"/ws/\"]\n",
            static_section(text)
        )
    })?;
    with_files(&repository, "0a1b2c3d4e5f")?;
    fs_err::write(
        repository.folder().join("assets/closed.html"),
        "<p>Back at nine\n",
    )?;
    let early = controller.run(&["maintenance", "on", "demo"])?;
    ended(&early, 4);
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &first)?, 0);

    let main_id = |host: &Host| {
        host.sh(
            "systemctl show -P MainPID nginx; pgrep -P $(systemctl show -P MainPID nginx) | sort",
        )
    };
    // Workers of before the deployment may still be ending.
    let old = "pgrep -f '[w]orker process is shutting down' || true";
    until("old workers", 30, || Ok(lease.hosts[0].sh(old)?.is_empty()))?;
    let before = main_id(&lease.hosts[0])?;
    let answer = controller.run(&["maintenance", "on", "demo"])?;
    ended(&answer, 0);
    for host in &lease.hosts {
        for (path, with) in [
            ("/version", ""),
            ("/upload", "-X POST -d a=b"),
            ("/ws/chat", ""),
        ] {
            let (head, body) = ask(host, path, with)?;
            assert!(
                head.starts_with("http/1.1 503") && head.contains("retry-after"),
                "{path}: {head}"
            );
            assert_eq!(body, "<p>Back at nine\n", "{head}");
            assert!(head.contains("content-type: text/html"), "{head}");
        }
        assert!(
            ask(host, "/static/site.css", "")?
                .0
                .starts_with("http/1.1 200")
        );
        // It has no address of its own.
        assert!(
            ask(host, "/.well-known/longshore-maintenance", "")?
                .0
                .starts_with("http/1.1 404")
        );
    }
    assert_eq!(main_id(&lease.hosts[0])?, before, "nginx was reloaded");
    let again = controller.run(&["maintenance", "on", "demo"])?;
    ended(&again, 0);
    let unchanged = again.result().ok_or("no result")?["hosts"][0]["unchanged"].clone();
    assert_eq!(unchanged, true);
    let status = controller.plain(&["status", "demo"])?;
    assert!(
        status.stdout.contains("closed for maintenance since") && status.stdout.contains("by ops1"),
        "{}",
        status.all()
    );

    // Work goes on behind the page, and a reboot does not open the site.
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let answer = lease.deploy(TINY, &second)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"; 2]);
    lease.hosts[1].reboot()?;
    lease.hosts[1].wait_until_up()?;
    for host in &lease.hosts {
        assert!(ask(host, "/version", "")?.0.starts_with("http/1.1 503"));
    }
    // Where one host cannot be reached, visitors see both, and that is told.
    lease.plug(&lease.hosts[1], false)?;
    let answer = controller.run(&["maintenance", "off", "demo"])?;
    lease.plug(&lease.hosts[1], true)?;
    ended(&answer, 3);
    ended(&controller.run(&["maintenance", "off", "demo"])?, 0);
    for host in &lease.hosts {
        let (head, body) = ask(host, "/version", "")?;
        assert!(
            head.starts_with("http/1.1 200") && body == "1.1.0\n",
            "{head}"
        );
    }
    let history = lease.hosts[0].sh("longshore-agent history | grep maintenance")?;
    assert!(
        history.contains("ops1") && history.lines().count() == 3,
        "{history}"
    );
    // Without a page of its own a release has ours.
    repository
        .change_app_file(|text| text.replace("maintenance = \"assets/closed.html\"\n", ""))?;
    let third = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &third)?, 0);
    ended(&controller.run(&["maintenance", "on", "demo"])?, 0);
    let (head, body) = ask(&lease.hosts[0], "/version", "-X POST -d a=b")?;
    assert!(
        head.starts_with("http/1.1 503") && body.contains("being worked on"),
        "{head} {body}"
    );
    Ok(())
}
