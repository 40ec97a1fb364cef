//! What holds for any path, tree, dtab and pattern.

#[cfg(test)]
#[path = "properties/delegation.rs"]
mod delegation;
#[cfg(test)]
#[path = "properties/patterns.rs"]
mod patterns;
#[cfg(test)]
#[path = "properties/texts.rs"]
mod texts;
