//! The process, from /proc.
