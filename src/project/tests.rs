use super::*;
use std::os::unix::fs::PermissionsExt;

fn hub() -> ModelRef {
    ModelRef::Hub { id: "HuggingFaceTB/SmolLM2-135M-Instruct".into(), revision: None }
}

/// A project whose `togi.toml` is `text`.
fn open(text: &str) -> Result<Project, ProjectError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), text).unwrap();
    Project::open(dir.path())
}

fn refusal(text: &str) -> String {
    open(text).unwrap_err().to_string()
}

#[test]
fn a_new_project_is_found_from_within() {
    let dir = tempfile::tempdir().unwrap();
    let desk = dir.path().join("机 \"one\"");
    let made = Project::init(&desk, &hub()).unwrap();
    let deep = made.prompts_dir().join("deep");
    fs::create_dir(&deep).unwrap();
    let found = Project::find(&deep).unwrap();
    assert_eq!(found.name(), "机 \"one\"");
    assert_eq!(found.model(), Some(&hub()));
    assert_eq!(found.runs_dir(), made.root().join("runs"));
    assert_eq!(found.prompt(), &PromptSettings::default());
    assert!(found.train().is_empty());
    let message = Project::find(dir.path()).unwrap_err().to_string();
    assert!(message.contains("togi init"), "{message}");
}

#[test]
fn an_existing_project_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    Project::init(dir.path(), &hub()).unwrap();
    let before = fs::read_to_string(dir.path().join(FILE)).unwrap();
    let other = ModelRef::Hub { id: "other/model".into(), revision: None };
    assert!(matches!(Project::init(dir.path(), &other), Err(ProjectError::Exists(_))));
    assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), before);
}

#[test]
fn a_model_within_the_project_is_named_relative_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("desk/m.gguf"), dir.path().join("m.gguf"));
    fs::create_dir(dir.path().join("desk")).unwrap();
    fs::write(&inside, "").unwrap();
    fs::write(&outside, "").unwrap();
    let project = Project::init(&dir.path().join("desk"), &ModelRef::Path(inside)).unwrap();
    assert!(fs::read_to_string(project.settings_path()).unwrap().contains("path = \"m.gguf\""));
    // It is still found when the whole folder has moved.
    let moved = dir.path().join("moved");
    fs::rename(dir.path().join("desk"), &moved).unwrap();
    let Some(ModelRef::Path(path)) = Project::open(&moved).unwrap().model().cloned() else { panic!() };
    assert!(path.is_file());
    let project = Project::init(&dir.path().join("other"), &ModelRef::Path(outside.clone())).unwrap();
    assert_eq!(project.model(), Some(&ModelRef::Path(fs::canonicalize(outside).unwrap())));
    let third = dir.path().join("third");
    let message = Project::init(&third, &ModelRef::parse("no/such/m.gguf")).unwrap_err().to_string();
    assert!(message.contains("no/such/m.gguf") && !third.exists(), "{message}");
}

#[test]
fn what_looks_like_a_path_is_one() {
    assert_eq!(ModelRef::parse("org/model"), ModelRef::Hub { id: "org/model".into(), revision: None });
    for path in ["./model", "/models/m", "model.gguf", "a/b/c", "a/m.GGUF", "model"] {
        assert_eq!(ModelRef::parse(path), ModelRef::Path(path.into()), "{path}");
    }
}

#[test]
fn unknown_keys_are_refused_with_line_and_nearest_key() {
    let message = refusal("[model]\nhub = \"a/b\"\n\n[prompt]\nsistem = \"x\"\n");
    for part in ["togi.toml", "line 5", "sistem", "system"] {
        assert!(message.contains(part), "{message}");
    }
    let message = refusal("[project]\nname = \"x\"\n[promt]\n");
    assert!(message.contains("line 3") && message.contains("prompt"), "{message}");
    let message = refusal("name = \"x\"\n");
    assert!(message.contains("line 1") && message.contains("name"), "{message}");
    let message = refusal("[model]\nhub = 3\n");
    assert!(message.contains("line 2") && message.contains("hub") && message.contains("string"), "{message}");
    let message = refusal("[model]\nhub = \"a/b\"\npath = \"m.gguf\"\n");
    assert!(message.contains("line 2") && message.contains("path"), "{message}");
    let message = refusal("[model\n");
    assert!(message.contains("togi.toml") && message.contains("line 1"), "{message}");
    assert!(refusal("model = 3\n").contains("table"));
}

#[test]
fn the_trainers_table_is_free() {
    let project = open("[train]\nrank = 8\nnew_thing = { a = [1, 2] }\n").unwrap();
    assert_eq!(project.train()["rank"].as_integer(), Some(8));
    assert!(project.train()["new_thing"]["a"].is_array());
}

#[test]
fn a_newer_project_is_refused_plainly() {
    let message = refusal("[project]\nversion = 2\n[hologram]\nkey = 1\n");
    assert!(message.contains("newer togi") && message.contains("update"), "{message}");
}

#[test]
fn setting_a_key_keeps_comments_and_refuses_unknown_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut project = Project::init(dir.path(), &hub()).unwrap();
    let path = project.settings_path();
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("rate = 1e-4 # chosen on dev\n");
    fs::write(&path, &text).unwrap();
    project.pin("abc123").unwrap();
    project.set("train", "rate", 2e-4).unwrap();
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.contains("rate = 0.0002 # chosen on dev\n"), "{after}");
    for line in text.lines().filter(|line| line.starts_with('#')) {
        assert!(after.contains(line), "{line} is missing from {after}");
    }
    assert_eq!(
        project.model(),
        Some(&ModelRef::Hub { id: "HuggingFaceTB/SmolLM2-135M-Instruct".into(), revision: Some("abc123".into()) })
    );
    assert!(project.set("prompt", "sistem", "x").is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), after, "a refused change leaves the file alone");
}

#[test]
fn a_shared_folder_makes_a_shared_project() {
    let dir = tempfile::tempdir().unwrap();
    let desk = dir.path().join("desk");
    fs::create_dir(&desk).unwrap();
    fs::set_permissions(&desk, fs::Permissions::from_mode(0o2775)).unwrap();
    let project = Project::init(&desk, &hub()).unwrap();
    for path in [project.settings_path(), project.runs_dir(), project.prompts_dir()] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o060, 0o060, "{} has mode {mode:o}", path.display());
    }
}
