//! Alerts as mails.

use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Tls;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::alert::Notice;
use super::place::Failure;
use crate::error::{Error, Result};
use crate::run::ledger::outbox::Message;
use crate::spec::config::{Email, Smtp, SmtpTls};

const LIMIT: Duration = Duration::from_secs(10);

/// Whether the password is there.
///
/// # Errors
/// `Invalid` when it cannot be resolved.
pub(super) fn check(email: &Email) -> Result<()> {
    email.smtp.login.as_ref().map(|(_, password)| password.resolve()).transpose().map(drop)
}

/// Sends an alert to one of its readers. What a server refuses of one is no matter of the others.
pub(super) async fn send(email: &Email, reader: &Mailbox, message: &Message) -> Result<(), Failure> {
    let unreadable = |_| Failure::Never("the message is none of ours".to_owned());
    let notice: Notice = serde_json::from_str(&message.body).map_err(unreadable)?;
    let mut mail = lettre::Message::builder()
        .from(email.from.clone())
        // The same message sent twice is one mail to who reads.
        .message_id(Some(format!("<{}@sealift>", message.message_id)))
        .subject(notice.subject())
        .header(ContentType::TEXT_PLAIN);
    for each in &email.to {
        mail = mail.to(each.clone());
    }
    let unwritable = || Failure::Never("the mail cannot be written".into());
    let mail = mail.body(notice.text()).map_err(|_| unwritable())?;
    let envelope = Envelope::new(Some(email.from.email.clone()), vec![reader.email.clone()]);
    let envelope = envelope.map_err(|_| unwritable())?;
    let transport = transport(&email.smtp)?;
    match tokio::time::timeout(LIMIT, transport.send_raw(&envelope, &mail.formatted())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(Failure::Later("the mail server does not answer in time".into())),
    }
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
    let broken = |_| Error::invalid("TLS to the mail server cannot be set up");
    let builder = match smtp.tls {
        SmtpTls::Starttls => {
            AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&smtp.host).map_err(broken)?
        }
        SmtpTls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(&smtp.host).map_err(broken)?,
        SmtpTls::Disable => {
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host).tls(Tls::None)
        }
    };
    let mut builder = builder.port(smtp.port).timeout(Some(LIMIT));
    if let Some((user, password)) = &smtp.login {
        let password = password.resolve()?;
        builder = builder.credentials(Credentials::new(user.clone(), password.expose_str()?.to_owned()));
    }
    Ok(builder.build())
}

/// What went wrong; the server's words are not repeated. That a reader is unknown, or that we may not send, is set right by
/// people: the mail waits for them.
fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let why = match error.status() {
        Some(code) => format!("does not take the mail ({code})"),
        None if error.is_timeout() => "does not answer in time".to_owned(),
        None => "cannot be reached, or its TLS not be trusted".to_owned(),
    };
    Failure::Later(format!("the mail server {why}"))
}
