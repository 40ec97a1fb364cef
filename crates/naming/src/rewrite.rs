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
