//! Makes connections to the backend: TCP, TLS 1.3 unless it is plain on purpose, then HTTP.

use rackhand_wire::{agent::enrol::LINK_PATH, api::problem::Problem};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::protocol::{CloseFrame, WebSocketConfig},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::proof::{Binding, EXPORTER, key_name};

/// A connection must stand by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// No message is larger.
pub const LARGEST: usize = 1024 * 1024;

/// Where the backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    is_tls: bool,
    host: String,
    port: u16,
    /// Path before the agent's own, without a slash at its end.
    base: String,
    pin: Option<String>,
}

impl Target {
    /// Reads an address: `https://panel.example.com` or `http://localhost:8080`.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn parse(url: &str, pin: Option<&str>) -> Result<Self, String> {
        let (is_tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(format!("“{url}” must begin with https:// or http://")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("“{port}” is no port"))?)
            }
            _ => (authority, if is_tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
            return Err(format!("“{url}” names no host"));
        }
        let path = path.trim_end_matches('/');
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { is_tls, host: host.to_owned(), port, base, pin: pin.map(str::to_owned) })
    }

    /// Says whether what is said can be read on its way.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        let here = self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        !self.is_tls && !here
    }

    /// Says whether it is spoken to over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

/// A stream to the backend.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A WebSocket to the backend.
pub type Wire = WebSocketStream<Box<dyn Stream>>;

/// A WebSocket to the backend, with what binds a hello to it.
pub struct Socket {
    /// The socket.
    pub stream: Wire,
    /// Where the backend is.
    pub addresses: Vec<SocketAddr>,
    /// Keying material of its TLS connection.
    pub binding: Binding,
}

/// Opens the control channel. `dead_after` is given to the kernel too: unacknowledged data for so long ends it.
///
/// # Errors
/// In words, when it does not come to stand.
pub async fn socket(target: &Target, dead_after: Duration) -> Result<Socket, String> {
    let open = async {
        let addresses = look_up(target).await?;
        let tcp = reach(target, &addresses, dead_after).await?;
        let (stream, binding) = secure(target, tcp).await?;
        let stream = upgrade(target, stream).await?;
        Ok(Socket { stream, addresses, binding })
    };
    patiently(open).await
}

/// Asks for the agents' channel on a stream.
///
/// # Errors
/// In words, when something else answers.
pub async fn upgrade(target: &Target, stream: Box<dyn Stream>) -> Result<Wire, String> {
    let scheme = if target.is_tls { "wss" } else { "ws" };
    let url = format!("{scheme}://{}{}{LINK_PATH}", target.authority(), target.base);
    let mut limits = WebSocketConfig::default();
    limits.max_message_size = Some(LARGEST);
    limits.max_frame_size = Some(LARGEST);
    limits.read_buffer_size = 4096;
    let opened = client_async_with_config(url, stream, Some(limits)).await;
    let (stream, _) = opened.map_err(|error| {
        if let tokio_tungstenite::tungstenite::Error::Http(answer) = &error {
            let told = format!(
                "{} answers {} where the agents' channel should be",
                target.authority(),
                answer.status()
            );
            let why = answer.body().as_ref().and_then(|body| serde_json::from_slice::<Problem>(body).ok());
            return why.map_or_else(|| told.clone(), |why| format!("{told}: {}", why.title));
        }
        error.to_string()
    })?;
    Ok(stream)
}

/// What the other side still sends after it was told why the line ends is read for so long, because a connection
/// that is closed before is reset, and the code lost with it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Closes a WebSocket with a code, and sees to it that the other side can read it.
pub async fn hang_up(mut stream: Wire, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    let part = async {
        // It may be gone already.
        stream.close(Some(frame)).await.ok();
        let mut rest = [0; 4096];
        while stream.get_mut().read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    tokio::time::timeout(LAST_WORDS, part).await.ok();
}

/// Posts JSON to a path of the backend and gives status and body.
///
/// # Errors
/// In words, when there is no answer.
pub async fn fetch(target: &Target, path: &str, body: String) -> Result<(u16, String), String> {
    let scheme = if target.is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{}{}{path}", target.authority(), target.base);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(target.pin.as_deref())?)
        // The channel knows of no proxy and no redirection either.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE);
    let ask = async {
        let ask = client.build()?.post(url).header("content-type", "application/json").body(body);
        let answer = ask.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    ask.await.map_err(|error: reqwest::Error| innermost(&error))
}

/// The cause at the bottom: "connection refused" says more than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// Gives work a fixed time.
///
/// # Errors
/// What it fails with, or that it took too long.
pub async fn patiently<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("no connection within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

/// Looks the backend's name up.
///
/// # Errors
/// In words, when it has no address.
pub async fn look_up(target: &Target) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let found: Vec<_> = found.map_err(|error| format!("{}: {error}", target.host))?.collect();
    if found.is_empty() { Err(format!("{} has no address", target.host)) } else { Ok(found) }
}

/// Connects to the first address that takes it.
///
/// # Errors
/// In words, when none does.
pub async fn reach(
    target: &Target,
    addresses: &[SocketAddr],
    dead_after: Duration,
) -> Result<TcpStream, String> {
    let tcp = TcpStream::connect(addresses).await;
    let tcp = tcp.map_err(|error| format!("{}: {error}", target.authority()))?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let timeout = u32::try_from(dead_after.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&tcp, timeout).map_err(|error| error.to_string())?;
    Ok(tcp)
}

/// Makes a connection safe, unless it is plain on purpose.
///
/// # Errors
/// In words, when the backend cannot be trusted or no TLS 1.3 comes about.
pub async fn secure(target: &Target, tcp: TcpStream) -> Result<(Box<dyn Stream>, Binding), String> {
    if !target.is_tls {
        return Ok((Box::new(tcp), None));
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(tls(target.pin.as_deref())?));
    let stream = connector.connect(name, tcp).await.map_err(|error| format!("TLS: {error}"))?;
    let binding = binding(&stream)?;
    Ok((Box::new(stream), Some(binding)))
}

fn binding(stream: &TlsStream<TcpStream>) -> Result<[u8; 32], String> {
    let (_, session) = stream.get_ref();
    session.export_keying_material([0; 32], EXPORTER, None).map_err(|error| format!("TLS: {error}"))
}

fn tls(pin: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(|error| error.to_string())?;
    let Some(pin) = pin else {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    };
    let verifier = Arc::new(Pinned { pin: pin.to_owned(), provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Accepts the one public key that came with the token, whoever signed it and whatever the clock says.
#[derive(Debug)]
struct Pinned {
    pin: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unreadable = |_| rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        let (_, certificate) = X509Certificate::from_der(end_entity).map_err(unreadable)?;
        if key_name(certificate.public_key().raw) == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let why = "the server's key is not the one that was pinned when this agent was enrolled";
        Err(rustls::Error::General(why.into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_refused_says_what_the_server_said() {
        use tokio::io::AsyncWriteExt as _;
        let problem = r#"{"type":"urn:rackhand:problem:too_many_connections","title":"Too many connections: this server may open 400 files.","status":503,"code":"too_many_connections","detail":null,"request_id":"","errors":[],"job_id":null}"#;
        for (body, more) in
            [(problem, ": Too many connections: this server may open 400 files."), ("<html>", "")]
        {
            let (near, mut far) = tokio::io::duplex(4096);
            let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length:";
            far.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
            let target = Target::parse("http://panel.example", None).unwrap();
            let refusal = upgrade(&target, Box::new(near)).await.err().unwrap();
            let told = "panel.example:80 answers 503 Service Unavailable where the agents' channel should be";
            assert_eq!(refusal, format!("{told}{more}"));
        }
    }

    #[test]
    fn an_address_is_read_or_its_fault_is_named() {
        let target = Target::parse("https://panel.example.com/hosting/", None).unwrap();
        assert_eq!(
            (target.authority().as_str(), target.base.as_str()),
            ("panel.example.com:443", "/hosting")
        );
        let target = Target::parse("http://[::1]:8080", None).unwrap();
        assert_eq!(target.authority(), "[::1]:8080");
        assert!(!target.is_open_to_others());
        assert!(Target::parse("http://10.0.0.1", None).unwrap().is_open_to_others());
        for wrong in ["panel.example.com", "https://", "https://a:b", "ftp://a", "https://me@a"] {
            assert!(Target::parse(wrong, None).is_err(), "{wrong}");
        }
    }
}
