//! The naming vectors: what linkerd 1.x and finagle make of texts, paths and requests.
//!
//! They stand in `tests/data/naming.json`; `WAYPOST_VECTORS` names another file of the same form to run instead.

#[cfg(test)]
#[path = "vectors/identify.rs"]
mod identify;
#[cfg(test)]
#[path = "vectors/kinds.rs"]
mod kinds;
#[cfg(test)]
#[path = "vectors/names.rs"]
mod names;

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    version: u64,
    vectors: Vec<Vector>,
}

/// One promise: what comes of these inputs.
#[derive(Deserialize)]
struct Vector {
    id: String,
    kind: String,
    why: String,
    expect: Option<Value>,
    error: Option<Value>,
    #[serde(flatten)]
    inputs: serde_json::Map<String, Value>,
}

/// What came of the inputs; `Err` is the vector's `error` object.
type Outcome = Result<Value, Value>;

#[test]
fn every_vector_holds() {
    let file = std::env::var_os("WAYPOST_VECTORS").map_or_else(own_file, PathBuf::from);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));

    let mut ids = HashSet::new();
    let failures: Vec<_> = file
        .vectors
        .iter()
        .filter_map(|vector| {
            let problem = if ids.insert(&vector.id) { vector.check().err() } else { Some("id comes twice".to_owned()) };
            problem.map(|problem| format!("{} ({}): {problem}", vector.id, vector.why))
        })
        .collect();

    assert_eq!(file.version, 1, "schema version");
    assert!(!ids.is_empty(), "no vectors");
    assert!(failures.is_empty(), "{} of {} vectors fail:\n{}", failures.len(), ids.len(), failures.join("\n"));
}

fn own_file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", "naming.json"].iter().collect()
}

impl Vector {
    fn check(&self) -> Result<(), String> {
        let outcome = kinds::run(&self.kind, &Inputs { values: &self.inputs, expect: self.expect.as_ref() })?;
        match (&self.expect, &self.error, outcome) {
            (Some(expected), None, Ok(got)) if same(expected, &got) => Ok(()),
            (Some(expected), None, Ok(got)) => Err(format!("expected {expected}, got {got}")),
            (Some(expected), None, Err(error)) => Err(format!("expected {expected}, got the error {error}")),
            (None, Some(expected), Err(error)) => match contains(&error, expected) {
                true => Ok(()),
                false => Err(format!("expected the error {expected}, got {error}")),
            },
            (None, Some(expected), Ok(got)) => Err(format!("expected the error {expected}, got {got}")),
            (Some(_), Some(_), _) | (None, None, _) => Err("has to have either `expect` or `error`".to_owned()),
        }
    }
}

/// The inputs of a vector, and access to them that says what is amiss.
struct Inputs<'v> {
    values: &'v serde_json::Map<String, Value>,
    /// For members of `expect` that are optional.
    expect: Option<&'v Value>,
}

impl<'v> Inputs<'v> {
    fn value(&self, name: &str) -> Result<&'v Value, String> {
        self.values.get(name).ok_or_else(|| format!("no `{name}`"))
    }

    fn text(&self, name: &str) -> Result<&'v str, String> {
        self.value(name)?.as_str().ok_or_else(|| format!("`{name}` is no text"))
    }

    fn optional_text(&self, name: &str) -> Result<Option<&'v str>, String> {
        self.values.contains_key(name).then(|| self.text(name)).transpose()
    }

    fn count(&self, name: &str) -> Result<usize, String> {
        let count = self.value(name)?.as_u64().and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| format!("`{name}` is no count"))
    }

    fn list(&self, name: &str) -> Result<&'v [Value], String> {
        self.value(name)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("`{name}` is no list"))
    }

    fn map(&self, name: &str) -> Result<&'v serde_json::Map<String, Value>, String> {
        self.value(name)?.as_object().ok_or_else(|| format!("`{name}` is no object"))
    }

    fn expects(&self, member: &str) -> bool {
        self.expect.is_some_and(|expect| expect.get(member).is_some())
    }
}

/// Equal, where 1 and 1.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// Has `error` all that is `wanted` of it? What the vector leaves out is free.
fn contains(error: &Value, wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_object() else { return false };
    wanted.iter().all(|(name, wanted)| error.get(name).is_some_and(|got| same(got, wanted)))
}
