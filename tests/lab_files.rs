//! Lab files: the shipped ones are valid by the reader and by the schema, and a bad one is told where and why.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use terrarium::lab::check::Kind;
use terrarium::lab::{Lab, schema};

const LAB: &str = "schema: 1
world: {nodes: 3}
steps:
  - id: one
    points: 10
    setup: [calm, kill leader]
    predict:
      - {id: who, options: nodes, answer: {node: leader}}
    checks:
      - one_leader: {}
      - predicted: who
    mistakes:
      - {when: {clock: frozen}, say: frozen}
    solve:
      - answer: {who: leader}
      - wait: {one_leader: {}, within: 20s}
";

const TEXTS: &str = "title: t
steps:
  one:
    title: t
    goal: g
    hints: [a, b, c]
    debrief: d
    says: {frozen: it is frozen}
    predict: {who: {ask: who?, because: b}}
";

/// Writes a lab and reads it.
fn read(lab: &str, texts: &str) -> Result<Lab, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    fs::create_dir(&path).unwrap();
    for (name, text) in [("lab.yaml", lab), ("en.yaml", texts), ("zh-CN.yaml", texts)] {
        fs::write(path.join(name), text).unwrap();
    }
    let parent = format!("{}/mine/", folder.path().canonicalize().unwrap().display());
    Lab::from_folder(&path.canonicalize().unwrap()).map_err(|bad| bad.to_string().replace(&parent, ""))
}

/// Each mistake in a lab gives one line: file, line, column, what is wrong, what was expected.
#[test]
fn a_bad_lab_says_where_and_what() {
    assert!(read(LAB, TEXTS).is_ok());
    for (good, bad, says) in [
        ("points: 10", "point: 10", "lab.yaml:5:5: steps[0]: unknown field `point`, expected one of"),
        ("one_leader: {}\n", "one_lead: {}\n", "unknown variant `one_lead`, expected one of `one_leader`"),
        (
            "kill leader",
            "explode leader",
            "lab.yaml:6:19: steps[0].setup[1]: `explode leader` is not a command: there is no `explode`",
        ),
        ("kill leader", "kill", "`kill` is not a command: usage: kill WHO"),
        ("20s", "20 seconds", "`20 seconds` is not a time, expected one like 500ms, 20s or 2m"),
        ("clock: frozen", "clock: stopped", "unknown variant `stopped`, expected `frozen` or `running`"),
        (
            "predicted: who",
            "predicted: whom",
            "lab.yaml:11:20: there is no question `whom` in this step, expected one of: who",
        ),
        ("say: frozen", "say: cold", "lab.yaml:13:38: no language says `cold`"),
        ("schema: 1", "schema: 2", "lab.yaml:1:1: schema 2 is not known, expected 1"),
        ("{node: leader}}", "{nodes: leader}}", "unknown variant `nodes`, expected one of `node`"),
        ("checks:", "checks: [", "lab.yaml:"),
        ("setup: [calm, kill leader]", "setup: [{sleep: 3}]", "unknown variant `sleep`, expected one of `wait`"),
        ("within: 20s", "until: 20s", "`until` is too much, expected one kind of check"),
    ] {
        assert!(LAB.contains(good), "{good}");
        let said = read(&LAB.replacen(good, bad, 1), TEXTS).unwrap_err();
        assert!(said.contains(says), "{bad}\n said: {said}\n not:  {says}");
        assert!(said.starts_with("lab.yaml:") && !said.contains('\n'), "{said}");
    }
}

/// The same for its texts.
#[test]
fn bad_texts_say_where_and_what() {
    for (good, bad, says) in [
        ("  one:", "  eins:", "zh-CN.yaml:3:3: there is no step `eins`, expected one of: one"),
        ("[a, b, c]", "[a, b]", "step `one` has no three hints, but 2"),
        ("goal: g", "gaol: g", "zh-CN.yaml:5:5: steps.one: unknown field `gaol`"),
        ("{who: {", "{whom: {", "step `one` has no question `whom`"),
        ("    debrief: d\n", "", "has no text `debrief`"),
    ] {
        let said = read(LAB, &TEXTS.replacen(good, bad, 1)).unwrap_err();
        assert!(said.contains(says), "{bad}\n said: {said}\n not:  {says}");
    }
}

/// From the command line: exit code 4 and the one line for a bad lab, 0 for the built-in ones.
#[test]
fn lint_tells_by_its_exit_code() {
    let lint = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_terrarium")).args(["lab", "lint"]).args(args).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    assert_eq!(lint(&[]), (Some(0), String::new()));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lab.yaml"), "schema: [").unwrap();
    let (code, said) = lint(&[folder.path().to_str().unwrap()]);
    assert_eq!((code, said.lines().count()), (Some(4), 1), "{said}");
    assert!(said.contains("lab.yaml:"), "{said}");
}

/// Every shipped lab is valid by the schema, so an editor draws no red lines where the reader sees none.
#[test]
fn the_shipped_labs_fit_the_schema() {
    let schema: Value = serde_json::from_str(schema::TEXT).unwrap();
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("labs");
    let mut seen = 0;
    for entry in fs::read_dir(labs).unwrap().map(|entry| entry.unwrap().path().join("lab.yaml")) {
        let Ok(text) = fs::read_to_string(&entry) else { continue };
        let lab: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(refusal(&schema, &schema, &lab, "lab"), None, "{}", entry.display());
        seen += 1;
    }
    assert!(seen >= 2, "{seen} labs were looked at");
}

/// The schema knows the check kinds that the reader knows, and refuses what the reader refuses for its form.
#[test]
fn the_schema_is_as_strict_as_the_reader() {
    let schema: Value = serde_json::from_str(schema::TEXT).unwrap();
    let named: Vec<&str> = schema["$defs"]["check"]["anyOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|form| form["required"][0].as_str().unwrap())
        .collect();
    let (mut reader, mut editor) = (Kind::NAMES.to_vec(), named);
    reader.sort_unstable();
    editor.sort_unstable();
    assert_eq!(reader, editor);
    let valid = |text: &str| refusal(&schema, &schema, &serde_yaml::from_str(text).unwrap(), "lab").is_none();
    assert!(valid(LAB));
    for (good, bad) in [
        ("points: 10", "point: 10"),
        ("one_leader: {}\n", "one_lead: {}\n"),
        ("20s", "20 seconds"),
        ("clock: frozen", "clock: stopped"),
        ("schema: 1", "schema: 2"),
        ("{node: leader}}", "{nodes: leader}}"),
        ("setup: [calm, kill leader]", "setup: [{sleep: 3}]"),
        ("within: 20s", "until: 20s"),
    ] {
        let lab = LAB.replacen(good, bad, 1);
        assert!(!valid(&lab) && read(&lab, TEXTS).is_err(), "{bad}");
    }
}

/// Why `value` does not fit `form`, for the part of JSON Schema that ours uses.
fn refusal(root: &Value, form: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = form["$ref"].as_str() {
        return refusal(root, root.pointer(&name[1..]).unwrap(), value, at);
    }
    if let Some(forms) = form["anyOf"].as_array() {
        let all = forms.iter().map(|form| refusal(root, form, value, at));
        return all.collect::<Option<Vec<_>>>().map(|all| format!("{at}: {value} fits none: {}", all.concat().len()));
    }
    let wrong = |why: &str| Some(format!("{at}: {value} {why}"));
    let fits = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema uses a type that this test does not know: {other}"),
    };
    if form["type"].as_str().is_some_and(|kind| !fits(kind)) {
        return wrong("is of another type");
    }
    if form.get("const").is_some_and(|only| only != value) {
        return wrong("is another value");
    }
    if form["enum"].as_array().is_some_and(|some| !some.contains(value)) {
        return wrong("is none of the values");
    }
    if let (Some(pattern), Some(text)) = (form["pattern"].as_str(), value.as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        return wrong("does not fit the pattern");
    }
    if let Some(items) = value.as_array() {
        let each = items.iter().enumerate();
        return each.map(|(i, item)| (i, item, &form["items"])).find_map(|(i, item, form)| {
            (!form.is_null()).then(|| refusal(root, form, item, &format!("{at}[{i}]"))).flatten()
        });
    }
    let fields = value.as_object()?;
    let required = form["required"].as_array().cloned().unwrap_or_default();
    if let Some(missing) = required.iter().find(|name| !fields.contains_key(name.as_str().unwrap())) {
        return wrong(&format!("lacks {missing}"));
    }
    fields.iter().find_map(|(name, field)| {
        let known = form["properties"].get(name).or_else(|| form.get("additionalProperties"));
        match known {
            Some(Value::Bool(false)) => Some(format!("{at}: `{name}` is not known")),
            Some(form) if form.is_object() => refusal(root, form, field, &format!("{at}.{name}")),
            _ => None,
        }
    })
}
