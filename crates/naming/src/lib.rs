//! Naming: what a request is called, and what its name leads to.
//!
//! An [`Identifier`] gives a request a logical [`Path`]; a [`Dtab`] and a [`Namer`] lead that path to bound names
//! ([`bind`] for requests, [`delegate()`] for people). Pure: no I/O, no async, no clock. What resolves names to
//! addresses stands behind the trait.
//!
//! Read [`path`] and [`name_tree`] first, then [`dtab`] and [`mod@delegate`].

pub mod builtin;
pub mod compiled;
pub mod delegate;
pub mod diagnostic;
pub mod dtab;
pub mod identify;
pub mod name_tree;
pub mod parse;
pub mod path;
pub mod pattern;
pub mod rewrite;
pub mod span;
mod work;

pub use builtin::{BadPort, Builtin, builtin};
pub use compiled::{CompiledDtab, Layered, Table};
pub use delegate::{
    Answer, Bound, DelegateError, DelegateNode, DelegateTree, MAX_DEPTH, MAX_LOOKUPS, MAX_NESTED, Namer, NamerError,
    Resolved, Target, TreePath, Winner, Winners, bind, delegate,
};
pub use diagnostic::{Finding, Severity, Source};
pub use dtab::{Dentry, Dtab, Element, Lookup, Matches, Prefix};
pub use identify::{Identified, Identifier, Identifiers, Missing, Unidentified};
pub use name_tree::{NameTree, Weighted};
pub use parse::{Found, ParseError, ParseErrorKind};
pub use path::{EmptySegment, Path, PathBuffer, Segment};
pub use pattern::{Captures, Pattern, PatternError, Template, TemplateError};
pub use rewrite::Rewrite;
pub use span::{Lines, Place, Span, line_col};
