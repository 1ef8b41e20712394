//! Alerts, lineage and traces.

use std::time::Duration;

use lettre::message::Mailbox;

use super::quantity::duration_within;
use super::store::{Service, address, is_loopback};
use super::{not_empty, optional_reference, reference, within};
use crate::error::{Error, Result};
use crate::secret::Reference;
use crate::spec::config::{
    Address, Alert, Channel, Concern, Email, Lineage, LineageHttp, Observability, Smtp, SmtpTls, Traces,
    Webhook,
};
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::hidden::is_reference;
use crate::spec::raw::config::Config;
use crate::spec::raw::observability as raw;
use crate::spec::raw::placed::Placed;

/// Without `late_after`.
const LATE_AFTER: Duration = Duration::from_secs(60 * 60);
/// Most receivers of alerts.
const MAX_ALERTS: usize = 100;

pub(super) fn observability(raw: &Config, faults: &Faults<'_>) -> Option<Observability> {
    let alerts = match &raw.alerts {
        None => Some(Vec::new()),
        Some(placed) => alerts(placed, faults),
    };
    let lineage = raw.lineage.as_ref().map_or(Some(None), |placed| lineage(placed, faults).map(Some));
    let traces = raw.traces.as_ref().map_or(Some(None), |placed| traces(placed.get()?, faults).map(Some));
    Some(Observability { alerts: alerts?, lineage: lineage?, traces: traces? })
}

fn alerts(placed: &Placed<Vec<Placed<raw::Alert>>>, faults: &Faults<'_>) -> Option<Vec<Alert>> {
    let items = placed.get()?;
    if items.len() > MAX_ALERTS {
        faults.push(
            Fault::new(placed.key, format!("{} alerts are too many", items.len()))
                .help(format!("write at most {MAX_ALERTS}; one may name many pipelines")),
        );
        return None;
    }
    // All of them are read before any missing one counts.
    let read: Vec<_> = items.iter().map(|item| alert(item, faults)).collect();
    read.into_iter().collect()
}

fn alert(placed: &Placed<raw::Alert>, faults: &Faults<'_>) -> Option<Alert> {
    let raw = placed.get()?;
    let on = match &raw.on {
        None => Some(Concern::ALL.to_vec()),
        Some(on) => concerns(on, faults),
    };
    let pipelines = match &raw.pipelines {
        None => Some(vec!["*".to_owned()]),
        Some(globs) => list(globs, "no pipeline is named, so nothing is told", faults, glob),
    };
    let late_after =
        faults.take_optional(raw.late_after.as_ref(), |text| duration_within("1m", "30days", &text.0));
    let webhook = raw.webhook.as_ref().map(|placed| webhook(placed.get()?, faults));
    let email = raw.email.as_ref().map(|placed| email(placed.get()?, faults));
    let channel = match (webhook, email) {
        (Some(webhook), None) => webhook.map(Channel::Webhook),
        (None, Some(email)) => email.map(Channel::Email),
        (Some(_), Some(_)) => {
            faults.push(
                Fault::new(placed.span, "an alert is told in one way, and this one names two")
                    .help("write one item with `webhook` and another one with `email`"),
            );
            None
        }
        (None, None) => {
            faults.push(
                Fault::new(placed.span, "this alert does not say how it is told")
                    .help("add `webhook: {url: …}` or `email: {smtp: …, from: …, to: […]}`"),
            );
            None
        }
    };
    Some(Alert {
        on: on?,
        pipelines: pipelines?,
        late_after: late_after?.unwrap_or(LATE_AFTER),
        channel: channel?,
    })
}

fn concerns(placed: &Placed<Vec<Placed<raw::Concern>>>, faults: &Faults<'_>) -> Option<Vec<Concern>> {
    let mut on = Vec::new();
    for word in placed.get()? {
        let concern = match word.get()? {
            raw::Concern::Failed => Concern::Failed,
            raw::Concern::Held => Concern::Held,
            raw::Concern::Quality => Concern::Quality,
            raw::Concern::Late => Concern::Late,
        };
        if !on.contains(&concern) {
            on.push(concern);
        }
    }
    if on.is_empty() {
        faults.push(
            Fault::new(placed.key, "`on` is empty, so nothing is told")
                .help("leave it out for everything, or write `on: [failed, held, quality, late]`"),
        );
        return None;
    }
    Some(on)
}

/// A list that names something.
fn list<T>(
    placed: &Placed<Vec<Placed<String>>>,
    empty: &str,
    faults: &Faults<'_>,
    read: impl Fn(&str) -> Result<T>,
) -> Option<Vec<T>> {
    let items = placed.get()?;
    if items.is_empty() {
        faults.push(Fault::new(placed.key, empty).help("name one, or leave the key out"));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| faults.parse(item, &read)).collect();
    read.into_iter().collect()
}

/// A glob over names of pipelines.
fn glob(text: &str) -> Result<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-*".contains(&b);
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("{} is not a pipeline's name or a glob over names", quoted(text)))
        .help("use a name, with `*` for any characters, such as crm*"))
}

fn webhook(raw: &raw::Webhook, faults: &Faults<'_>) -> Option<Webhook> {
    let folder = faults.text.folder();
    let url = url(&raw.url, faults);
    let token = optional_reference(raw.token.as_ref(), folder, faults);
    let secret = optional_reference(raw.secret.as_ref(), folder, faults);
    Some(Webhook { url: url?, token: token?, secret: secret? })
}

/// A URL, or a reference to one.
fn url(placed: &Placed<String>, faults: &Faults<'_>) -> Option<Address> {
    if placed.get().is_some_and(|text| is_reference(text)) {
        let folder = faults.text.folder();
        return faults.parse(placed, |text| Reference::parse(text, folder)).map(Address::Secret);
    }
    faults.parse(placed, Address::read).map(Address::Written)
}

fn email(raw: &raw::Email, faults: &Faults<'_>) -> Option<Email> {
    let smtp = raw.smtp.get().map(|raw| smtp(raw, faults));
    let from = faults.parse(&raw.from, mailbox);
    let to = list(&raw.to, "nobody is named, so nobody is told", faults, mailbox);
    Some(Email { smtp: smtp??, from: from?, to: to? })
}

fn mailbox(text: &str) -> Result<Mailbox> {
    text.parse().map_err(|_| {
        Error::invalid(format!("{} is not a mail address", quoted(text)))
            .help("write name@example.com, or Name <name@example.com>")
    })
}

fn smtp(raw: &raw::Smtp, faults: &Faults<'_>) -> Option<Smtp> {
    let host = faults.parse(&raw.host, not_empty);
    let port = faults.take_optional(raw.port.as_ref(), within(1, 65_535));
    let tls = match &raw.tls {
        None => Some(SmtpTls::Starttls),
        Some(placed) => placed.get().map(|tls| match tls {
            raw::SmtpTls::Starttls => SmtpTls::Starttls,
            raw::SmtpTls::Implicit => SmtpTls::Implicit,
            raw::SmtpTls::Disable => SmtpTls::Disable,
        }),
    };
    let user = faults.parse_optional(raw.user.as_ref(), not_empty);
    let folder = faults.text.folder();
    let password =
        raw.password.as_ref().map_or(Some(None), |placed| reference(placed, folder, faults).map(Some));
    let (host, tls) = (host?, tls?);
    if tls == SmtpTls::Disable && !is_loopback(&host) {
        let span = raw.tls.as_ref().map_or(raw.host.span, |placed| placed.span);
        faults.push(
            Fault::new(span, format!("`tls: disable` sends mail in the clear to {}", quoted(&host)))
                .help("use `starttls` or `implicit`; `disable` is for this machine only (localhost)"),
        );
        return None;
    }
    let login = match (user?, password?) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => {
            faults.push(
                Fault::new(raw.host.key, "`user` and `password` belong together")
                    .help("give both, or neither where the server takes mail without"),
            );
            return None;
        }
    };
    let port = port?.and_then(|port| u16::try_from(port).ok()).unwrap_or(tls.port());
    Some(Smtp { host, port, tls, login })
}

fn lineage(placed: &Placed<raw::Lineage>, faults: &Faults<'_>) -> Option<Lineage> {
    let raw = placed.get()?;
    let namespace = faults.parse_optional(raw.namespace.as_ref(), not_empty);
    let http = raw.http.as_ref().map_or(Some(None), |placed| {
        let raw = placed.get()?;
        let url = url(&raw.url, faults);
        let token = optional_reference(raw.token.as_ref(), faults.text.folder(), faults);
        Some(Some(LineageHttp { url: url?, token: token? }))
    });
    let file = raw.file.as_ref().map_or(Some(None), |placed| {
        let path = faults.parse(&placed.get()?.path, not_empty)?;
        Some(Some(faults.text.resolve(&path)))
    });
    let (namespace, http, file) = (namespace?, http?, file?);
    if http.is_none() && file.is_none() {
        faults.push(
            Fault::new(placed.key, "`lineage` does not say where events go")
                .help("add `http: {url: …}` or `file: {path: …}`"),
        );
        return None;
    }
    Some(Lineage { namespace: namespace.unwrap_or_else(|| "sealift".to_owned()), http, file })
}

fn traces(raw: &raw::Traces, faults: &Faults<'_>) -> Option<Traces> {
    let raw::Traces::Otlp(raw) = raw;
    let service = Service {
        what: "endpoint",
        example: "http://127.0.0.1:4318",
        rest: "leave the path out: spans are posted to /v1/traces",
        secrets: "write `token: env:…` beside it",
    };
    let endpoint = faults.parse(&raw.endpoint, |text| address(text, &service));
    let token = optional_reference(raw.token.as_ref(), faults.text.folder(), faults);
    Some(Traces { endpoint: endpoint?, token: token? })
}
