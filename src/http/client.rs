//! The one HTTP client: requests out, bounded answers in.
//!
//! TLS by rustls with ring and the system's CA certificates, HTTP/1.1, gzip, no redirects. Plain
//! `http://` to this machine itself goes without a proxy and needs no CA certificates.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use reqwest::{ClientBuilder, Request, StatusCode};
use url::{Host, Url};

use super::tls;
use crate::model::Escaped;

/// The longest part of a foreign error text that is shown, in characters.
const SHOWN_CAUSE: usize = 200;

/// This machine, as `no_proxy` names it.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// What all connections share; the configuration's `[network]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The proxy for everything but this machine itself; `None`: the usual environment variables.
    pub proxy: Option<Url>,
    /// A PEM file of CA certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// What this side shows a server that asks for a client certificate.
    pub identity: Option<Identity>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a server may stay silent within an answer.
    pub read_timeout: Duration,
    /// How long a request may take in all, its answer's body included.
    pub total_timeout: Duration,
}

/// A client certificate (RFC 8446, 4.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A PEM file with the certificate and those that vouch for it.
    pub certificate_file: PathBuf,
    /// A PEM file with the private key; `None`: the certificate's file holds it too.
    pub key_file: Option<PathBuf>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            proxy: None,
            ca_file: None,
            identity: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(60),
        }
    }
}

/// Why there is no client with these options.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The CA file cannot be read.
    #[error("{path}: cannot be read; `ca-file` needs a PEM file of CA certificates")]
    UnreadableCa {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The CA file holds no usable certificate.
    #[error("{path}: holds no CA certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    UselessCa {
        /// The file.
        path: PathBuf,
    },
    /// The client certificate or its key cannot be read.
    #[error(
        "{path}: cannot be read; `certificate-file` and `key-file` need PEM files that meetbridge may \
         read"
    )]
    UnreadableIdentity {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The client certificate and its key cannot be used.
    #[error(
        "{path}: holds no client certificate that can be used with its private key; both must be in \
         PEM form, belong together, and the key must not be encrypted"
    )]
    UselessIdentity {
        /// The certificate's file.
        path: PathBuf,
    },
    /// The proxy's URL cannot be used.
    #[error("the proxy's URL cannot be used; give `proxy` the form http://HOST:PORT")]
    Proxy,
    /// The HTTP client does not come about.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decompressed. Complete when the status is a success; else as much as came and fits.
    pub body: Vec<u8>,
}

/// Why there is no answer. Names the host, never the rest of a URL, nor a body.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// No connection came about: nothing was sent.
    #[error(
        "cannot reach {host}: {cause}; check the network, the proxy and the host's name in the \
         configuration"
    )]
    Unreachable {
        /// Where to.
        host: String,
        /// The cause, in the words of the system.
        cause: String,
    },
    /// The two sides do not agree on each other's certificates: nothing was sent.
    #[error("{host}: {why}")]
    Untrusted {
        /// Where to.
        host: String,
        /// Whose certificate, what is wrong with it, and what to do.
        why: String,
    },
    /// No answer came in time. The request may have had its effect.
    #[error("{host} did not answer in time")]
    Timeout {
        /// Where to.
        host: String,
    },
    /// The connection broke. The request may have had its effect.
    #[error("the connection to {host} broke off: {cause}")]
    Broken {
        /// Where to.
        host: String,
        /// The cause, in the words of the system.
        cause: String,
        /// Whether the head of an answer had come.
        answered: bool,
    },
    /// The answer's body is larger than allowed. The request may have had its effect.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        /// Where to.
        host: String,
        /// What was allowed.
        limit: usize,
    },
}

impl SendError {
    /// Whether the request cannot have had an effect.
    pub fn never_sent(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Untrusted { .. })
    }
}

/// Sends requests. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client(Way);

#[derive(Clone, Debug)]
enum Way {
    Network(Network),
    Carried(Arc<dyn Carrier>),
}

/// What carries requests in place of the network: a simulation, where connections break and time
/// limits pass on a clock of its own.
#[async_trait]
pub trait Carrier: fmt::Debug + Send + Sync {
    /// As [`Client::send`].
    async fn carry(&self, request: Request, limit: usize) -> Result<Answer, SendError>;
}

#[derive(Clone, Debug)]
struct Network {
    kept: Connections,
    /// Those that serve one request each, made when they are first needed.
    single: Arc<OnceLock<Option<Connections>>>,
    options: Arc<ClientOptions>,
}

/// The connections of a client.
#[derive(Clone, Debug)]
struct Connections {
    /// For everywhere else; without CA certificates on the system, the reason why there is none.
    outside: Result<reqwest::Client, String>,
    /// For `http://` to this machine.
    loopback: reqwest::Client,
}

impl Connections {
    /// Of which at most so many stay open without a request.
    fn new(options: &ClientOptions, idle: usize) -> Result<Self, ClientError> {
        let builder = |options| builder(options).pool_max_idle_per_host(idle);
        let mut outside = builder(options);
        if let Some(path) = &options.ca_file {
            let pem = std::fs::read(path).map_err(|source| ClientError::UnreadableCa {
                path: path.clone(),
                source,
            })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| ClientError::UselessCa { path: path.clone() })?;
            outside = outside.tls_certs_merge(certificates);
        }
        if let Some(identity) = &options.identity {
            outside = outside.identity(identity.load(options)?);
        }
        if let Some(proxy) = &options.proxy {
            let proxy = reqwest::Proxy::all(proxy.as_str())
                .map_err(|_| ClientError::Proxy)?
                .no_proxy(reqwest::NoProxy::from_string(LOOPBACK));
            outside = outside.proxy(proxy);
        }
        let loopback = builder(options)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| ClientError::Setup(cause(error)))?;
        Ok(Self {
            outside: outside.build().map_err(cause),
            loopback,
        })
    }
}

impl Client {
    /// Sets up a client.
    ///
    /// A system without CA certificates is no error here: [`Client::send`] says so when they are
    /// needed.
    ///
    /// # Errors
    /// When the CA file or the proxy's URL cannot be used.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        // The first one stays; it does the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self(Way::Network(Network {
            kept: Connections::new(options, usize::MAX)?,
            single: Arc::default(),
            options: Arc::new(options.clone()),
        })))
    }

    /// A client whose requests `carrier` takes.
    pub fn carried_by(carrier: Arc<dyn Carrier>) -> Self {
        Self(Way::Carried(carrier))
    }

    /// As [`Client::send`], on a connection of its own: the one before may lead to what is in trouble.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_apart(&self, request: Request, limit: usize) -> Result<Answer, SendError> {
        let network = match &self.0 {
            Way::Network(network) => network,
            Way::Carried(carrier) => return carrier.carry(request, limit).await,
        };
        let single = network
            .single
            .get_or_init(|| Connections::new(&network.options, 0).ok());
        // What they are made of worked before; should it not any more, the kept ones do.
        let connections = single.as_ref().unwrap_or(&network.kept);
        send(connections, request, limit).await
    }

    /// Sends one request, once, and reads its whole answer: at most `limit` bytes of body after
    /// decompression. Redirects are answers like others.
    ///
    /// # Errors
    /// When no complete answer came. The body of an error status may be incomplete without error.
    pub async fn send(&self, request: Request, limit: usize) -> Result<Answer, SendError> {
        match &self.0 {
            Way::Network(network) => send(&network.kept, request, limit).await,
            Way::Carried(carrier) => carrier.carry(request, limit).await,
        }
    }

    /// Sends one request, once; its answer is read by whoever asked. Over the network alone: what a
    /// [`Carrier`] takes comes as a whole.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn begin(&self, request: Request) -> Result<Incoming, SendError> {
        match &self.0 {
            Way::Network(network) => begin(&network.kept, request).await,
            Way::Carried(_) => Err(SendError::Unreachable {
                host: request.url().host_str().unwrap_or_default().to_owned(),
                cause: "no answer can be read as it comes in here".to_owned(),
            }),
        }
    }
}

/// An answer that is still coming in.
#[derive(Debug)]
pub struct Incoming {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    response: reqwest::Response,
    host: String,
}

impl Incoming {
    /// Hands the body to `sink` as it comes, decompressed, at most `limit` bytes of it: until `sink` has
    /// enough. The answer with an empty body.
    ///
    /// # Errors
    /// When it breaks off, or is larger than `limit`.
    pub async fn into(
        mut self,
        limit: usize,
        mut sink: impl FnMut(&[u8]) -> bool + Send,
    ) -> Result<Answer, SendError> {
        let mut length = 0;
        loop {
            let chunk = self.response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| failure(error, self.host.clone(), true))?
            else {
                break;
            };
            length += chunk.len();
            if length > limit {
                let host = self.host;
                return Err(SendError::TooLarge { host, limit });
            }
            if !sink(&chunk) {
                break;
            }
        }
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body: Vec::new(),
        })
    }

    /// All of it, as [`Client::send`] gives it.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn whole(self, limit: usize) -> Result<Answer, SendError> {
        let Self {
            status,
            headers,
            mut response,
            host,
        } = self;
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= limit => {
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                // An error status says enough by itself.
                Ok(Some(_)) | Err(_) if !status.is_success() => break,
                Ok(Some(_)) => return Err(SendError::TooLarge { host, limit }),
                Err(error) => return Err(failure(error, host, true)),
            }
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

async fn send(
    connections: &Connections,
    request: Request,
    limit: usize,
) -> Result<Answer, SendError> {
    begin(connections, request).await?.whole(limit).await
}

async fn begin(connections: &Connections, request: Request) -> Result<Incoming, SendError> {
    let host = host_of(request.url());
    let client = if is_plain_loopback(request.url()) {
        &connections.loopback
    } else {
        connections
            .outside
            .as_ref()
            .map_err(|cause| SendError::Unreachable {
                host: host.clone(),
                cause: cause.clone(),
            })?
    };
    let mut response = match client.execute(request).await {
        Ok(response) => response,
        Err(error) => return Err(failure(error, host, false)),
    };
    Ok(Incoming {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        response,
        host,
    })
}

fn builder(options: &ClientOptions) -> ClientBuilder {
    ClientBuilder::new()
        .user_agent(concat!("meetbridge/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .gzip(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .timeout(options.total_timeout)
}

impl Identity {
    /// Reads the files, and sees that key and certificate fit.
    fn load(&self, options: &ClientOptions) -> Result<reqwest::Identity, ClientError> {
        let mut pem = Vec::new();
        for path in std::iter::once(&self.certificate_file).chain(&self.key_file) {
            let read = std::fs::read(path).map_err(|source| ClientError::UnreadableIdentity {
                path: path.clone(),
                source,
            })?;
            pem.extend(read);
            pem.push(b'\n');
        }
        let useless = |_| ClientError::UselessIdentity {
            path: self.certificate_file.clone(),
        };
        let identity = reqwest::Identity::from_pem(&pem).map_err(useless)?;
        // Only a whole client tells; without CA certificates it needs none of the system.
        let trial = builder(options).no_proxy().tls_certs_only([]);
        trial.identity(identity.clone()).build().map_err(useless)?;
        Ok(identity)
    }
}

fn failure(error: reqwest::Error, host: String, answered: bool) -> SendError {
    if let Some(why) = tls::distrust(&error) {
        SendError::Untrusted { host, why }
    } else if error.is_connect() {
        SendError::Unreachable {
            host,
            cause: cause(error),
        }
    } else if error.is_timeout() {
        SendError::Timeout { host }
    } else {
        SendError::Broken {
            host,
            cause: cause(error),
            answered,
        }
    }
}

/// The innermost cause, which says most, without any URL.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text: String = innermost.to_string().chars().take(SHOWN_CAUSE).collect();
    Escaped(&text).to_string()
}

/// The host, with its port where that is not the scheme's own, for messages.
pub(crate) fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "the server".to_owned(),
    }
}

fn is_plain_loopback(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

/// Whether the URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: usize = 1000;
    /// 100,000 zeros, by gzip.
    const BOMB: &str = "H4sIAAAAAAACA+3BMQEAAADCoErrn84aHkABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAArwaFwk3FoIYBAA==";

    /// Answers one request with these bytes and closes; gives the address, and later the request.
    async fn server(answer: Vec<u8>) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            // The client may hang up on what it does not want.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(request).unwrap()
        });
        (
            Url::parse(&format!("http://{address}/path?secret")).unwrap(),
            task,
        )
    }

    async fn ask(answer: &[u8]) -> (Result<Answer, SendError>, String) {
        let (url, request) = server(answer.to_vec()).await;
        let client = Client::new(&ClientOptions::default()).unwrap();
        let answer = client.send(Request::new(Method::GET, url), LIMIT).await;
        (answer, request.await.unwrap().to_lowercase())
    }

    fn gzipped(status: &str) -> Vec<u8> {
        let body = data_encoding::BASE64.decode(BOMB.as_bytes()).unwrap();
        assert!(body.len() < LIMIT);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    #[tokio::test]
    async fn an_answer_comes_whole_and_as_it_is() {
        let moved =
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nok";
        let (answer, request) = ask(moved).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), &*answer.body), (302, &b"ok"[..]));
        assert_eq!(answer.headers["location"], "http://127.0.0.1:1/");
        let agent = concat!("user-agent: meetbridge/", env!("CARGO_PKG_VERSION"), "\r\n");
        for line in [
            "get /path?secret http/1.1\r\n",
            agent,
            "accept-encoding: gzip\r\n",
        ] {
            assert!(request.contains(line), "{line}: {request}");
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_also_after_decompression() {
        let plain = |length: usize| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            [head.into_bytes(), vec![b'x'; length]].concat()
        };
        assert_eq!(ask(&plain(LIMIT)).await.0.unwrap().body.len(), LIMIT);
        for answer in [plain(LIMIT + 1), gzipped("200 OK")] {
            let error = ask(&answer).await.0.unwrap_err();
            assert!(matches!(error, SendError::TooLarge { .. }), "{error:?}");
        }
        let error = ask(&gzipped("503 Busy")).await.0.unwrap();
        assert!(error.status.as_u16() == 503 && error.body.len() <= LIMIT);
    }

    #[tokio::test]
    async fn failures_name_the_host_and_nothing_else_of_the_url() {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
        for (answer, words) in [
            (&cut[..], "broke off"),
            (b"", "broke off"),
            (b"nonsense", "broke off"),
        ] {
            let error = ask(answer).await.0.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(words) && !error.never_sent(), "{text}");
            assert!(
                text.contains("127.0.0.1:") && !text.contains("secret"),
                "{text}"
            );
            assert!(!text.contains("half") && !text.contains("path"), "{text}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/path?secret", listener.local_addr().unwrap());
        drop(listener);
        let client = Client::new(&ClientOptions::default()).unwrap();
        let request = Request::new(Method::GET, Url::parse(&url).unwrap());
        let error = client.send(request, LIMIT).await.unwrap_err();
        assert!(error.never_sent() && error.to_string().starts_with("cannot reach 127.0.0.1:"));
    }

    #[tokio::test]
    async fn this_machine_is_reached_without_the_proxy() {
        let (url, _request) = server(b"HTTP/1.1 204 None\r\n\r\n".to_vec()).await;
        let proxy = Some(Url::parse("http://127.0.0.1:1").unwrap());
        let client = Client::new(&ClientOptions {
            proxy,
            ..ClientOptions::default()
        })
        .unwrap();
        let answer = client
            .send(Request::new(Method::GET, url), LIMIT)
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), 204);
    }

    #[test]
    fn a_ca_file_must_hold_certificates() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let with = |path: &std::path::Path| {
            let ca_file = Some(path.to_owned());
            Client::new(&ClientOptions {
                ca_file,
                ..ClientOptions::default()
            })
            .unwrap_err()
        };
        assert!(matches!(with(file.path()), ClientError::UselessCa { .. }));
        let missing = file.path().with_extension("missing");
        assert!(matches!(with(&missing), ClientError::UnreadableCa { .. }));
    }
}
