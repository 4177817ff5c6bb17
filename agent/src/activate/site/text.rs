//! The text of a site, made from a fixed form: an app file fills it in, and cannot break out of it.

use longshore_shared::app_file::{AppFile, RedirectTarget, Site, SitePath};
use longshore_shared::digest::Sha256Digest;
use longshore_shared::manifest::Manifest;

use super::users::Users;
use crate::host::{Front, Tls};
use crate::layout::{ACME_ROOT, AppLayout};

const TEMPLATE: &str = include_str!("../../../../systemd/site.conf.template");
const REDIRECT: &str = include_str!("../../../../systemd/redirect.conf.template");
pub(super) const MARKER: &str = "/.well-known/longshore-site";
const MAINTENANCE: &str = "/.well-known/longshore-maintenance";
const UNAVAILABLE: &str = "/.well-known/longshore-unavailable";
const NOSNIFF: &str = "X-Content-Type-Options";

/// What not every nginx knows the type of, and browsers refuse under another one.
const TYPES: [(&str, &str); 3] = [
    ("mjs", "text/javascript"),
    ("webmanifest", "application/manifest+json"),
    ("map", "application/json"),
];

/// It follows from the release's app file, the host's domain and the users alone, so that a rollback
/// brings the site back as well. What it says of itself comes second.
pub(super) fn render(
    layout: &AppLayout,
    manifest: &Manifest,
    front: &Front,
    users: &Users,
    listen: &Listen,
) -> (String, String) {
    let (app, file) = (layout.app.as_str(), &manifest.app_file);
    let by_tls =
        |with: &str, without: &str| if front.tls.is_some() { with } else { without }.to_owned();
    let text = TEMPLATE
        .replace("{redirect}", &by_tls(REDIRECT, ""))
        .replace("{tls}", &front.tls.as_ref().map_or_else(String::new, tls))
        .replace("{listen}", &by_tls(&listen.tls, &listen.plain))
        .replace("{listen_plain}", &listen.plain)
        .replace("{users}", &users.directives(layout))
        .replace("{redirects}", &redirects(&file.site))
        .replace("{websockets}", &websockets(&file.site))
        .replace("{maintenance}", &maintenance(layout, &file.site))
        .replace("{unavailable}", UNAVAILABLE)
        .replace("{inner_headers}", &headers(&file.site, "        "))
        .replace("{static}", &static_locations(layout, file))
        .replace("{headers}", &headers(&file.site, "    "))
        .replace("{live_socket}", &layout.live_socket().display().to_string())
        .replace("{during}", &layout.maintenance().display().to_string())
        .replace("{variable}", &layout.short())
        .replace("{app}", app)
        .replace("{acme}", ACME_ROOT)
        .replace("{domain}", front.domain.as_str())
        .replace("{max_upload}", &file.web.max_upload.to_string())
        .replace("{marker_path}", MARKER);
    let marker = marker(&text);
    (text.replace("{marker}", &marker), marker)
}

/// What a site says of itself before it carries its own marker.
fn marker(text: &str) -> String {
    Sha256Digest::of(text.as_bytes())
        .to_string()
        .chars()
        .take(16)
        .collect()
}

/// A location that adds a header of its own no longer has those around it.
fn headers(site: &Site, indent: &str) -> String {
    let line = |(name, value): (&_, &_)| format!("{indent}add_header {name} \"{value}\" always;\n");
    site.headers.iter().map(line).collect()
}

fn redirects(site: &Site) -> String {
    let location = |(from, to): (&SitePath, &RedirectTarget)| {
        // What has a query of its own keeps it.
        let query = match to.as_str().contains(['?', '#']) {
            true => "",
            false => "$is_args$args",
        };
        format!("    location = {from} {{\n        return 301 {to}{query};\n    }}\n")
    };
    site.redirects.iter().map(location).collect()
}

/// A connection that says nothing for a minute is taken for dead elsewhere.
fn websockets(site: &Site) -> String {
    let location = |path: &_| {
        format!(
            "    location ^~ {path} {{
        if (-f {{during}}) {{
            return 503;
        }}
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
        proxy_pass http://longshore-{{app}};
    }}
"
        )
    };
    site.websockets.iter().map(location).collect()
}

/// What is shown during maintenance: the release's own page, where it has one, or ours.
fn maintenance(layout: &AppLayout, site: &Site) -> String {
    let Some(page) = &site.maintenance else {
        return format!("    error_page 503 {UNAVAILABLE};\n");
    };
    let (current, home) = (layout.current(), layout.home().display());
    let (current, headers) = (current.display(), headers(site, "        "));
    // A named location would be asked with the visitor's own method, which no file takes.
    format!(
        "    error_page 503 {MAINTENANCE};
    location = {MAINTENANCE} {{
        internal;
        auth_basic off;
        root {current};
        disable_symlinks if_not_owner from={home};
        try_files \"/{page}\" {UNAVAILABLE};
        default_type text/html;
        add_header Retry-After 120 always;
        add_header Cache-Control no-store always;
{headers}    }}
",
    )
}

fn static_locations(layout: &AppLayout, file: &AppFile) -> String {
    let mut text = String::new();
    // The longer path of two comes first: nginx takes the first one that fits.
    for (path, folder) in file.static_files.iter().rev() {
        let is_shared = file.shared.dirs.iter().any(|dir| {
            let rest = folder.as_str().strip_prefix(dir.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let body = static_body(layout, file, folder.as_str(), is_shared);
        let path = path.as_str().trim_end_matches('/').replace('.', "\\.");
        let mut location = |ending: &str, kind: String| {
            text.push_str(&format!(
                "    location ~ ^{path}/(?<longshore_file>.+{ending})$ {{\n{kind}{body}    }}\n"
            ));
        };
        for (ending, kind) in TYPES {
            location(
                &format!("\\.{ending}"),
                format!("        default_type {kind};\n"),
            );
        }
        location("", String::new());
    }
    text
}

/// A page from before a switch still finds its files: nginx looks in what is current, then in both
/// slots, then in all that is kept. What is shared is one for all releases, and the app's user may
/// write there: nginx follows no link in it, and nothing of it is taken to be the same for ever.
fn static_body(layout: &AppLayout, file: &AppFile, folder: &str, is_shared: bool) -> String {
    let home = layout.home().display();
    let (links, places) = if is_shared {
        let links = format!("        disable_symlinks on from={home}/shared;\n");
        (links, vec![format!("/shared/{folder}")])
    } else {
        let own = ["/current", "/slots/blue", "/slots/green"].map(str::to_owned);
        let kept = (0..file.app.keep_releases).map(|place| format!("/kept/{place}"));
        let places = own.into_iter().chain(kept);
        (
            // A step may have made links; none of them leads to what is not the release's.
            format!("        disable_symlinks if_not_owner from={home};\n"),
            places.map(|place| format!("{place}/{folder}")).collect(),
        )
    };
    let tried: String = places
        .iter()
        .map(|place| format!("\"{place}/$longshore_file\" "))
        .collect();
    let cache = match is_shared {
        true => "no-cache",
        false => "$longshore_{variable}_cache",
    };
    let names_it = |name: &str| name.eq_ignore_ascii_case(NOSNIFF);
    let nosniff = match file.site.headers.keys().any(|name| names_it(name.as_str())) {
        true => String::new(),
        false => format!("        add_header {NOSNIFF} nosniff always;\n"),
    };
    let headers = headers(&file.site, "        ");
    format!(
        "        root {home};
{links}        try_files {tried}=404;
        charset utf-8;
        charset_types text/css text/plain text/xml text/javascript application/javascript application/json application/manifest+json;
        add_header Cache-Control \"{cache}\";
{nosniff}{headers}        gzip on;
        gzip_vary on;
        gzip_proxied any;
        gzip_min_length 1024;
        gzip_types text/css text/plain text/javascript text/xml application/javascript application/json application/manifest+json application/xml application/wasm image/svg+xml;
"
    )
}

/// What the servers of a site listen on.
pub(super) struct Listen {
    pub(super) plain: String,
    pub(super) tls: String,
}

impl Listen {
    pub(super) fn to_everybody() -> Self {
        let six =
            fs_err::read_to_string("/proc/net/if_inet6").is_ok_and(|text| !text.trim().is_empty());
        let on = |port: u16, how: &str| {
            let mut lines = format!("    listen {port}{how};\n");
            if six {
                lines.push_str(&format!("    listen [::]:{port}{how};\n"));
            }
            lines
        };
        Self {
            plain: on(80, ""),
            tls: on(443, " ssl"),
        }
    }
}

fn tls(tls: &Tls) -> String {
    format!(
        "    ssl_certificate {};
    ssl_certificate_key {};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:longshore_{{variable}}:1m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
",
        tls.certificate.as_str(),
        tls.key.as_str()
    )
}
