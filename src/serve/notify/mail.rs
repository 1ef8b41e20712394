//! Alerts as mails.

use std::time::Duration;

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

/// Sends an alert.
pub(super) async fn send(email: &Email, message: &Message) -> Result<(), Failure> {
    let unreadable = |_| Failure::Never("the message is none of ours".to_owned());
    let notice: Notice = serde_json::from_str(&message.body).map_err(unreadable)?;
    let mut mail = lettre::Message::builder()
        .from(email.from.clone())
        // The same message sent twice is one mail to who reads.
        .message_id(Some(format!("<{}@sealift>", message.message_id)))
        .subject(notice.subject())
        .header(ContentType::TEXT_PLAIN);
    for reader in &email.to {
        mail = mail.to(reader.clone());
    }
    let mail = mail.body(notice.text()).map_err(|_| Failure::Never("the mail cannot be written".into()))?;
    let transport = transport(&email.smtp)?;
    match tokio::time::timeout(LIMIT, transport.send(mail)).await {
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

/// What went wrong; the server's words are not repeated.
fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let Some(code) = error.status() else {
        let why = if error.is_timeout() {
            "does not answer in time"
        } else {
            "cannot be reached, or its TLS not be trusted"
        };
        return Failure::Later(format!("the mail server {why}"));
    };
    let code = code.to_string();
    // 53x is about who we are.
    if error.is_permanent() && !code.starts_with("53") {
        return Failure::Never(format!("the mail server refuses the mail ({code})"));
    }
    Failure::Later(format!("the mail server does not take the mail ({code})"))
}
