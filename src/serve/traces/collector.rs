//! The way to the collector: as strict as that to other receivers, which a library's own client is not.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Client;

use crate::error::Result;
use crate::serve::notify;

/// Sends spans, and goes nowhere else with them.
#[derive(Debug)]
pub(super) struct Collector(Client);

impl Collector {
    /// For one endpoint; a request takes `limit` at most.
    ///
    /// # Errors
    /// `Failed` when TLS cannot be set up.
    pub(super) fn at(endpoint: &str, limit: Duration) -> Result<Self> {
        notify::client(!endpoint.starts_with("http:"), limit).map(Self)
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// The body of an answer is not read.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let asked = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = asked.send().await?.status();
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let elsewhere = format!("{endpoint}/elsewhere");
        let answering = async {
            let (mut client, _) = listener.accept().await.unwrap();
            let _ = client.read(&mut [0; 4096]).await.unwrap();
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            client.write_all(answer.as_bytes()).await.unwrap();
        };
        let collector = Collector::at(&endpoint, Duration::from_secs(5)).unwrap();
        let request = Request::post(format!("{endpoint}/v1/traces")).body(Bytes::from_static(b"x")).unwrap();
        let (answer, ()) = tokio::join!(collector.send_bytes(request), answering);
        assert_eq!(answer.unwrap().status().as_u16(), 307);
    }
}
