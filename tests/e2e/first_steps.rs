//! From a repository that has never heard of Longshore to an app that serves.

use longshore_lab::load::Load;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::ended;
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "first_steps::what_init_writes_is_built_and_served_as_it_stands",
    tell: init_to_served,
}];

fn init_to_served() -> Told {
    let lease = lease(1)?;
    let sample = Sample::Cortico;
    let repository = lease.repository(sample)?;
    let app_file = repository.folder().join("longshore.toml");
    fs_err::remove_file(&app_file)?;
    let controller = lease.controller(sample).in_folder(repository.folder());
    let answer = controller.run(&["init"])?;
    ended(&answer, 0);
    let written = fs_err::read_to_string(&app_file)?;
    ended(&controller.run(&["init"])?, 0);
    assert_eq!(
        fs_err::read_to_string(&app_file)?,
        written,
        "it was overwritten"
    );

    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(sample, &release)?, 0);
    let mut load: Load = lease.load(sample);
    load.most_requests = Some(100);
    let outcome = load.run();
    assert_eq!(
        (outcome.failed, outcome.versions.get("1.0.0")),
        (0, Some(&100)),
        "{outcome}"
    );
    Ok(())
}
