//! Sites over TLS: with a certificate of the inventory, and with one that an authority gave.

use std::process::Command;
use std::thread;
use std::time::Duration;

use longshore_lab::base::Suite;
use longshore_lab::host::Host;
use longshore_lab::process;
use longshore_lab::provision::{Bare, Login};
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::ended;
use crate::bare::{Fleet, nothing_to_do, planned};
use crate::stage::lease_bare;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "tls::with_a_certificate_of_the_inventory",
        tell: of_the_inventory,
    },
    Story {
        name: "tls::with_a_certificate_of_an_authority",
        tell: of_an_authority,
    },
];

const TINY: Sample = Sample::Tiny;

/// What the site answers over TLS, to whoever trusts this certificate. nginx takes a moment to reload.
fn answers(host: &Host, trusted: &str, path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut answer = ask(host, trusted, path);
    for _ in 0..300 {
        if answer.is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
        answer = ask(host, trusted, path);
    }
    answer
}

fn ask(host: &Host, trusted: &str, path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let domain = TINY.domain();
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "10",
        "--cacert",
        trusted,
    ]);
    curl.arg("--resolve")
        .arg(format!("{domain}:443:{}", host.address));
    Ok(process::run(curl.arg(format!("https://{domain}{path}")))?)
}

fn of_the_inventory() -> Told {
    let lease = lease_bare(
        1,
        Bare {
            suite: Suite::Bookworm,
            login: Login::Root,
        },
    )?;
    let host = &lease.hosts[0];
    let made = |name: &str| -> Result<(String, String), Box<dyn std::error::Error>> {
        let file = |ending: &str| {
            lease
                .folder()
                .join(format!("{name}.{ending}"))
                .display()
                .to_string()
        };
        let (certificate, key) = (file("crt"), file("key"));
        let domain = TINY.domain();
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]);
        openssl.args(["-days", "2", "-subj", &format!("/CN={domain}")]);
        openssl.args(["-addext", &format!("subjectAltName=DNS:{domain}")]);
        process::run(openssl.args(["-out", &certificate, "-keyout", &key]))?;
        Ok((certificate, key))
    };
    let (certificate, _) = made("one")?;
    let mut fleet = Fleet::new(&lease);
    fleet.app = "tls = { certificate = \"one.crt\", key = \"one.key\" }\n".to_owned();
    fleet.write()?;
    let plan = fleet.bootstrap(&["--plan"])?;
    assert!(
        planned(&plan).contains("+ certificate of tiny"),
        "{}",
        plan.all()
    );
    let answer = fleet.bootstrap(&["-v"])?;
    ended(&answer, 0);
    assert!(!answer.all().contains("PRIVATE KEY"), "{}", answer.all());
    nothing_to_do(&fleet.bootstrap(&[])?);
    let mode = host.sh("stat -c '%a %U' /etc/longshore/tls/tiny/privkey.pem")?;
    assert_eq!(mode.trim(), "600 root");

    let repository = lease.repository(TINY)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &release)?, 0);
    assert_eq!(answers(host, &certificate, "/version")?.trim(), "1.0.0");
    // The workers of before, to whom the site is unknown, take their leave.
    thread::sleep(Duration::from_secs(2));
    let domain = TINY.domain();
    let plain = host.sh(&format!(
        "python3 -c \"import http.client as h; c=h.HTTPConnection('127.0.0.1'); c.request('GET','/x?y',headers={{'Host':'{domain}'}}); r=c.getresponse(); print(r.status, r.getheader('Location'))\""
    ))?;
    assert_eq!(plain.trim(), format!("301 https://{domain}/x?y"));
    let weak = host.sh("grep -h ssl_protocols /etc/nginx/conf.d/longshore-tiny.conf")?;
    assert_eq!(weak.trim(), "ssl_protocols TLSv1.2 TLSv1.3;");
    // A name that no site has gets no answer at all.
    host.sh("python3 -c \"import http.client as h; c=h.HTTPConnection('127.0.0.1'); c.request('GET','/',headers={'Host':'no.example'}); c.getresponse()\" 2>&1 | grep -q RemoteDisconnected")?;

    // Renewed: nginx has it at once.
    let (renewed, _) = made("one")?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 0);
    assert!(
        planned(&answer).contains("~ certificate of tiny"),
        "{}",
        answer.all()
    );
    assert_eq!(answers(host, &renewed, "/version")?.trim(), "1.0.0");
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &second)?, 0);
    assert_eq!(answers(host, &renewed, "/version")?.trim(), "1.1.0");

    // A pair that does not fit is refused before anything of nginx's is touched.
    let (_, key) = made("two")?;
    fs_err::copy(key, lease.folder().join("one.key"))?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("do not belong together"),
        "{}",
        answer.all()
    );
    assert_eq!(answers(host, &renewed, "/version")?.trim(), "1.1.0");
    Ok(())
}

/// An authority of our own, as Debian packages it, that asks the host as a real one would.
const AUTHORITY: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y --no-install-recommends install pebble openssl >/dev/null
mkdir -p /root/ca && cd /root/ca
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=acme.test \
    -addext subjectAltName=IP:{authority} -out tls.crt -keyout tls.key 2>/dev/null
cat > config.json <<END
{"pebble": {"listenAddress": "0.0.0.0:14000", "managementListenAddress": "0.0.0.0:15000",
 "certificate": "/root/ca/tls.crt", "privateKey": "/root/ca/tls.key", "httpPort": 80, "tlsPort": 443}}
END
echo '{host} {domain}' >> /etc/hosts
systemd-run --quiet --unit=authority --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 \
    pebble -config /root/ca/config.json
sleep 1; systemctl is-active authority
"#;

fn of_an_authority() -> Told {
    let mut lease = lease_bare(
        2,
        Bare {
            suite: Suite::Bookworm,
            login: Login::Root,
        },
    )?;
    let authority = lease.hosts.pop().ok_or("no second host")?;
    let host = &lease.hosts[0];
    let place = authority.address.to_string();
    authority.sh(&AUTHORITY
        .replace("{authority}", &place)
        .replace("{host}", &host.address.to_string())
        .replace("{domain}", &TINY.domain()))?;
    let trusted = authority.sh("cat /root/ca/tls.crt")?;
    fs_err::write(
        host.path("/usr/local/share/ca-certificates/authority.crt")?,
        trusted,
    )?;
    host.sh("update-ca-certificates >/dev/null 2>&1")?;

    let mut fleet = Fleet::new(&lease);
    fleet.app = "tls = \"acme\"\n".to_owned();
    let acme = |port: u16| format!("[setup.acme]\nserver = \"https://{place}:{port}/dir\"\n");
    // No authority: everything else is done, and the site is served plainly until there is one.
    fleet.setup = acme(14001);
    fleet.write()?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 1);
    assert!(
        answer
            .all()
            .contains("certbot got no certificate for tiny.test"),
        "{}",
        answer.all()
    );
    let repository = lease.repository(TINY)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &first)?, 0);

    fleet.setup = acme(14000);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    nothing_to_do(&fleet.bootstrap(&[])?);
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &second)?, 0);
    let roots = authority.sh(
        "apt-get -qq -y --no-install-recommends install curl >/dev/null && \
         curl -sk https://127.0.0.1:15000/roots/0",
    )?;
    let root = lease.folder().join("root.pem");
    fs_err::write(&root, roots)?;
    let root = root.display().to_string();
    assert_eq!(answers(host, &root, "/version")?.trim(), "1.1.0");
    // Renewal goes the same way, past the redirect to TLS, and nginx serves the new one.
    let serial = "openssl x509 -noout -serial -in /etc/letsencrypt/live/tiny.test/cert.pem";
    let before = host.sh(serial)?;
    host.sh("certbot renew --quiet --force-renewal --no-random-sleep-on-renew")?;
    assert_ne!(host.sh(serial)?, before);
    assert_eq!(answers(host, &root, "/version")?.trim(), "1.1.0");
    Ok(())
}
