//! Requests to the authority: forms in, bounded answers out. Network.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use tracing::debug;
use url::Url;

use crate::clock::Random;
use crate::http::{Answer, Client, SendError};
use crate::meeting::graph::GraphSettings;
use crate::meeting::graph::call::{CLIENT_REQUEST_ID, below, segment};
use crate::meeting::graph::pace::try_id;

/// The largest answer of the token endpoint, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;

/// One of the tenant's endpoints at the authority.
pub(super) fn endpoint(settings: &GraphSettings, name: &str) -> Url {
    let path = format!("/{}/oauth2/v2.0/{name}", segment(&settings.tenant));
    below(&settings.authority_url, &path)
}

/// Sends a form to the authority, once.
pub(super) async fn post(
    client: &Client,
    url: &Url,
    form: String,
    random: &dyn Random,
) -> Result<Answer, SendError> {
    let mut request = Request::new(Method::POST, url.clone());
    let headers = request.headers_mut();
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form_type);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let try_id = try_id(random);
    if let Ok(value) = HeaderValue::from_str(&try_id) {
        headers.insert(CLIENT_REQUEST_ID, value);
    }
    *request.body_mut() = Some(form.into());
    let answer = client.send(request, LARGEST_ANSWER).await?;
    debug!(
        client_request_id = try_id,
        status = answer.status.as_u16(),
        "token asked for"
    );
    Ok(answer)
}
