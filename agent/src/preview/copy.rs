//! A copy of what an app shares, for a preview of it. The app's own user reads it and the preview's writes
//! it, so that whatever links lie there lead neither of them where they may not go.

use longshore_shared::app_file::{InnerPath, Preview};

use crate::command::{self, printable};
use crate::intake::identity;
use crate::layout::{AGENT_LINK, AppLayout};
use crate::operation::{Operation, Trouble, chain};

const STEP: &str = "copy";
/// What goes wrong is said first.
const LINES_KEPT: usize = 30;
const NEXT: &str = "see that [preview] `copy` names what is in the app's shared/, and that there is room; then try again";
/// A disk that a copy fills stops the app and all others on the host: it is asked first, by the sizes
/// that tar would write; what du cannot find, tar names. A file that grew meanwhile is copied all the
/// same: tar says so by 1. Copies that a stop in the middle left in the app's folder go after a day.
/// Databases are copied once more, whole, and what belongs to the files of no one moment is taken away.
const SCRIPT: &str = r#"set -o pipefail
reader=$1 from=$2 writer=$3 to=$4 agent=$5
shift 5
as() { setpriv --reuid="$1" --regid="$2" --clear-groups --no-new-privs "${@:3}"; }
takes=$(cd "$from" && as $reader du --summarize --total --apparent-size --block-size=1M -- "$@" 2>/dev/null)
takes=${takes##*$'\n'} takes=$((${takes%%$'\t'*} + 64))
free=$(df --output=avail --block-size=1M "$to") free=$((${free##*$'\n'}))
[ "$takes" -le "$free" ] || { echo "the disk has $free MiB free, and the copy takes $takes MiB"; exit 1; }
{ as $reader tar --directory="$from" --warning=no-file-changed --create --file=- -- "$@"; [ $? -le 1 ]; } |
    as $writer tar --directory="$to" --extract --file=- --no-same-owner || exit
as $reader find "$from" -maxdepth 1 -name '.longshore-copy.*' -mmin +1440 -exec rm -rf -- {} +
whole=$(as $reader mktemp --directory "$from/.longshore-copy.XXXXXX") || exit
trap 'as $reader rm -rf "$whole"' EXIT
as $reader "$agent" snapshot -- "$from" "$whole" "$@" || exit
as $reader find "$whole" -type f -printf '%P\0' | as $writer xargs --null --no-run-if-empty \
    sh -c 'cd "$0" && for file; do rm -f -- "$file-wal" "$file-shm" "$file-journal"; done' "$to" || exit
as $reader tar --directory="$whole" --create --file=- . |
    as $writer tar --directory="$to" --extract --file=- --no-same-owner --no-overwrite-dir
"#;

pub(super) fn copy(
    layout: &AppLayout,
    hooks: &Preview,
    operation: &Operation,
) -> Result<(), Trouble> {
    let Some(base) = layout.base() else {
        return Ok(());
    };
    let unit = layout.step_unit();
    let mut words: Vec<String> = ["--quiet", "--wait", "--pipe", "--collect"]
        .map(str::to_owned)
        .to_vec();
    let longest = hooks.timeout.duration().as_millis();
    words.push(format!("--unit={unit}"));
    words.push(format!("--property=RuntimeMaxSec={longest}ms"));
    words.extend(
        layout
            .slice()
            .map(|slice| format!("--property=Slice={slice}")),
    );
    // systemd would expand variables in the words it is given; the shell is to see them.
    words.extend(["--", "/bin/bash", "-c"].map(str::to_owned));
    words.extend([SCRIPT.replace('$', "$$"), STEP.to_owned()]);
    for place in [&base, layout] {
        words.push(ids(place)?);
        words.push(place.shared().display().to_string());
    }
    words.push(AGENT_LINK.to_owned());
    let paths = hooks.copy.iter().map(InnerPath::as_str);
    words.extend(paths.map(|path| path.replace('$', "$$")));
    operation.step(STEP, || {
        let mut said = Vec::new();
        operation.set_unit(Some(unit));
        let done = command::follow("systemd-run", &words, |line| {
            if said.len() < LINES_KEPT {
                said.push(printable(line));
            }
        });
        operation.set_unit(None);
        match done {
            Ok(true) => Ok(()),
            Ok(false) if operation.is_cancelled() => Err(Trouble::cancelled()),
            Ok(false) => Err(Trouble::failed(
                format!(
                    "what {} shares cannot be copied: {}",
                    base.app,
                    said.first().map_or("it took too long", String::as_str)
                ),
                NEXT,
            )
            .with_log(said)),
            Err(error) => Err(Trouble::failed(chain(&error), NEXT)),
        }
    })
}

/// Two words for the shell.
fn ids(layout: &AppLayout) -> Result<String, Trouble> {
    let (uid, gid) = identity(layout).ok_or_else(|| {
        Trouble::failed(
            format!("{} has no user here", layout.app),
            "deploy the app first",
        )
    })?;
    Ok(format!("{uid} {gid}"))
}
