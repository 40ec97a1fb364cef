//! What each kind of vector does with its inputs.

use serde_json::{Value, json};
use waypost_naming::{Dtab, NameTree, ParseError, Path, Pattern, Prefix, Segment, Template};

use crate::names::Names;
use crate::{Inputs, Outcome, identify};

/// The outcome of a vector; `Err` where the vector itself makes no sense.
pub(crate) fn run(kind: &str, inputs: &Inputs<'_>) -> Result<Outcome, String> {
    match kind {
        "path" => path(inputs),
        "path_show" => path_show(inputs),
        "path_op" => path_op(inputs),
        "tree" => tree(inputs),
        "dentry_prefix" => dentry_prefix(inputs),
        "dtab" => dtab(inputs),
        "dtab_lookup" => dtab_lookup(inputs),
        "delegate" => delegate(inputs),
        "identify" => identify::identify(inputs),
        "match" => matches(inputs),
        "substitute" => substitute(inputs),
        other => Err(format!("unknown kind `{other}`")),
    }
}

fn path(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let text = inputs.text("in")?;
    Ok(Path::parse(text).map_err(|error| at(text, &error)).map(|path| {
        let segments: Vec<_> = path.segments().iter().map(|segment| hex(segment.as_bytes())).collect();
        json!({ "segments": segments, "show": path.to_string() })
    }))
}

fn path_show(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let segments = inputs.list("segments")?.iter().map(|hex| segment(hex.as_str().unwrap_or_default()));
    let path: Path = segments.collect::<Result<_, _>>()?;
    Ok(Ok(json!(path.to_string())))
}

fn path_op(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let path = path_of(inputs, "path")?;
    Ok(Ok(match inputs.text("op")? {
        "take" => json!(path.take(inputs.count("arg")?).to_string()),
        "drop" => json!(path.drop(inputs.count("arg")?).to_string()),
        "concat" => json!(path.concat(&path_of(inputs, "arg")?).to_string()),
        "starts_with" => json!(path.starts_with(&path_of(inputs, "arg")?)),
        other => return Err(format!("unknown op `{other}`")),
    }))
}

fn tree(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let text = inputs.text("in")?;
    Ok(NameTree::parse(text).map_err(|error| at(text, &error)).map(|tree| {
        let mut outcome = json!({ "show": tree.to_string(), "ast": ast(&tree) });
        if inputs.expects("simplified") {
            outcome["simplified"] = json!(tree.simplified().to_string());
        }
        outcome
    }))
}

fn dentry_prefix(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let text = inputs.text("in")?;
    let path = inputs.optional_text("path")?.map(|_| path_of(inputs, "path")).transpose()?;
    Ok(Prefix::parse(text).map_err(|error| at(text, &error)).map(|prefix| {
        let mut outcome = json!({ "show": prefix.to_string() });
        if let Some(path) = path {
            outcome["matches"] = json!(prefix.matches(&path));
        }
        outcome
    }))
}

fn dtab(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let text = inputs.text("in")?;
    Ok(Dtab::parse(text).map_err(|error| at(text, &error)).map(|dtab| {
        let dentries = dtab.dentries().iter().map(|dentry| [dentry.prefix.to_string(), dentry.tree.to_string()]);
        json!({ "show": dtab.to_string(), "dentries": dentries.collect::<Vec<_>>() })
    }))
}

fn dtab_lookup(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let found = dtab_of(inputs, "dtab")?.lookup(&path_of(inputs, "path")?);
    Ok(Ok(json!(found.into_tree().to_string())))
}

fn delegate(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let mut dtab = dtab_of(inputs, "dtab")?;
    if inputs.optional_text("local")?.is_some() {
        dtab = dtab.append(&dtab_of(inputs, "local")?);
    }
    let names = Names::read(inputs.map("names")?)?;
    Ok(names.bind(&dtab, &path_of(inputs, "path")?))
}

fn matches(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let path = path_of(inputs, "path")?;
    // What is refused when it is loaded matches nothing.
    let captures = Pattern::parse(inputs.text("pattern")?).ok().and_then(|pattern| pattern.matches(&path));
    Ok(Ok(match captures {
        Some(captures) => {
            let vars: serde_json::Map<_, _> =
                captures.iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
            json!({ "vars": vars })
        }
        None => json!({ "match": false }),
    }))
}

fn substitute(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let path = path_of(inputs, "path")?;
    let Ok(pattern) = Pattern::parse(inputs.text("pattern")?) else { return Ok(Ok(json!({ "match": false }))) };
    let Ok(template) = Template::parse(inputs.text("template")?, &pattern) else {
        return Ok(Err(json!({ "kind": "unknown_capture" })));
    };
    let Some(captures) = pattern.matches(&path) else { return Ok(Ok(json!({ "match": false }))) };
    let text = template.fill(&captures);
    Ok(match inputs.text("as")? {
        "string" => Ok(json!(text)),
        "path" => Path::parse(&text).map(|path| json!(path.to_string())).map_err(|error| at(&text, &error)),
        other => return Err(format!("unknown `as`: `{other}`")),
    })
}

fn path_of(inputs: &Inputs<'_>, name: &str) -> Result<Path, String> {
    Path::parse(inputs.text(name)?).map_err(|error| format!("`{name}`: {error}"))
}

fn dtab_of(inputs: &Inputs<'_>, name: &str) -> Result<Dtab, String> {
    Dtab::parse(inputs.text(name)?).map_err(|error| format!("`{name}`: {error}"))
}

/// Places in vectors count characters.
fn at(text: &str, error: &ParseError) -> Value {
    json!({ "at": text[..error.span.start].chars().count(), "message": error.to_string() })
}

fn ast(tree: &NameTree<Path>) -> Value {
    match tree {
        NameTree::Leaf(path) => json!({ "leaf": path.to_string() }),
        NameTree::Alt(trees) => json!({ "alt": trees.iter().map(ast).collect::<Vec<_>>() }),
        NameTree::Union(members) => {
            let members: Vec<_> = members.iter().map(|member| json!([member.weight, ast(&member.tree)])).collect();
            json!({ "union": members })
        }
        NameTree::Neg => json!("~"),
        NameTree::Fail => json!("!"),
        NameTree::Empty => json!("$"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn segment(hex: &str) -> Result<Segment, String> {
    let byte = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16);
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Segment::new(bytes).map_err(|error| error.to_string())
}
