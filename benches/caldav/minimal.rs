//! A client that sends the requests that cannot be avoided and looks at no more of an answer than it
//! takes to send the next one: the floor that the measured client stands on. It checks nothing,
//! remembers nothing on disk, and bears no fault.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use meetbridge::clock::Clock as _;
use meetbridge::config::{Config, Machine};
use meetbridge::daemon::clock::SystemClock;
use meetbridge::meeting::graph::SignIn;
use meetbridge::simulator::ORGANIZER;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret as _;

use crate::client::POLL;
use crate::harness::ALICE;
use crate::steps::serve;
use crate::support::Result;
use crate::support::measure::{cpu, ms, peak_memory};
use crate::support::passes::Cost;
use crate::support::world::config_file;

/// The first argument of such a process; the home, the server's address, the path of alice's calendars
/// and the calendar's name follow.
pub(crate) const FLAG: &str = "--minimal";

/// How many resources one multiget asks for.
const CHUNK: usize = 50;

/// The listings of one account are looked at so long.
const WATCH: Duration = Duration::from_secs(2);

/// An event: its href, its ETag, and its bytes.
type Event = (String, String, String);

struct Minimal {
    http: reqwest::Client,
    server: String,
    calendars: String,
    calendar: String,
    /// The DAV:sync-token of the last report.
    token: String,
    /// What Graph is asked with.
    bearer: String,
    /// How many meetings were made.
    made: usize,
    config: Config,
}

/// Does what it is told: `all` and `news` are passes, `link` is a first one that links everything,
/// `see` only takes the token that is then in force, `watch` looks at the home set for a while.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [home, server, calendars, name] = arguments else {
        return Err("the minimal client needs a home, a server, a path and a calendar".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::load(&config_file(Path::new(home)), &Machine::default())?;
    let mut minimal = Minimal {
        http: reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()?,
        server: server.clone(),
        calendars: calendars.clone(),
        calendar: format!("{calendars}{name}/"),
        token: String::new(),
        bearer: String::new(),
        made: 0,
        config,
    };
    let clock = SystemClock::new();
    serve(|line| {
        let (began, spent) = (clock.elapsed(), cpu());
        let done = runtime.block_on(minimal.step(line))?;
        let cost = Cost {
            cpu: ms(cpu() - spent),
            wall: ms(clock.elapsed() - began),
            memory: peak_memory("self").unwrap_or_default(),
            ..done
        };
        Ok(serde_json::to_string(&cost)?)
    })
}

impl Minimal {
    async fn step(&mut self, what: &str) -> Result<Cost> {
        let mut cost = Cost::default();
        if what == "watch" {
            let body = "<propfind xmlns=\"DAV:\" xmlns:c=\"http://calendarserver.org/ns/\"><prop>\
                        <c:getctag/><sync-token/></prop></propfind>";
            for _ in 0..WATCH.as_millis() / POLL.as_millis() {
                self.ask("PROPFIND", &self.calendars, "1", body).await?;
                SystemClock::new().sleep(POLL).await;
            }
            return Ok(cost);
        }
        let changed = self.report().await?;
        if what == "see" {
            return Ok(cost);
        }
        for hrefs in changed.chunks(CHUNK) {
            let events = self.events(hrefs).await?;
            cost.read += events.len();
            if what != "all" {
                cost.created += self.meetings(events.len()).await?;
                cost.written += self.write(&events).await?;
            }
        }
        Ok(cost)
    }

    /// What changed since the last report.
    async fn report(&mut self) -> Result<Vec<String>> {
        let body = format!(
            "<sync-collection xmlns=\"DAV:\"><sync-token>{}</sync-token><sync-level>1</sync-level>\
             <prop><getetag/></prop></sync-collection>",
            self.token
        );
        let answer = self.ask("REPORT", &self.calendar, "0", &body).await?;
        let token = texts(&answer, "sync-token").next();
        self.token = token.ok_or("no token")?.to_owned();
        let members = texts(&answer, "href").filter(|href| href.ends_with(".ics"));
        Ok(members.map(ToOwned::to_owned).collect())
    }

    async fn events(&self, hrefs: &[String]) -> Result<Vec<Event>> {
        let named: String = hrefs.iter().map(|h| format!("<href>{h}</href>")).collect();
        let body = format!(
            "<c:calendar-multiget xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><prop>\
             <getetag/><c:calendar-data/></prop>{named}</c:calendar-multiget>"
        );
        let answer = self.ask("REPORT", &self.calendar, "1", &body).await?;
        let (hrefs, etags) = (texts(&answer, "href"), texts(&answer, "getetag"));
        let rows = hrefs.zip(etags).zip(texts(&answer, "calendar-data"));
        let owned = |((href, etag), data): ((&str, &str), &str)| {
            (href.to_owned(), etag.replace("&quot;", "\""), plain(data))
        };
        Ok(rows.map(owned).collect())
    }

    /// Makes a meeting for each of so many events.
    async fn meetings(&mut self, count: usize) -> Result<usize> {
        if self.bearer.is_empty() {
            self.bearer = self.sign_in().await?;
        }
        let path = format!("v1.0/users/{ORGANIZER}/onlineMeetings/createOrGet");
        let url = self.config.graph.graph_url.join(&path)?;
        let (now, hour) = (SystemClock::new().now(), chrono::Duration::hours(1));
        let instant = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (start, end) = (instant(now), instant(now + hour));
        let calls = (self.made..self.made + count).map(|n| {
            let body = serde_json::json!({
                "externalId": format!("minimal-{n}"),
                "subject": "Weekly review of a project and its open questions",
                "startDateTime": start,
                "endDateTime": end,
            });
            let request = self.http.post(url.clone()).bearer_auth(&self.bearer);
            let request = request.header("content-type", "application/json");
            whole(request.body(body.to_string()))
        });
        let made: Vec<_> = stream::iter(calls)
            .buffer_unordered(CHUNK)
            .try_collect()
            .await?;
        self.made += made.len();
        Ok(made.len())
    }

    /// Gets a token for Graph.
    async fn sign_in(&self) -> Result<String> {
        let graph = &self.config.graph;
        let SignIn::Secret(secret) = &graph.sign_in else {
            return Err("not signed in to by a client secret".into());
        };
        let secret = secret.read().await?;
        let path = format!("{}/oauth2/v2.0/token", graph.tenant);
        let scope = format!(
            "{}/.default",
            graph.graph_url.as_str().trim_end_matches('/')
        );
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &graph.client_id)
            .append_pair("client_secret", secret.expose_secret())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", &scope)
            .finish();
        let request = self.http.post(graph.authority_url.join(&path)?).body(form);
        let kind = "application/x-www-form-urlencoded";
        let answer = whole(request.header("content-type", kind)).await?;
        let bearer = answer.split("\"access_token\":\"").nth(1);
        let bearer = bearer.and_then(|rest| rest.split('"').next());
        Ok(bearer.ok_or("no access token")?.to_owned())
    }

    /// Writes each event with one line more.
    async fn write(&self, events: &[Event]) -> Result<usize> {
        const LINE: &str =
            "CONFERENCE;VALUE=URI;FEATURE=AUDIO:https://teams.example.com/meet/1\r\n";
        for (href, etag, text) in events {
            let linked = text.replacen("END:VEVENT", &format!("{LINE}END:VEVENT"), 1);
            let request = self.request(Method::PUT, href).header("if-match", etag);
            let request = request.header("content-type", "text/calendar; charset=utf-8");
            whole(request.body(linked)).await?;
        }
        Ok(events.len())
    }

    async fn ask(&self, method: &str, path: &str, depth: &str, body: &str) -> Result<String> {
        let request = self.request(Method::from_bytes(method.as_bytes())?, path);
        let request = request.header("depth", depth);
        let request = request.header("content-type", "application/xml");
        whole(request.body(body.to_owned())).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        request.basic_auth(ALICE.name, Some(ALICE.password))
    }
}

/// An answer, which has to be a good one.
async fn whole(request: RequestBuilder) -> Result<String> {
    Ok(request.send().await?.error_for_status()?.text().await?)
}

/// The texts of the elements of this name, whatever their prefix.
fn texts<'a>(answer: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let name = name.to_owned();
    let mut rest = answer;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&name)?;
        let (_, content) = after.split_once('>')?;
        let (text, after) = content.split_once("</")?;
        rest = after.split_once('>')?.1;
        Some(text)
    })
}

fn plain(text: &str) -> String {
    let text = text.replace("&#13;", "\r").replace("&lt;", "<");
    let text = text.replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&amp;", "&")
}
