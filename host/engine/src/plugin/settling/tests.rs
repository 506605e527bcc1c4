use super::super::scan::Stamp;
use super::*;

const SETTLE: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(2);

/// A folder that exists only in the test, and a clock that the test moves.
struct World {
    settling: Settling,
    now: Instant,
    device: u64,
    left_out: usize,
    files: BTreeMap<String, Sighting>,
    /// What reading a plugin gives; its own name if nothing is set.
    contents: BTreeMap<String, Taken>,
}

impl World {
    fn new() -> Self {
        World {
            settling: Settling::new("p".into(), SETTLE, RETRY),
            now: Instant::now(),
            device: 1,
            left_out: 0,
            files: BTreeMap::new(),
            contents: BTreeMap::new(),
        }
    }

    fn component(&mut self, stem: &str, version: u64) {
        self.files.entry(stem.to_owned()).or_insert(Sighting::NOTHING).component = file(version);
    }

    fn manifest(&mut self, stem: &str, version: u64) {
        self.files.entry(stem.to_owned()).or_insert(Sighting::NOTHING).manifest = file(version);
    }

    fn reads(&mut self, stem: &str, taken: Taken) {
        self.contents.insert(stem.to_owned(), taken);
    }

    /// Moves the clock and looks.
    fn after(&mut self, millis: u64) -> Vec<String> {
        self.now += Duration::from_millis(millis);
        let plugins = self.files.clone();
        self.look(Ok(Snapshot {
            device: self.device,
            plugins,
            left_out: self.left_out,
            at: SystemTime::now(),
        }))
    }

    fn gone_after(&mut self, millis: u64) -> Vec<String> {
        self.now += Duration::from_millis(millis);
        self.look(Err(FolderError::Missing { path: "p".into() }))
    }

    fn look(&mut self, look: Result<Snapshot, FolderError>) -> Vec<String> {
        let mut told = Vec::new();
        for step in self.settling.observe(self.now, look) {
            let change = match step {
                Step::Tell(change) => Some(change),
                Step::Read { stem, .. } => {
                    let taken =
                        self.contents.remove(&stem).unwrap_or_else(|| content(stem.as_bytes(), Ok(None)));
                    self.settling.took(self.now, &stem, taken)
                }
            };
            told.extend(change.map(|change| words(&change)));
        }
        if self.settling.first_scan_done(self.now) {
            told.push("scan done".to_owned());
        }
        told
    }
}

fn file(version: u64) -> Look {
    Look::File(Stamp::of_bytes(version))
}

fn content(component: &[u8], manifest: Result<Option<&str>, FolderError>) -> Taken {
    Taken::Content {
        component: component.into(),
        manifest: manifest.map(|text| text.map(|text| text.as_bytes().to_vec())),
    }
}

fn words(change: &FolderChange) -> String {
    match change {
        FolderChange::Settled { file_stem, component, manifest, .. } => {
            let manifest = match manifest {
                Ok(manifest) => manifest.name.clone().unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            format!("settled {file_stem} {} {manifest}", String::from_utf8_lossy(component))
                .trim_end()
                .to_owned()
        }
        FolderChange::Removed { file_stem } => format!("removed {file_stem}"),
        FolderChange::Unreadable { file_stem, .. } => format!("unreadable {file_stem}"),
        FolderChange::FolderMissing { error, .. } => match error {
            FolderError::Unmounted { .. } => "unmounted".to_owned(),
            _ => "folder missing".to_owned(),
        },
        FolderChange::FolderBack { .. } => "folder back".to_owned(),
        FolderChange::Note { path, .. } => format!("note {}", path.display()),
        FolderChange::ScanDone => "scan done".to_owned(),
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn files_are_read_once_they_have_been_the_same_for_a_while_in_order_of_name() {
    let mut world = World::new();
    world.component("b", 1);
    world.component("a", 1);
    assert_eq!(world.after(0), NOTHING);
    assert_eq!(world.settling.next_due(), Some(world.now + SETTLE));
    assert_eq!(world.after(199), NOTHING);
    assert_eq!(world.after(1), ["settled a a", "settled b b", "scan done"]);
    assert_eq!(world.settling.next_due(), None);
    assert_eq!(world.after(10_000), NOTHING);
}

#[test]
fn a_copy_that_goes_on_is_not_read_before_its_end_and_does_not_hold_up_the_start_for_ever() {
    let mut world = World::new();
    world.component("ready", 1);
    let mut told = Vec::new();
    for version in 0..60 {
        world.component("slow", version);
        told.extend(world.after(100));
    }
    assert_eq!(told, ["settled ready ready", "scan done"]);
    assert_eq!(world.after(100), NOTHING);
    assert_eq!(world.after(100), ["settled slow slow"]);
}

#[test]
fn the_same_content_is_told_once() {
    let mut world = World::new();
    world.component("a", 1);
    world.after(0);
    assert_eq!(world.after(200), ["settled a a", "scan done"]);
    for (version, taken, told) in [
        (2, content(b"a", Ok(None)), None),
        (3, content(b"new", Ok(None)), Some("settled a new")),
        (4, content(b"new", Ok(Some(""))), Some("settled a new")),
        (5, content(b"new", Ok(Some(""))), None),
        (6, content(b"new", Ok(Some("name='n'"))), Some("settled a new n")),
    ] {
        world.component("a", version);
        world.reads("a", taken);
        world.after(1);
        assert_eq!(world.after(200), Vec::from_iter(told), "version {version}");
    }
}

#[test]
fn a_change_of_the_manifest_alone_is_a_change() {
    let mut world = World::new();
    world.component("a", 1);
    world.after(0);
    world.after(200);
    world.manifest("a", 1);
    world.reads("a", content(b"a", Ok(Some("name='n'"))));
    assert_eq!(world.after(1), NOTHING);
    assert_eq!(world.after(200), ["settled a a n"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_settles_anew() {
    let mut world = World::new();
    world.component("a", 1);
    world.after(0);
    world.reads("a", Taken::Changed);
    assert_eq!(world.after(200), NOTHING);
    assert_eq!(world.after(199), NOTHING);
    assert_eq!(world.after(1), ["settled a a", "scan done"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_tried_again_and_told_when_it_can_be() {
    let mut world = World::new();
    let denied = || FolderError::Denied { path: "p/a.wasm".into() };
    world.component("a", 1);
    world.after(0);
    world.reads("a", Taken::Failed(denied()));
    assert_eq!(world.after(200), ["unreadable a", "scan done"]);
    world.reads("a", Taken::Failed(denied()));
    assert_eq!(world.after(2_000), NOTHING);
    assert_eq!(world.after(1_999), NOTHING);
    assert_eq!(world.after(1), ["settled a a"]);
    // Told again though it is as before: whoever listens last heard that it cannot be read.
    world.component("a", 2);
    world.reads("a", Taken::Failed(denied()));
    world.after(0);
    assert_eq!(world.after(200), ["unreadable a"]);
    assert_eq!(world.after(2_000), ["settled a a"]);
}

#[test]
fn a_manifest_that_cannot_be_read_is_told_with_the_component_and_tried_again() {
    let mut world = World::new();
    world.component("a", 1);
    world.manifest("a", 1);
    world.after(0);
    world.reads("a", content(b"x", Err(FolderError::Denied { path: "p/a.toml".into() })));
    let told = world.after(200);
    assert!(told[0].starts_with("settled a x p/a.toml may not be read"), "{told:?}");
    world.reads("a", content(b"x", Ok(Some("name='n'"))));
    assert_eq!(world.after(2_000), ["settled a x n"]);
    assert_eq!(world.after(10_000), NOTHING);
}

#[test]
fn absence_settles_too() {
    let mut world = World::new();
    world.component("a", 1);
    world.component("b", 1);
    world.after(0);
    world.after(200);
    // Removed and put back at once, as some editors do it.
    world.files.remove("a");
    assert_eq!(world.after(1), NOTHING);
    world.component("a", 2);
    assert_eq!(world.after(150), NOTHING);
    assert_eq!(world.after(200), NOTHING);
    // Removed.
    world.files.clear();
    assert_eq!(world.after(1), NOTHING);
    assert_eq!(world.after(200), ["removed a", "removed b"]);
    assert!(!world.settling.knows("a"));
    // What comes back is told, changed or not.
    world.component("a", 2);
    world.after(1);
    assert_eq!(world.after(200), ["settled a a"]);
}

#[test]
fn what_never_settled_is_not_told_as_removed() {
    let mut world = World::new();
    world.component("a", 1);
    world.after(0);
    world.files.clear();
    world.after(100);
    assert_eq!(world.after(200), ["scan done"]);
    assert!(!world.settling.knows("a"));
}

#[test]
fn a_manifest_alone_is_noted_once() {
    let mut world = World::new();
    world.manifest("a", 1);
    world.after(0);
    assert_eq!(world.after(200), ["note p/a.toml", "scan done"]);
    world.manifest("a", 2);
    world.after(1);
    assert_eq!(world.after(200), NOTHING);
    world.component("a", 1);
    world.after(1);
    assert_eq!(world.after(200), ["settled a a"]);
    world.files.clear();
    world.manifest("a", 2);
    world.after(1);
    assert_eq!(world.after(200), ["removed a", "note p/a.toml"]);
}

#[test]
fn a_missing_folder_removes_nothing() {
    let mut world = World::new();
    assert_eq!(world.gone_after(0), ["folder missing", "scan done"]);
    assert_eq!(world.gone_after(1_000), NOTHING);
    world.component("a", 1);
    world.component("b", 1);
    assert_eq!(world.after(0), ["folder back"]);
    assert_eq!(world.after(200), ["settled a a", "settled b b"]);
    world.files.remove("b");
    world.after(1);
    assert_eq!(world.gone_after(100), ["folder missing"]);
    assert_eq!(world.settling.next_due(), None);
    assert_eq!(world.gone_after(100_000), NOTHING);
    // What is not there when it is back has settled as absent only some time later.
    assert_eq!(world.after(1), ["folder back"]);
    assert_eq!(world.after(199), NOTHING);
    assert_eq!(world.after(1), ["removed b"]);
}

#[test]
fn an_empty_folder_of_another_file_system_is_a_missing_one() {
    let mut world = World::new();
    world.component("a", 1);
    world.after(0);
    world.after(200);
    let mounted = std::mem::take(&mut world.files);
    world.device = 2;
    assert_eq!(world.after(1), ["unmounted"]);
    assert_eq!(world.after(10_000), NOTHING);
    world.device = 1;
    world.files = mounted;
    assert_eq!(world.after(1), ["folder back"]);
    assert_eq!(world.after(10_000), NOTHING);
    // Moved for good: there are plugins in it.
    world.device = 2;
    world.files.clear();
    world.component("b", 1);
    world.after(1);
    assert_eq!(world.after(200), ["removed a", "settled b b"]);
}

#[test]
fn too_many_plugins_are_noted_once() {
    let mut world = World::new();
    world.left_out = 3;
    assert_eq!(world.after(0), ["note p", "scan done"]);
    world.left_out = 4;
    assert_eq!(world.after(1), NOTHING);
    world.left_out = 0;
    world.after(1);
    world.left_out = 1;
    assert_eq!(world.after(1), ["note p"]);
}

#[test]
fn faults_settle_are_told_once_and_told_again_when_they_differ() {
    let mut world = World::new();
    let fault = |world: &mut World, what| {
        let error = FolderError::NotAFile { path: "p/a.wasm".into(), what };
        let sighting = Sighting { component: Look::Fault(error), manifest: Look::Absent };
        world.files.insert("a".to_owned(), sighting);
    };
    fault(&mut world, "a pipe");
    world.after(0);
    assert_eq!(world.after(200), ["unreadable a", "scan done"]);
    assert_eq!(world.after(10_000), NOTHING);
    fault(&mut world, "a folder");
    world.after(1);
    assert_eq!(world.after(200), ["unreadable a"]);
    world.files.clear();
    world.after(1);
    assert_eq!(world.after(200), ["removed a"]);
}

#[test]
fn what_was_at_rest_before_the_first_look_is_not_waited_for() {
    let old = Stamp::changed_at(SystemTime::now() - 2 * SETTLE);
    let new = Stamp::changed_at(SystemTime::now() - SETTLE / 2);
    let mut world = World::new();
    world.files.insert("old".to_owned(), Sighting { component: Look::File(old), manifest: Look::Absent });
    world.files.insert("new".to_owned(), Sighting { component: Look::File(new), manifest: Look::Absent });
    world.files.insert("half".to_owned(), Sighting { component: Look::File(old), manifest: Look::File(new) });
    assert_eq!(world.after(0), ["settled old old"]);
    // Later it may be a copy that is not done, with the times of its original.
    world.files.insert("late".to_owned(), Sighting { component: Look::File(old), manifest: Look::Absent });
    assert!(world.after(199).is_empty());
    assert_eq!(world.after(1), ["settled half half", "settled new new", "scan done"]);
}
