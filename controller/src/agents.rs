//! The agents that this program can install on hosts: one static binary for each processor, found
//! beside the program or in the person's own folder.

use std::env;
use std::path::{Path, PathBuf};

/// The agent for one processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentBinary {
    /// As `uname -m` says it.
    pub(crate) machine: String,
    pub(crate) path: PathBuf,
}

const BINARY: &str = "longshore-agent";

/// Every agent that is at hand; of two for one processor the first folder's.
pub(crate) fn at_hand() -> Vec<AgentBinary> {
    let program = env::current_exe().and_then(|path| path.canonicalize()).ok();
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
    in_folders(&folders(
        program.as_deref(),
        data.filter(|data| data.is_absolute()).or(home).as_deref(),
    ))
}

/// Where to look: as the tarball of `cargo lab dist` has it, beside the program, then at home.
fn folders(program: Option<&Path>, data: Option<&Path>) -> Vec<PathBuf> {
    let beside = program.and_then(Path::parent);
    let installed = beside.and_then(Path::parent);
    let mut folders = Vec::new();
    folders.extend(installed.map(|root| root.join("share/longshore/agents")));
    folders.extend(beside.map(|bin| bin.join("agents")));
    folders.extend(data.map(|data| data.join("longshore/agents")));
    folders
}

fn in_folders(folders: &[PathBuf]) -> Vec<AgentBinary> {
    let mut found: Vec<AgentBinary> = Vec::new();
    for folder in folders {
        // A folder that is not there, or not ours to read, holds no agent.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path().join(BINARY);
            let Ok(machine) = entry.file_name().into_string() else {
                continue;
            };
            if path.is_file() && !found.iter().any(|agent| agent.machine == machine) {
                found.push(AgentBinary { machine, path });
            }
        }
    }
    found.sort_by(|a, b| a.machine.cmp(&b.machine));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_wins_for_each_processor() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("bin/longshore");
        let data = root.path().join("data");
        let put = |folder: &Path, machine: &str| {
            let folder = folder.join(machine);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(BINARY), machine).unwrap();
            folder.join(BINARY)
        };
        let shared = root.path().join("share/longshore/agents");
        let first = put(&shared, "x86_64");
        put(&data.join("longshore/agents"), "x86_64");
        let second = put(&data.join("longshore/agents"), "aarch64");
        std::fs::create_dir_all(shared.join("riscv64")).unwrap();
        let found = in_folders(&folders(Some(&program), Some(&data)));
        let agent = |machine: &str, path: PathBuf| AgentBinary {
            machine: machine.to_owned(),
            path,
        };
        assert_eq!(found, [agent("aarch64", second), agent("x86_64", first)]);
        assert_eq!(in_folders(&folders(None, None)), []);
    }
}
