//! Prometheus text format.
