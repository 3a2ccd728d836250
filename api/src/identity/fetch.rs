//! One GET to the provider, over HTTP or HTTPS. It is a few lines of hyper, because it is the only request that an api
//! makes to the world outside.

use crate::config::IdentityConfig;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most bytes of a key set.
const MAX_BYTES: usize = 1 << 20;

/// The authorities whose certificates are believed: those of browsers, and whoever is in this PEM text.
pub(crate) fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = pem {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.len() == before {
            return Err("it holds no certificate".to_owned());
        }
    }
    Ok(roots)
}

/// Gets one document, again and again.
pub(super) struct Fetcher {
    uri: Uri,
    tls: Option<TlsConnector>,
}

impl Fetcher {
    pub(super) fn new(config: &IdentityConfig) -> Self {
        let uri = config.keys_url.clone();
        let secure = uri.scheme_str() == Some("https");
        Self { tls: secure.then(|| connector(&config.roots)).flatten(), uri }
    }

    /// The document, or what is in the way.
    pub(super) async fn fetch(&self) -> Result<Bytes, String> {
        timeout(PATIENCE, self.get()).await.map_err(|_| "no answer in time".to_owned())?
    }

    async fn get(&self) -> Result<Bytes, String> {
        let host = self.uri.host().unwrap_or_default();
        let secure = self.uri.scheme_str() == Some("https");
        let port = self.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        // An IPv6 address stands in brackets in a URL, and without them everywhere else.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, port)).await.map_err(text)?;
        if !secure {
            return self.ask(stream).await;
        }
        let tls = self.tls.as_ref().ok_or("TLS cannot be used")?;
        let name = ServerName::try_from(name.to_owned()).map_err(text)?;
        self.ask(tls.connect(name, stream).await.map_err(text)?).await
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Bytes, String> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        // It ends with the sender.
        tokio::spawn(connection);
        let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
        let path = self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "rookery")
            .body(Body::empty())
            .map_err(text)?;
        let response = sender.send_request(request).await.map_err(text)?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        to_bytes(Body::new(response.into_body()), MAX_BYTES).await.map_err(text)
    }
}

fn connector(roots: &Arc<RootCertStore>) -> Option<TlsConnector> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| tracing::error!(%error, "TLS cannot be used"))
        .ok()?;
    Some(TlsConnector::from(Arc::new(config.with_root_certificates(roots.clone()).with_no_client_auth())))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClaimNames;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ServerConfig,
            pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        },
    };

    /// An authority and a server of 127.0.0.1 that it vouches for, made for this test; they protect nothing.
    const AUTHORITY: &[u8] = include_bytes!("testing/ca.pem");
    const SERVER: &[u8] = include_bytes!("testing/server.der");
    const SERVER_KEY: &[u8] = include_bytes!("testing/server-key.der");

    async fn server() -> u16 {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(SERVER_KEY));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("has versions")
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(SERVER)], key)
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1_024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let status = if request[..read].starts_with(b"GET /keys?a=b ") { "200 OK" } else { "404 Not Found" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    async fn fetch(url: &str, pem: Option<&[u8]>) -> Result<Bytes, String> {
        let names = || "claim".to_owned();
        let claims = ClaimNames {
            username: names(),
            email: names(),
            name: names(),
            first_name: names(),
            last_name: names(),
            picture: names(),
        };
        let config = IdentityConfig {
            issuer: "i".into(),
            audience: "a".into(),
            keys_url: url.parse().expect("a URL"),
            roots: Arc::new(roots(pem).expect("certificates")),
            claims,
        };
        Fetcher::new(&config).fetch().await
    }

    #[tokio::test]
    async fn a_document_behind_tls_needs_a_certificate_that_is_believed() {
        let port = server().await;
        let url = format!("https://127.0.0.1:{port}/keys?a=b");
        assert_eq!(fetch(&url, Some(AUTHORITY)).await.as_deref(), Ok(&b"{}"[..]));
        assert!(fetch(&url, None).await.is_err(), "nobody believes this authority by default");
        assert!(fetch(&format!("https://localhost:{port}/keys?a=b"), Some(AUTHORITY)).await.is_err(), "another name");
        assert!(fetch(&format!("https://127.0.0.1:{port}/"), Some(AUTHORITY)).await.is_err(), "not found");
        assert!(roots(Some(b"nonsense")).is_err());
    }
}
