//! What a commit's message says about the next version, by Conventional Commits 1.0.

/// What a commit does to the version, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Patch,
    Minor,
    Major,
}

/// A message, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub effect: Effect,
    /// `feat`, in lower case; nothing where the message keeps to no convention.
    pub kind: Option<String>,
    pub scope: Option<String>,
    /// The first line, without its kind.
    pub summary: String,
    /// What the footer says about what breaks, in one line.
    pub breaks: Option<String>,
}

impl Change {
    /// Reads a whole message.
    pub fn read(message: &str) -> Self {
        let mut lines = message.lines();
        let subject = lines.next().unwrap_or_default().trim();
        let breaks = breaking_footer(lines);
        let Some(head) = Head::read(subject) else {
            return Self {
                effect: if breaks.is_some() {
                    Effect::Major
                } else {
                    Effect::Patch
                },
                kind: None,
                scope: None,
                summary: subject.to_owned(),
                breaks,
            };
        };
        let effect = if head.breaking || breaks.is_some() {
            Effect::Major
        } else if head.kind == "feat" {
            Effect::Minor
        } else {
            Effect::Patch
        };
        Self {
            effect,
            kind: Some(head.kind),
            scope: head.scope,
            summary: head.summary,
            breaks,
        }
    }
}

/// `feat(login)!: summary`
struct Head {
    kind: String,
    scope: Option<String>,
    breaking: bool,
    summary: String,
}

impl Head {
    fn read(subject: &str) -> Option<Self> {
        let (before, summary) = subject.split_once(": ")?;
        let (before, breaking) = match before.strip_suffix('!') {
            Some(rest) => (rest, true),
            None => (before, false),
        };
        let (kind, scope) = match before.split_once('(') {
            Some((kind, scope)) => (kind, Some(scope.strip_suffix(')')?)),
            None => (before, None),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if kind.is_empty() || !kind.chars().all(word) || summary.trim().is_empty() {
            return None;
        }
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            scope: scope
                .map(str::trim)
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned),
            breaking,
            summary: summary.trim().to_owned(),
        })
    }
}

/// The text of `BREAKING CHANGE: …`, up to the next empty line or footer.
fn breaking_footer<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut lines = lines.skip_while(|line| footer(line).is_none());
    let mut text = footer(lines.next()?)?.to_owned();
    for line in lines {
        if line.trim().is_empty() || is_trailer(line) {
            break;
        }
        text.push(' ');
        text.push_str(line.trim());
    }
    Some(text)
}

fn footer(line: &str) -> Option<&str> {
    let rest = line
        .strip_prefix("BREAKING CHANGE")
        .or_else(|| line.strip_prefix("BREAKING-CHANGE"))?;
    let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix(" #"))?;
    Some(rest.trim())
}

/// `Signed-off-by: …`, `Refs #12`
fn is_trailer(line: &str) -> bool {
    let token = line
        .split_once(": ")
        .or_else(|| line.split_once(" #"))
        .map(|(token, _)| token);
    token.is_some_and(|token| {
        !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn effects_are_those_of_the_convention() {
        for (message, effect) in [
            ("fix: a crash", Effect::Patch),
            ("feat: log in", Effect::Minor),
            ("FEAT(mail): log in", Effect::Minor),
            ("feat!: log in", Effect::Major),
            ("chore(deps)!: drop Python 3.9", Effect::Major),
            ("fix: a\n\nBREAKING CHANGE: b", Effect::Major),
            (
                "fix: a\n\nwhy\n\nBREAKING-CHANGE: b\nRefs: #1",
                Effect::Major,
            ),
            ("Log in\n\nBREAKING CHANGE: b", Effect::Major),
            ("fix: a\n\nno BREAKING CHANGE: here", Effect::Patch),
            (
                "fix: a\n\nbreaking change: lower case does not count",
                Effect::Patch,
            ),
            ("feat log in", Effect::Patch),
            ("feat:log in", Effect::Patch),
            ("feat: ", Effect::Patch),
            ("feature request: no convention", Effect::Patch),
            ("Revert \"feat: log in\"", Effect::Patch),
            ("Merge branch 'feat: x'", Effect::Patch),
            ("", Effect::Patch),
        ] {
            assert_eq!(Change::read(message).effect, effect, "{message}");
        }
    }

    #[test]
    fn a_message_is_taken_apart() {
        let change = Change::read(
            "feat(api): drop v1\n\nWhy.\n\nBREAKING CHANGE: clients of v1\n  must move\nSigned-off-by: Ada",
        );
        assert_eq!(change.kind.as_deref(), Some("feat"));
        assert_eq!(change.scope.as_deref(), Some("api"));
        assert_eq!(change.summary, "drop v1");
        assert_eq!(change.breaks.as_deref(), Some("clients of v1 must move"));
        let plain = Change::read("Tidy up (at last): really");
        assert_eq!(
            (plain.kind, plain.summary.as_str()),
            (None, "Tidy up (at last): really")
        );
    }

    proptest! {
        #[test]
        fn any_message_can_be_read(message in "(?s).*") {
            Change::read(&message);
        }
    }
}
