//! `identify` vectors: requests and the identifiers that name them.

use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, Version};
use serde_json::{Map, Value, json};
use waypost_naming::{Identifier, Identifiers, Path, PathBuffer, Unidentified};

use crate::{Inputs, Outcome};

pub(crate) fn identify(inputs: &Inputs<'_>) -> Result<Outcome, String> {
    let list = inputs.list("identifiers")?.iter().map(identifier).collect::<Result<_, _>>()?;
    let identifiers = Identifiers { dst_prefix: path(inputs.text("dst_prefix")?)?, list };
    let request = request(inputs.map("request")?)?;

    let mut into = PathBuffer::new();
    Ok(match identifiers.identify(&request, &mut into) {
        Ok(identified) => {
            let mut outcome = json!({ "path": into.to_path().to_string() });
            if let Some(uri) = identified.uri {
                // linkerd has made the absolute form a path before it identifies.
                outcome["uri"] = json!(uri.path_and_query().map(ToString::to_string));
            }
            Ok(outcome)
        }
        Err(Unidentified::NoneApplies { .. }) => Ok(json!({ "unidentified": true })),
        Err(Unidentified::BadPath { message, .. }) => Err(json!({ "kind": "bad_path", "message": message })),
    })
}

/// Kinds in linkerd's spelling or ours, with the keys of either.
fn identifier(config: &Value) -> Result<Identifier, String> {
    let config = config.as_object().ok_or("an identifier is an object")?;
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
    let segments = config.get("segments").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    let header = |default: HeaderName| match text("header") {
        None => Ok(default),
        Some(":authority") => Ok(HOST),
        Some(name) => name.parse::<HeaderName>().map_err(|error| error.to_string()),
    };
    let kind = text("kind").ok_or("an identifier has a `kind`")?;
    Ok(match kind.trim_start_matches("io.l5d.") {
        "header.token" => Identifier::HeaderToken { header: header(HOST)? },
        "header" => Identifier::Header { header: header(HeaderName::from_static("l5d-name"))? },
        "header.path" => Identifier::HeaderPath { segments },
        "methodAndHost" | "method_and_host" => {
            Identifier::MethodAndHost { uri_in_dst: flag("httpUriInDst") || flag("uri_in_dst") }
        }
        "path" => Identifier::Path { segments: segments.unwrap_or(1), consume: flag("consume") },
        "static" => Identifier::Static { path: path(text("path").ok_or("`static` has a `path`")?)? },
        other => return Err(format!("unknown identifier `{other}`")),
    })
}

fn request(request: &Map<String, Value>) -> Result<http::request::Parts, String> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).ok_or_else(|| format!("request has no `{name}`"));
    let version = match text("version")? {
        "1.0" => Version::HTTP_10,
        "1.1" => Version::HTTP_11,
        "2" | "2.0" => Version::HTTP_2,
        other => return Err(format!("unknown version `{other}`")),
    };
    let mut builder = Request::builder().method(text("method")?).uri(text("uri")?).version(version);
    for header in request.get("headers").and_then(Value::as_array).ok_or("request has no `headers`")? {
        let part = |index: usize| header.get(index).and_then(Value::as_str).ok_or("a header is a name and a value");
        let value = HeaderValue::from_bytes(part(1)?.as_bytes()).map_err(|error| error.to_string())?;
        builder = builder.header(part(0)?, value);
    }
    Ok(builder.body(()).map_err(|error| error.to_string())?.into_parts().0)
}

fn path(text: &str) -> Result<Path, String> {
    Path::parse(text).map_err(|error| format!("`{text}`: {error}"))
}
