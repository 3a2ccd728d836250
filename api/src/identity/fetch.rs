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
