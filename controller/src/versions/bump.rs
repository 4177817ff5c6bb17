//! Makes a release: the changelog's section, its commit, the tag, the push. What fails before the
//! push is taken back.

use fs_err as fs;

use super::plan::{BumpError, Plan, StepError, Target};

impl Plan {
    /// Does what the plan says.
    pub fn carry_out(&self) -> Result<(), BumpError> {
        if let Err(source) = self.write().and_then(|()| self.commit()) {
            return Err(self.take_back("commit the changelog", None, source));
        }
        let made = match self.repository.resolve("HEAD") {
            Ok(commit) => commit.hash,
            Err(source) => return Err(self.take_back("find the new commit", None, source.into())),
        };
        if let Err(source) = self.make_tag(&made) {
            return Err(self.take_back("make the tag", Some(&made), source));
        }
        match &self.target {
            Some(target) => self.push(target),
            None => Ok(()),
        }
    }

    fn write(&self) -> Result<(), StepError> {
        Ok(fs::write(&self.file, &self.after)?)
    }

    fn commit(&self) -> Result<(), StepError> {
        let (name, message) = (self.file_name(), self.message());
        self.repository.run(["add", "--", &name])?;
        let words = [
            "commit",
            "--quiet",
            "--message",
            &message,
            "--only",
            "--",
            &name,
        ];
        self.repository.run(words)?;
        Ok(())
    }

    /// Annotated; signed where git is told to (`tag.gpgSign`).
    fn make_tag(&self, commit: &str) -> Result<(), StepError> {
        let text = format!("{}\n\n{}", self.message(), self.section.body);
        self.repository.run([
            "tag",
            "--annotate",
            // Lines that begin with `#` are text here.
            "--cleanup=whitespace",
            "--message",
            &text,
            &self.tag(),
            commit,
        ])?;
        Ok(())
    }

    fn push(&self, target: &Target) -> Result<(), BumpError> {
        let Target { remote, branch } = target;
        let tag = self.tag();
        let branches = format!("refs/heads/{}:refs/heads/{branch}", self.branch);
        let tags = format!("refs/tags/{tag}");
        self.repository
            .run([
                "push", "--quiet", "--atomic", "--", remote, &branches, &tags,
            ])
            .map_err(|source| BumpError::Push {
                commands: Box::new([
                    format!("git push --atomic {remote} {}:{branch} {tag}", self.branch),
                    format!("git tag --delete {tag} && git reset --keep {}", self.head),
                ]),
                tag,
                remote: remote.clone(),
                source,
            })?;
        Ok(())
    }

    fn message(&self) -> String {
        format!("Release {}", self.version)
    }

    /// Puts everything back to where it was, or says where it stands.
    fn take_back(&self, step: &'static str, made: Option<&str>, source: StepError) -> BumpError {
        match self.undo(made) {
            Ok(()) => BumpError::Undone { step, source },
            Err(undo) => {
                let state = match made {
                    Some(commit) => format!(
                        "{} has the commit {} \"{}\" without a tag",
                        self.branch,
                        commit.chars().take(12).collect::<String>(),
                        self.message()
                    ),
                    None => format!("{} may be changed and is not committed", self.file_name()),
                };
                let state = format!("{undo}; {state}");
                BumpError::Stuck {
                    step,
                    state,
                    source,
                }
            }
        }
    }

    fn undo(&self, made: Option<&str>) -> Result<(), StepError> {
        if let Some(made) = made {
            let name = format!("refs/heads/{}", self.branch);
            // Only if the branch is still where this left it.
            self.repository.run([
                "update-ref",
                "-m",
                "bump: taken back",
                &name,
                &self.head,
                made,
            ])?;
        }
        match &self.before {
            Some(text) => fs::write(&self.file, text)?,
            None => match fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            },
        }
        self.repository
            .run(["reset", "--quiet", "--", &self.file_name()])?;
        Ok(())
    }
}
