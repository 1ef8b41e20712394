//! OpenTelemetry traces: spans of requests, runs, streams and their stages, to a collector by OTLP over HTTP.
//!
//! Spans go through a bounded queue to a thread of their own: a collector that is slow or away costs spans, and
//! nothing else. What they hold is what log lines may hold: names and counts, no value of a row.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use axum::middleware::Next;
use bytes::Bytes;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Link, SpanKind, Status, TraceContextExt as _, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider,
    ShouldSample, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;
use tracing::Instrument as _;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use super::notify;
use crate::error::{Error, Result};
use crate::spec::config;

/// Spans that wait to be sent; further ones are lost.
const QUEUE: usize = 4096;
/// Spans of one request.
const BATCH: usize = 512;
const PAUSE: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(5);
/// How long the last spans may take.
const LAST_WORDS: Duration = Duration::from_secs(3);
const REQUEST_ID: &str = "x-request-id";

/// The traces of this process: nothing is kept until they begin.
#[derive(Clone, Debug, Default)]
pub struct Traces(Arc<OnceLock<BatchSpanProcessor>>);

impl Traces {
    /// What makes spans of `tracing` those of a trace. It is put in place when the process starts, before it is known
    /// whether and where traces go.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_sampler(OnceBegun(self.clone()))
            .with_span_processor(OnceBegun(self.clone()))
            .build();
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("sealift"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
    }

    /// Sends spans from now on. Called within the runtime; once.
    ///
    /// # Errors
    /// `Invalid` when the token cannot be resolved, or the endpoint cannot be used.
    pub fn begin(&self, settings: &config::Traces) -> Result<()> {
        let mut headers = HashMap::new();
        if let Some(token) = &settings.token {
            headers.insert("authorization".to_owned(), format!("Bearer {}", token.resolve()?.expose_str()?));
        }
        let unusable = |_| Error::invalid("`traces` cannot be used").help("check `endpoint` and `token`");
        let is_far = settings.endpoint.starts_with("https:");
        let mut exporter = Otlp::builder()
            .with_http()
            .with_http_client(Collector(notify::client(is_far, LIMIT)?))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", settings.endpoint))
            .with_timeout(LIMIT)
            .with_headers(headers)
            .build()
            .map_err(unusable)?;
        exporter.set_resource(&resource());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(PAUSE)
            .build();
        let exporter = OnRuntime {
            exporter: Arc::new(exporter),
            runtime: Handle::current(),
            is_failing: AtomicBool::new(false),
        };
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        // A second call keeps the first.
        let _ = self.0.set(processor);
        Ok(())
    }

    /// Sends what waits, for a bounded time.
    pub async fn end(&self) {
        let traces = self.clone();
        let flushed = tokio::task::spawn_blocking(move || {
            traces.0.get().is_none_or(|processor| processor.shutdown_with_timeout(LAST_WORDS).is_ok())
        });
        if !matches!(tokio::time::timeout(LAST_WORDS, flushed).await, Ok(Ok(true))) {
            tracing::warn!("the last spans were lost: the collector does not take them");
        }
    }
}

fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name("sealift")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Keeps spans once traces have begun.
#[derive(Clone, Debug)]
struct OnceBegun(Traces);

impl ShouldSample for OnceBegun {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|parent| parent.span().span_context().clone()).filter(|it| it.is_valid());
        // A caller that does not keep its trace has no use for ours.
        let is_wanted = parent.as_ref().is_none_or(|parent| parent.is_sampled());
        let is_kept = is_wanted && self.0.0.get().is_some();
        let decision = if is_kept { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        let trace_state = parent.map_or_else(TraceState::default, |parent| parent.trace_state().clone());
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

impl SpanProcessor for OnceBegun {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(processor) = self.0.0.get() {
            processor.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Posts spans. What the collector says beside the status is not read.
#[derive(Debug)]
struct Collector(reqwest::Client);

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.0.execute(request.try_into()?).await?;
        let mut told = Response::new(Bytes::new());
        *told.status_mut() = answer.status();
        *told.headers_mut() = answer.headers().clone();
        Ok(told)
    }
}

/// Sends from the runtime's threads: the processor's own has none that the HTTP client needs.
#[derive(Debug)]
struct OnRuntime {
    exporter: Arc<Otlp>,
    runtime: Handle,
    /// Whether the last request failed, so that it is told once.
    is_failing: AtomicBool,
}

impl SpanExporter for OnRuntime {
    #[expect(clippy::disallowed_methods, reason = "one request, which is awaited and bounded in time")]
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let sent = self.runtime.spawn(async move { exporter.export(batch).await });
        let gone = |_| Err(OTelSdkError::InternalFailure("the runtime is gone".into()));
        let answer = sent.await.unwrap_or_else(gone);
        if answer.is_err() && !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!("spans are lost: the collector does not take them");
        } else if answer.is_ok() {
            self.is_failing.store(false, Ordering::Relaxed);
        }
        answer
    }
}

/// The span of a request, within the caller's trace (`traceparent`, W3C Trace Context). Each request has an id, the
/// caller's (`x-request-id`) or a drawn one, which log lines hold and the answer tells.
pub(super) async fn traced(request: Request<Body>, next: Next) -> Response<Body> {
    let request_id = request_id(request.headers());
    // A path that is none of ours, and a method, may be of the caller's making.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = if request.method() == Method::POST { "POST" } else { request.method().as_str() }.to_owned();
    let span = tracing::info_span!("request", %request_id, otel.kind = "server");
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // It fails only where nothing is traced.
    let _ = span.set_parent(parent);
    span.set_attribute("http.route", route);
    span.set_attribute("http.request.method", known(&method));
    let mut answer = next.run(request).instrument(span.clone()).await;
    let status = answer.status();
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(status.as_str().to_owned()));
        span.in_scope(|| tracing::warn!(status = status.as_u16(), "answered"));
    } else {
        span.in_scope(|| tracing::debug!(status = status.as_u16(), "answered"));
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    answer
}

/// Tells the span of a run how it ended.
pub(super) fn concluded(result: &Result<()>) {
    let span = tracing::Span::current();
    match result {
        Ok(()) => span.set_status(Status::Ok),
        Err(error) => span.set_status(Status::error(error.kind().meaning().outcome)),
    }
}

/// The parent that the environment names (`TRACEPARENT`), as schedulers tell their jobs.
#[must_use]
pub fn of_environment() -> Context {
    let named: HashMap<String, String> =
        std::env::var("TRACEPARENT").into_iter().map(|parent| ("traceparent".to_owned(), parent)).collect();
    TraceContextPropagator::new().extract(&named)
}

fn known(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "_OTHER",
    }
}

/// The caller's id, if it is one that a log can hold.
fn request_id(headers: &HeaderMap) -> String {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let sent = sent.filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(fits));
    sent.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_id_of_the_callers_is_kept_if_it_is_harmless() {
        let of = |id: &'static str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID.parse().unwrap(), HeaderValue::from_static(id))]);
            request_id(&headers)
        };
        assert_eq!(of("order-2026_11.29"), "order-2026_11.29");
        for bad in ["", "two words", "a\"b", "x".repeat(65).leak()] {
            assert!(Uuid::parse_str(&of(bad)).is_ok(), "{bad}");
        }
    }
    #[tokio::test]
    async fn spans_do_not_go_where_a_collector_points_to() {
        let bound = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (collector, elsewhere) = (bound().await, bound().await);
        let [url, location] =
            [&collector, &elsewhere].map(|it| format!("http://{}/v1/traces", it.local_addr().unwrap()));
        let answer = async {
            let (mut stream, _) = collector.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"spans") {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
            }
            let head = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\nlocation:";
            stream.write_all(format!("{head} {location}\r\n\r\n").as_bytes()).await.unwrap();
        };
        let client = Collector(notify::client(false, LIMIT).unwrap());
        let request = Request::post(url).body(Bytes::from_static(b"spans")).unwrap();
        let (told, ()) = tokio::join!(client.send_bytes(request), answer);
        assert_eq!(told.unwrap().status(), 307);
    }
}
