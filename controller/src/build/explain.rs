//! What a person is told when there is no release: the exit code's kind, and what to do next.

use super::{
    BuildError, CacheError, ExportError, GitError, KeyError, PackError, PublishError, ResolveError,
    StepError, WhyLfs,
};
use crate::error::{CommandError, ErrorKind};
use crate::release::OpenError;
use crate::signing::WhyFormat;
use crate::terminal_text::one_line;
use crate::versions::VersionError;

const SHOWN_PATHS: usize = 10;
const KEY_HINT: &str = "Name a key with --key FILE or LONGSHORE_SIGNING_KEY, or set git's user.signingkey with gpg.format = ssh, or add one key to ssh-agent. Make one with: ssh-keygen -t ed25519";

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        let (kind, hints) = match &error {
            BuildError::AppFile(_) => {
                return match error {
                    BuildError::AppFile(error) => error.into(),
                    other => Self::failed(other.to_string()),
                };
            }
            BuildError::Git(git) => of_git(git),
            BuildError::Export(export) => of_export(export),
            BuildError::Key(key) => of_key(key),
            BuildError::Step(step) => of_step(step),
            BuildError::Cache(CacheError::Read(_)) => (ErrorKind::Failed, nothing()),
            BuildError::Cache(_) => (
                ErrorKind::Configuration,
                one("A cache is what steps make, and its key is made of the commit's own files."),
            ),
            BuildError::Selection(_) => (
                ErrorKind::Configuration,
                one(
                    "Correct or remove it. A pattern begins at the release's root; \"**/\" in front of it means any folder.",
                ),
            ),
            BuildError::Publish(publish) => of_publish(publish),
            BuildError::Pack(PackError::Read(_) | PackError::Write(_)) => {
                (ErrorKind::Failed, nothing())
            }
            BuildError::Pack(_) => (
                ErrorKind::Refused,
                one(
                    "Have [build] run in longshore.toml remove it, or keep it out of the commit with export-ignore in .gitattributes.",
                ),
            ),
            BuildError::Dirty { paths } => (ErrorKind::Refused, of_dirty(paths)),
            BuildError::DirtyElsewhere { .. } => (
                ErrorKind::Usage,
                one("Leave out --allow-dirty to build that commit, or leave out --ref."),
            ),
            BuildError::NoAppFile { uncommitted, .. } => (
                ErrorKind::Configuration,
                one(if *uncommitted {
                    "There is one in the working tree: commit it first."
                } else {
                    "Have one written, with what it is about: longshore init"
                }),
            ),
            BuildError::Version(version) => of_version(version),
            BuildError::AppFileRules(_) => (ErrorKind::Configuration, nothing()),
            BuildError::Manifest(_) => (ErrorKind::Refused, nothing()),
            BuildError::Encode(_) => (ErrorKind::Failed, nothing()),
        };
        with_causes(Self::new(kind, one_line(&error.to_string())), &error).hints(hints)
    }
}

impl From<ResolveError> for CommandError {
    fn from(error: ResolveError) -> Self {
        let (kind, hints) = match error {
            ResolveError::Build(build) => return build.into(),
            ResolveError::Git(ref git) => of_git(git),
            ResolveError::NoBranch => (
                ErrorKind::Usage,
                one("Name a commit with --ref, or give the environment's app a `branch`."),
            ),
            ResolveError::Fetch { .. } => (
                ErrorKind::Failed,
                one("To deploy a commit that is here already, name it with --ref."),
            ),
            ResolveError::NoVersion { .. } => (
                ErrorKind::Usage,
                one("Build it first: longshore build --version X.Y.Z"),
            ),
            ResolveError::OtherApp { .. } => (
                ErrorKind::Usage,
                one("Name the app with --app, or another release."),
            ),
            ResolveError::Open(ref open) => of_open(open),
        };
        with_causes(Self::new(kind, one_line(&error.to_string())), &error).hints(hints)
    }
}

impl From<KeyError> for CommandError {
    fn from(error: KeyError) -> Self {
        let (kind, hints) = of_key(&error);
        with_causes(Self::new(kind, one_line(&error.to_string())), &error).hints(hints)
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        let (kind, hints) = of_open(&error);
        with_causes(Self::new(kind, one_line(&error.to_string())), &error).hints(hints)
    }
}

/// Moves the causes of `error` over, as texts: the message itself is said already.
pub(crate) fn with_causes(command: CommandError, error: &dyn std::error::Error) -> CommandError {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push(one_line(&cause.to_string()).into_owned());
        next = cause.source();
    }
    if words.is_empty() {
        command
    } else {
        command.caused_by(words.join(": "))
    }
}

fn nothing() -> Vec<String> {
    Vec::new()
}

fn one(hint: &str) -> Vec<String> {
    vec![hint.to_owned()]
}

fn of_git(error: &GitError) -> (ErrorKind, Vec<String>) {
    match error {
        GitError::Start(_) => (ErrorKind::Failed, one("Install git.")),
        GitError::NoRepository { .. } => (
            ErrorKind::Configuration,
            one("Go to the app's repository, or name a built release with --release FILE."),
        ),
        GitError::UnknownRef { .. } => (
            ErrorKind::Usage,
            one("List them with: git branch --all; git tag"),
        ),
        GitError::NoCommit => (ErrorKind::Configuration, one("Commit something first.")),
        GitError::Failed { .. } | GitError::Answer { .. } => (ErrorKind::Failed, nothing()),
    }
}

fn of_version(error: &VersionError) -> (ErrorKind, Vec<String>) {
    match error {
        VersionError::Git(git) => of_git(git),
        other => other.advice(),
    }
}

impl From<GitError> for CommandError {
    fn from(error: GitError) -> Self {
        BuildError::from(error).into()
    }
}

impl From<VersionError> for CommandError {
    fn from(error: VersionError) -> Self {
        BuildError::from(error).into()
    }
}

fn of_open(error: &OpenError) -> (ErrorKind, Vec<String>) {
    match error {
        OpenError::Name(_) => (
            ErrorKind::Usage,
            one("A release is three files: APP-VERSION.tar.gz, .json and .json.sig, side by side."),
        ),
        OpenError::Missing { .. } => (
            ErrorKind::Usage,
            one("Releases lie in dist/ of the app's repository. Build one: longshore build"),
        ),
        OpenError::Part(_) => (
            ErrorKind::Refused,
            one("The .tar.gz, the .json and the .json.sig of a release belong side by side."),
        ),
        OpenError::Read { .. } => (
            ErrorKind::Configuration,
            one("See that it is a file that you may read."),
        ),
        OpenError::Manifest { .. }
        | OpenError::Signature { .. }
        | OpenError::Mismatch { .. }
        | OpenError::Tarball { .. }
        | OpenError::Tar { .. }
        | OpenError::OtherTree { .. } => (
            ErrorKind::Refused,
            one("Nothing was connected. Fetch the release again, or build it: longshore build"),
        ),
    }
}

fn of_export(error: &ExportError) -> (ErrorKind, Vec<String>) {
    match error {
        ExportError::Git(git) => of_git(git),
        ExportError::Write(_) => (ErrorKind::Failed, nothing()),
        ExportError::Archive(_) => (
            ErrorKind::Refused,
            one("Keep it out of the release with export-ignore in .gitattributes."),
        ),
        ExportError::Submodule { path, commit } => (
            ErrorKind::Refused,
            vec![format!(
                "Fetch it: git submodule update --init --recursive. If another commit is checked out here: git -C {} fetch origin {commit}",
                one_line(path)
            )],
        ),
        ExportError::LfsPointer { why, .. } => {
            let hint = match why {
                WhyLfs::Malformed => {
                    "Commit the file itself, or keep it out with export-ignore in .gitattributes."
                }
                WhyLfs::NotHere => {
                    "Fetch it: git lfs pull. For a commit that is not checked out: git lfs fetch origin COMMIT"
                }
                WhyLfs::Damaged(_) => "Remove that file, and fetch it again: git lfs pull",
            };
            (ErrorKind::Refused, one(hint))
        }
    }
}

fn of_key(error: &KeyError) -> (ErrorKind, Vec<String>) {
    let hint = match error {
        KeyError::Git(git) => return of_git(git),
        KeyError::None | KeyError::Read { .. } => KEY_HINT,
        KeyError::Several { .. } => {
            "Name one of them: write its public half into a file, and name that with --key FILE or LONGSHORE_SIGNING_KEY."
        }
        KeyError::Variable => {
            "Give it a path, or the key itself, from its -----BEGIN line to its -----END line, with its line breaks."
        }
        KeyError::Format {
            why: WhyFormat::OneLine,
            ..
        } => {
            "Store it with its line breaks, in a variable of type file or as a secret of several lines."
        }
        KeyError::Format {
            why: WhyFormat::Pem,
            ..
        } => {
            "Make one with: ssh-keygen -t ed25519; or, unless it is RSA, write a copy of this one anew: ssh-keygen -p -f COPY"
        }
        KeyError::Format { .. } | KeyError::Kind { .. } => {
            "Make one with: ssh-keygen -t ed25519, and have its public half added to allowed_signers."
        }
        KeyError::NobodyToAsk { .. } | KeyError::Passphrase { .. } => {
            "Add the key to ssh-agent with ssh-add, and name its .pub file."
        }
        KeyError::NotInAgent { .. } => "Add it with ssh-add, or name the private key's file.",
        KeyError::Agent(_) | KeyError::AgentSilent => {
            "See that ssh-agent runs (ssh-add -l lists its keys) and that it may sign (a confirmation, a touch); or name a key's file with --key."
        }
        KeyError::Runtime(_)
        | KeyError::Sign(_)
        | KeyError::Encode(_)
        | KeyError::Own(_)
        | KeyError::OwnMismatch => return (ErrorKind::Failed, nothing()),
    };
    (ErrorKind::Configuration, one(hint))
}

fn of_step(error: &StepError) -> (ErrorKind, Vec<String>) {
    let hints = match error {
        StepError::Failed { output, .. } => last_lines(output),
        StepError::TimedOut { output, .. } => {
            let mut hints = last_lines(output);
            hints.push(
                "If it needs longer, give [build] in longshore.toml a longer `timeout`.".to_owned(),
            );
            hints
        }
        StepError::Start { .. } | StepError::Wait { .. } => nothing(),
    };
    (ErrorKind::Failed, hints)
}

fn last_lines(output: &[String]) -> Vec<String> {
    if output.is_empty() {
        return nothing();
    }
    let mut hints = one("The last lines that it printed:");
    hints.extend(output.iter().map(|line| format!("  {}", one_line(line))));
    hints
}

fn of_publish(error: &PublishError) -> (ErrorKind, Vec<String>) {
    match error {
        PublishError::Exists { .. } => (
            ErrorKind::Refused,
            one(
                "A version is one set of bytes for good. Take a new version, or remove the old files from dist/ if nobody has them. If the commit is the same, a build step gives other bytes each time.",
            ),
        ),
        PublishError::Write { .. } | PublishError::Read { .. } => (ErrorKind::Failed, nothing()),
    }
}

fn of_dirty(paths: &[String]) -> Vec<String> {
    let mut hints = not_committed(paths);
    hints.push("Commit, stash or ignore them. With --allow-dirty the tracked files are built as they are, and the manifest says so.".to_owned());
    hints
}

/// The first paths that differ from the commit.
pub(crate) fn not_committed(paths: &[String]) -> Vec<String> {
    let mut hints = one("Not committed:");
    let shown = paths.iter().take(SHOWN_PATHS);
    hints.extend(shown.map(|path| format!("  {}", one_line(path))));
    if paths.len() > SHOWN_PATHS {
        hints.push(format!("  and {} more", paths.len() - SHOWN_PATHS));
    }
    hints
}
