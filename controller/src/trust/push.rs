//! What a push of signers has to change, worked out from what hosts say: no network here.

use jiff::Timestamp;
use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::{SIGNERS_NAMESPACE, Trust, verify};
use longshore_shared::trust_file::{TrustFile, TrustFileError, TrustRules};
use longshore_shared::wire::latest::SignedTrust;

/// What one host trusts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// What bootstrap installed; no trust file yet.
    Bootstrap,
    File(Box<TrustFile>),
}

/// The trust file that all hosts are to have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushPlan {
    /// They trust the very same already.
    Nothing { serial: u64 },
    /// To be signed and sent to all.
    Push(TrustFile),
}

/// Reads what a host says that it has installed.
pub(crate) fn standing(installed: Option<&SignedTrust>) -> Result<Standing, TrustFileError> {
    match installed {
        None => Ok(Standing::Bootstrap),
        Some(signed) => Ok(Standing::File(Box::new(TrustFile::parse(&signed.text)?))),
    }
}

/// The newest trust file among those that hosts have, signed by somebody whom the inventory trusts for
/// it: one host's word is not enough for the others.
pub(crate) fn newest(
    environment: &EnvironmentName,
    trust: &Trust,
    installed: Vec<SignedTrust>,
    now: Timestamp,
) -> Option<SignedTrust> {
    let genuine = installed.into_iter().filter_map(|signed| {
        let text = signed.text.as_bytes();
        verify(trust, SIGNERS_NAMESPACE, text, &signed.signature, now).ok()?;
        let file = TrustFile::parse(&signed.text).ok()?;
        (file.environment == *environment).then_some((file.serial, signed))
    });
    let newest = genuine.max_by_key(|(serial, _)| *serial)?;
    Some(newest.1)
}

impl PushPlan {
    /// A host that was left out of the last push gets the same number as all others.
    pub(crate) fn new(
        environment: &EnvironmentName,
        rules: &TrustRules,
        hosts: &[Standing],
    ) -> Self {
        let serials = hosts.iter().map(|host| match host {
            Standing::Bootstrap => 0,
            Standing::File(file) => file.serial,
        });
        let newest = serials.max().unwrap_or(0);
        let has_it = |host: &Standing| matches!(host, Standing::File(file) if file.serial == newest && file.rules == *rules);
        if newest > 0 && hosts.iter().all(has_it) {
            return Self::Nothing { serial: newest };
        }
        let serial = newest.saturating_add(1);
        Self::Push(TrustFile::new(environment.clone(), serial, rules.clone()))
    }
}

/// What changes for one host, in lines for people.
pub(crate) fn differences(standing: &Standing, rules: &TrustRules) -> Vec<String> {
    let Standing::File(before) = standing else {
        return vec!["the first trust file of this host".to_owned()];
    };
    let before = &before.rules;
    let mut lines = list("signer", &before.allowed_signers, &rules.allowed_signers);
    let text = |rules: &TrustRules| {
        let bytes = rules.revoked_signers().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_else(|_| "a binary list".to_owned())
    };
    lines.extend(list("revoked", &text(before), &text(rules)));
    let by = |rules: &TrustRules| {
        let names = rules.release_by.as_ref().map(|names| names.join(", "));
        names.unwrap_or_else(|| "every signer".to_owned())
    };
    if before.release_by != rules.release_by {
        lines.push(format!("released by: {} -> {}", by(before), by(rules)));
    }
    if before.forward_only != rules.forward_only {
        let (from, to) = (before.forward_only, rules.forward_only);
        lines.push(format!("forward only: {from} -> {to}"));
    }
    lines
}

fn list(what: &str, before: &str, after: &str) -> Vec<String> {
    let lines = |text: &'_ str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    };
    let (before, after) = (lines(before), lines(after));
    let gone = before.iter().filter(|line| !after.contains(line));
    let new = after.iter().filter(|line| !before.contains(line));
    gone.map(|line| format!("- {what} {line}"))
        .chain(new.map(|line| format!("+ {what} {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &str) -> TrustRules {
        TrustRules::new(allowed.to_owned(), b"", None, true)
    }

    fn host(serial: u64, allowed: &str) -> Standing {
        let environment = EnvironmentName::new("production").unwrap();
        Standing::File(Box::new(TrustFile::new(
            environment,
            serial,
            rules(allowed),
        )))
    }

    fn plan(hosts: &[Standing]) -> PushPlan {
        let environment = EnvironmentName::new("production").unwrap();
        PushPlan::new(&environment, &rules("a"), hosts)
    }

    #[test]
    fn the_number_rises_above_that_of_every_host() {
        let serial = |hosts: &[Standing]| match plan(hosts) {
            PushPlan::Push(file) => Ok(file.serial),
            PushPlan::Nothing { serial } => Err(serial),
        };
        assert_eq!(serial(&[Standing::Bootstrap]), Ok(1));
        assert_eq!(serial(&[host(4, "a"), host(4, "a")]), Err(4));
        assert_eq!(serial(&[host(4, "a"), host(3, "a")]), Ok(5));
        assert_eq!(serial(&[host(4, "b"), Standing::Bootstrap]), Ok(5));
    }

    #[test]
    fn what_changes_is_told_in_lines() {
        let lines = differences(&host(1, "# x\na k1\nb k2\n"), &rules("b k2\nc k3"));
        assert_eq!(lines, ["- signer a k1", "+ signer c k3"]);
        assert_eq!(differences(&host(1, "a"), &rules("a")), [""; 0]);
    }
}
