//! The `rewrite` namer: a pattern over the path, and the path that its captures make.

use crate::delegate::NamerError;
use crate::name_tree::NameTree;
use crate::path::Path;
use crate::pattern::{Pattern, Template};

/// Sends what `pattern` matches to `name`, through the dtab again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewrite {
    /// Over the path behind the namer's prefix.
    pub pattern: Pattern,
    /// The path to go on with, in its shown form.
    pub name: Template,
}

impl Rewrite {
    /// What `rest` leads to; segments beyond the pattern are dropped, as linkerd does. `~` where nothing matches.
    ///
    /// # Errors
    /// When the filled-in name is no path, as with an empty capture.
    pub fn lookup(&self, rest: &Path) -> Result<NameTree<Path>, NamerError> {
        let Some(captures) = self.pattern.matches(rest) else { return Ok(NameTree::Neg) };
        let name = self.name.fill(&captures);
        Path::parse(&name).map(NameTree::Leaf).map_err(|error| NamerError(format!("`{name}` is no path: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(pattern: &str, name: &str, path: &str) -> Result<String, NamerError> {
        let pattern = Pattern::parse(pattern).unwrap();
        let name = Template::parse(name, &pattern).unwrap();
        Rewrite { pattern, name }.lookup(&Path::parse(path).unwrap()).map(|tree| tree.to_string())
    }

    #[test]
    fn what_is_beyond_the_pattern_is_dropped() {
        for (pattern, name, path, expected) in [
            ("/{p}/{n}/{s}", "/k8s/{n}/{p}/{s}", "/http/ns/web/rest", "/k8s/ns/http/web"),
            ("/{s}", "/x/{s}", "/", "~"),
            ("/{s}", "/x/{s}", r"/a\x20b", r"/x/\x61\x20\x62"),
        ] {
            assert_eq!(rewritten(pattern, name, path), Ok(expected.to_owned()), "{path}");
        }
    }

    #[test]
    fn a_name_that_is_no_path_is_an_error() {
        let error = rewritten("/{a}-{b}", "/{a}/{b}", "/x-").unwrap_err();

        assert_eq!(error.to_string(), "`/x/` is no path: a path has no trailing `/`");
    }
}
