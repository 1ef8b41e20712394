//! `sealift health`: asks a daemon whether it is ready, for the health checks of containers and service managers.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::Health;
use super::remote::{showing, trusting};
use super::{Context, Done, show};
use crate::error::{At, Error, Kind, Result};
use crate::spec::{Service, address};

/// A daemon that is well answers at once.
const LIMIT: Duration = Duration::from_secs(5);

const SERVICE: Service = Service {
    what: "URL of the daemon",
    example: "http://127.0.0.1:8470",
    rest: "leave out the path",
    secrets: "leave out user and password; no token is needed",
};

pub(super) async fn run(context: &Context, args: &Health) -> Done {
    let ready = ready(args).await?;
    let (pipelines, invalid) = (ready["pipelines"].as_u64(), ready["invalid_documents"].as_u64());
    if context.json {
        show::json(&json!({"outcome": "done", "pipelines": pipelines, "invalid_documents": invalid}));
    } else {
        println!("ready, with {} pipelines", pipelines.unwrap_or_default());
    }
    if let Some(many @ 1..) = invalid
        && !context.json
    {
        eprintln!("invalid documents: {many} (the log, and GET /v1/problems, tell what is wrong)");
    }
    Ok(())
}

/// What a daemon says that is ready.
async fn ready(args: &Health) -> Result<Value> {
    let url = address(&args.url, &SERVICE).at(|| "SEALIFT_URL".to_owned())?;
    let mut builder = reqwest::Client::builder()
        .use_rustls_tls()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT);
    if url.starts_with("http://") {
        builder = builder.no_proxy();
    }
    if let Some(path) = &args.ca_file {
        builder = trusting(builder, path)?;
    }
    if let Some(path) = &args.client_certificate {
        builder = showing(builder, path)?;
    }
    let http = builder.build().map_err(|_| Error::invalid("TLS to the daemon cannot be set up"))?;
    let unreachable = || {
        Error::new(Kind::Unreachable, format!("no daemon answers at {url}"))
            .help("start it with `sealift serve`, or write its address in SEALIFT_URL")
    };
    let answer = http.get(format!("{url}/readyz")).send().await.map_err(|_| unreachable())?;
    match answer.status().as_u16() {
        200 => answer.json().await.map_err(|_| unreachable()),
        503 => Err(Error::temporary("the daemon is not ready").help("its log tells why")),
        _ => Err(unreachable()),
    }
}
