//! Logs, traces and metrics of a process: set up once in `main`, before anything else.

use crate::config::Common;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of `ROOKERY_LOG` is not one.
    #[error("ROOKERY_LOG is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter of `ROOKERY_OTLP_ENDPOINT` could not be made.
    #[error("ROOKERY_OTLP_ENDPOINT is not valid: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Something was set up before.
    #[error("telemetry was set up twice: {0}")]
    Twice(String),
}

/// Sends what is left of the traces when dropped.
#[must_use = "dropping it ends the export of traces"]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    /// The metrics of this process.
    pub metrics: Metrics,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.take().map(|traces| traces.shutdown()) {
            tracing::debug!(%error, "the last traces could not be sent");
        }
    }
}

/// The metrics of a process, to be rendered at `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes the process's recorder of metrics. Once in a process.
    pub fn install() -> Result<Self, TelemetryError> {
        Self::builder()
            .and_then(PrometheusBuilder::install_recorder)
            .map(Self)
            .map_err(|error| TelemetryError::Twice(error.to_string()))
    }

    /// A recorder of its own that nothing writes to: for tests, where many programs share a process.
    pub fn detached() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    /// Histograms in seconds share one row of bounds, from 100 µs to 10 s; those in bytes or counts another.
    fn builder() -> Result<PrometheusBuilder, BuildError> {
        let seconds = [0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0];
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
            .set_buckets_for_metric(Matcher::Suffix("_size".into()), &sizes)
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Sets up logs, traces and metrics for a program of this name.
pub fn init(service: &'static str, common: &Common) -> Result<Telemetry, TelemetryError> {
    let traces = common.otlp_endpoint.as_ref().map(|endpoint| exporter(service, endpoint)).transpose()?;
    let otel = traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer(service)));
    // Logs go to stderr: stdout is for what a person started the program for.
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = if common.log_json { log.json().flatten_event(true).boxed() } else { log.boxed() };
    tracing_subscriber::registry()
        .with(EnvFilter::try_new(&common.log)?)
        .with(log)
        .with(otel)
        .try_init()
        .map_err(|error| TelemetryError::Twice(error.to_string()))?;
    Ok(Telemetry { traces, metrics: Metrics::install()? })
}

fn exporter(service: &'static str, endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name(service).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
