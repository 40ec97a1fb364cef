//! What is counted, and how it is shown to Prometheus.
//!
//! Each worker counts in plain cells of its own ([`WorkerMetrics`]): no lock and no atomic on a request's way. When
//! somebody asks, each worker hands out a [`MetricsReport`], plain data that crosses threads; the reports are merged and
//! rendered on the control runtime. Which label values exist is decided once for the process by the [`LabelTable`], so
//! that the bound on their number holds for all workers together.
//!
//! Counters live as long as the worker and the process do: reloading the configuration resets nothing.

mod histogram;
mod labels;
mod metrics;
mod process;
pub mod prometheus;
mod registry;
mod report;

pub use histogram::{Histogram, HistogramCounts};
pub use labels::{Kind, Label, LabelTable};
pub use metrics::{
    CacheCounts, CacheMetrics, Class, ClientCounts, ClientMetrics, ConnectionGuard, Counts, RouterCounts,
    RouterMetrics, ServerCounts, ServerMetrics, ServiceCounts, ServiceMetrics, TLS_OUTCOMES, Termination, Wire,
};
pub use registry::WorkerMetrics;
pub use report::{
    ClientReport, ControlMetrics, EndpointReport, Family, MetricsReport, Refusal, Refused, Reloads, RequestReport,
    Series, SeriesKey,
};
