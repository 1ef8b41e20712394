//! Logging in: the server's greeting, TLS, the proof of who we are.

use std::collections::HashMap;

use mysql_common::constants::CapabilityFlags as Flags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use tokio::io::AsyncWriteExt;

use super::error::{Broken, Endpoint, Said};
use super::packet::{Inbox, packed};
use super::transport::{Tls, Transport};
use super::wire::{EOF, ERROR, OK, Wire};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::source::tls;

/// Longest packet we take, as told to the server.
const MOST_PACKET_BYTES: u32 = 1 << 30;
/// `utf8mb4_general_ci`; `SET NAMES` follows.
const COLLATION: u8 = 45;
/// Bytes of a challenge of `client_ed25519` (MariaDB, plugin/auth_ed25519).
const ED25519_NONCE_BYTES: usize = 32;
/// Most messages of one login.
const MOST_ROUNDS: usize = 8;
/// What the server and we may say about a password: more of it follows.
const MORE: u8 = 0x01;
const SHA2_PROVEN: u8 = 0x03;
const SHA2_SEND_PASSWORD: u8 = 0x04;
const SHA2_ASK_KEY: u8 = 0x02;

/// Which server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The session's number at the server.
    pub(super) id: u32,
    /// MariaDB, and not MySQL.
    pub(super) is_mariadb: bool,
    pub(super) version: (u16, u16, u16),
}

/// A login under way.
struct Login<'a> {
    transport: Transport,
    inbox: Inbox,
    endpoint: &'a Endpoint,
    password: Option<&'a Secret>,
}

/// Says who we are over a fresh connection.
///
/// # Errors
/// `Temporary` when the connection breaks; `Invalid` when the server does not let us in, or its
/// certificate is not to be trusted.
pub(super) async fn login(
    transport: Transport,
    endpoint: &Endpoint,
    password: Option<&Secret>,
    tls: Option<&Tls>,
) -> Result<(Wire, Greeting)> {
    let mut login = Login { transport, inbox: Inbox::new(), endpoint, password };
    let greeting = login.receive().await.map_err(|e| endpoint.not_connected(&e))?;
    let hello: HandshakePacket<'_> = match greeting.first() {
        Some(&ERROR) => return Err(endpoint.not_connected(&Broken::Server(Said::of(&greeting)))),
        _ => ParseBuf(&greeting).parse(()).map_err(|_| unreadable(endpoint))?,
    };
    let flags = flags(hello.capabilities(), tls.is_some());
    if let Some(tls) = tls {
        if !hello.capabilities().contains(Flags::CLIENT_SSL) {
            return Err(Error::invalid(format!("the server {} does not offer TLS", endpoint.address()))
                .help("turn on `ssl` at the server"));
        }
        login = login.secured(flags, tls).await?;
    }
    let plugin = hello.auth_plugin().unwrap_or(AuthPlugin::MysqlNativePassword).into_owned();
    login.prove(flags, plugin, hello.nonce()).await?;
    let text = hello.server_version_str();
    let is_mariadb = text.contains("MariaDB");
    let version = match is_mariadb {
        true => hello.maria_db_server_version_parsed(),
        false => hello.server_version_parsed(),
    };
    let greeting = Greeting { id: hello.connection_id(), is_mariadb, version: version.unwrap_or_default() };
    Ok((Wire::new(login.transport, login.inbox), greeting))
}

/// What we can do and ask for, as far as the server can.
fn flags(offered: Flags, secure: bool) -> Flags {
    let mut wanted = Flags::CLIENT_PROTOCOL_41
        | Flags::CLIENT_SECURE_CONNECTION
        | Flags::CLIENT_LONG_PASSWORD
        | Flags::CLIENT_TRANSACTIONS
        | Flags::CLIENT_PLUGIN_AUTH
        | Flags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | Flags::CLIENT_CONNECT_ATTRS
        | Flags::CLIENT_CONNECT_WITH_DB;
    wanted.set(Flags::CLIENT_SSL, secure);
    wanted & offered
}

#[cold]
fn unreadable(endpoint: &Endpoint) -> Error {
    endpoint.not_connected(&Broken::Protocol("its login messages are not understood"))
}

impl Login<'_> {
    async fn receive(&mut self) -> std::result::Result<Vec<u8>, Broken> {
        loop {
            if let Some(packet) = self.inbox.packet() {
                return Ok(self.inbox.bytes(packet).to_vec());
            }
            self.inbox.fill(&mut self.transport).await?;
        }
    }

    async fn send(&mut self, payload: &[u8]) -> std::result::Result<(), Broken> {
        self.transport.write_all(&packed(payload, self.inbox.sequence())).await?;
        Ok(self.transport.flush().await?)
    }

    /// Goes over to TLS before anything of us is told.
    async fn secured(mut self, flags: Flags, tls: &Tls) -> Result<Self> {
        let endpoint = self.endpoint;
        // Bytes sent in the clear that would be taken for the server's secure words.
        if !self.inbox.is_empty() {
            return Err(unreadable(endpoint));
        }
        let mut request = Vec::new();
        SslRequest::new(flags, MOST_PACKET_BYTES, COLLATION).serialize(&mut request);
        self.send(&request).await.map_err(|e| endpoint.not_connected(&e))?;
        let numbered = self.inbox.sequence().wrapping_add(1);
        let transport = self.transport.secure(tls).await.map_err(|io| {
            tls::fault(&io)
                .map(|error| error.at(format!("MySQL server {}", endpoint.address())))
                .unwrap_or_else(|| endpoint.unreachable(&io.kind().to_string()))
        })?;
        let mut inbox = self.inbox;
        inbox.set_sequence(numbered);
        Ok(Self { transport, inbox, ..self })
    }

    /// Proves who we are by the ways the server asks for.
    async fn prove(
        &mut self,
        flags: Flags,
        mut plugin: AuthPlugin<'static>,
        mut nonce: Vec<u8>,
    ) -> Result<()> {
        let endpoint = self.endpoint;
        let broken = |e: Broken| endpoint.not_connected(&e);
        let first = self.proof(&plugin, &nonce).unwrap_or_default();
        let attributes = flags
            .contains(Flags::CLIENT_CONNECT_ATTRS)
            .then(|| HashMap::from([("program_name".to_owned(), "sealift".to_owned())]));
        let mut response = Vec::new();
        HandshakeResponse::new(
            Some(first),
            (8, 0, 0),
            Some(endpoint.user.as_bytes()),
            Some(endpoint.database.as_bytes()),
            Some(plugin.borrow()),
            flags,
            attributes,
            MOST_PACKET_BYTES,
        )
        .serialize(&mut response);
        self.send(&response).await.map_err(broken)?;
        for _ in 0..MOST_ROUNDS {
            let answer = self.receive().await.map_err(broken)?;
            match answer.as_slice() {
                [OK, ..] => return Ok(()),
                [ERROR, ..] => return Err(broken(Broken::Server(Said::of(&answer)))),
                [EOF, _, ..] => {
                    let switch: AuthSwitchRequest<'_> =
                        ParseBuf(&answer).parse(()).map_err(|_| unreadable(endpoint))?;
                    (plugin, nonce) = challenge(&switch);
                    let proof = self.proof(&plugin, &nonce).ok_or_else(|| endpoint.no_common_way())?;
                    self.send(&proof).await.map_err(broken)?;
                }
                [MORE, SHA2_PROVEN] if plugin == AuthPlugin::CachingSha2Password => {}
                [MORE, SHA2_SEND_PASSWORD] if plugin == AuthPlugin::CachingSha2Password => {
                    self.send_password(&nonce).await?;
                }
                _ => return Err(endpoint.no_common_way()),
            }
        }
        Err(unreadable(endpoint))
    }

    /// What proves that we know the password; `None` for ways that we do not go.
    fn proof(&self, plugin: &AuthPlugin<'_>, nonce: &[u8]) -> Option<Vec<u8>> {
        match plugin {
            AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword | AuthPlugin::Ed25519 => {}
            // The password itself: only where nobody can read along.
            AuthPlugin::MysqlClearPassword if self.transport.is_secure() => {}
            _ => return None,
        }
        let password = self.password.and_then(|p| p.expose_str().ok());
        let mut proof = Vec::new();
        if let Some(data) = plugin.gen_data(password, nonce) {
            data.serialize(&mut proof);
        }
        Some(proof)
    }

    /// The password itself, for a server that has not seen it lately: in TLS as it is, otherwise
    /// sealed with the server's public key (plain connections lead to this machine only).
    async fn send_password(&mut self, nonce: &[u8]) -> Result<()> {
        let endpoint = self.endpoint;
        let broken = |e: Broken| endpoint.not_connected(&e);
        let password = self.password.map(|p| p.expose().to_vec()).unwrap_or_default();
        let mut password = zeroize::Zeroizing::new(password);
        password.push(0);
        if self.transport.is_secure() {
            return self.send(&password).await.map_err(broken);
        }
        self.send(&[SHA2_ASK_KEY]).await.map_err(broken)?;
        let answer = self.receive().await.map_err(broken)?;
        let [MORE, key @ ..] = answer.as_slice() else { return Err(endpoint.no_common_way()) };
        for (byte, mask) in password.iter_mut().zip(nonce.iter().cycle()) {
            *byte ^= mask;
        }
        let key = key.to_vec();
        // A key that is none makes the library panic: there, it is an error only.
        let seal = tokio::task::spawn_blocking(move || mysql_common::crypto::encrypt(&password, &key));
        let sealed = seal.await.map_err(|_| endpoint.no_common_way())?;
        self.send(&sealed).await.map_err(broken)
    }
}

/// How the server wants us to prove who we are, and over which bytes.
fn challenge(switch: &AuthSwitchRequest<'_>) -> (AuthPlugin<'static>, Vec<u8>) {
    let (plugin, mut nonce) = (switch.auth_plugin().into_owned(), switch.plugin_data().to_vec());
    if plugin == AuthPlugin::Ed25519 {
        // Random to its last byte, while the library takes a zero there for an end: of 256 logins one would fail.
        nonce.resize(ED25519_NONCE_BYTES, 0);
    }
    (plugin, nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_taken_whole() {
        let nonce = |last: u8| [vec![7; 31], vec![last]].concat();
        let asked = |name: &[u8], data: &[u8]| {
            let packet = [&[0xfe], name, &[0], data].concat();
            let switch: AuthSwitchRequest<'_> = ParseBuf(&packet).parse(()).unwrap();
            challenge(&switch)
        };
        for last in [0, 1] {
            let told = asked(b"client_ed25519", &nonce(last));
            assert_eq!(told, (AuthPlugin::Ed25519, nonce(last)));
        }
        // The others' end with a zero of the protocol.
        let told = asked(b"mysql_native_password", &[&[7; 20][..], &[0]].concat());
        assert_eq!(told, (AuthPlugin::MysqlNativePassword, vec![7; 20]));
    }
}
