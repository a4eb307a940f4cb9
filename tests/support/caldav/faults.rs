//! What goes wrong on demand.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds a request back until the test lets it go: no sleeping.
#[derive(Clone, Debug)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Gate {
    /// Returns when a request stands before it; once for each.
    pub async fn arrived(&self) {
        self.arrived.acquire().await.expect("open").forget();
    }

    /// Lets every request through, those that are yet to come too.
    pub fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(super) async fn pass(&self) {
        self.arrived.add_permits(1);
        drop(self.open.acquire().await);
    }
}

/// A fault, and the requests that it strikes.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) method: Option<&'static str>,
    pub(super) path: Option<String>,
    /// So many matching requests are let by first.
    pub(super) skip: usize,
    /// So many are struck.
    pub(super) times: usize,
    pub(super) act: Act,
}

impl Fault {
    /// Strikes the next request once.
    pub fn new(act: Act) -> Self {
        Self {
            method: None,
            path: None,
            skip: 0,
            times: 1,
            act,
        }
    }

    /// Only requests of this method.
    pub fn on(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests whose path holds `part`.
    pub fn at(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Not the first such request but the `n`th, counted from 1.
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n - 1;
        self
    }

    /// So many in a row.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// From then on all.
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|part| path.contains(part))
    }
}

/// The fault that strikes this request, if any; the first in the list wins.
pub(super) fn strike(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Act> {
    for at in 0..faults.len() {
        let fault = &mut faults[at];
        if !fault.matches(method, path) {
            continue;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        let act = fault.act.clone();
        fault.times -= 1;
        if fault.times == 0 {
            faults.remove(at);
        }
        return Some(act);
    }
    None
}

/// What goes wrong.
#[derive(Clone)]
pub enum Act {
    /// This answer, in place of an effect.
    Answer(Scripted),
    /// The effect, and then this answer.
    AnswerAfter(Scripted),
    /// The connection is closed, without an effect.
    LoseBefore,
    /// The effect happens and the connection is closed.
    LoseAfter,
    /// The effect happens and the answer's body breaks off after so many bytes.
    CutAfter(usize),
    /// The request waits at the gate before its effect.
    Wait(Gate),
    /// The answer waits at the gate after the effect.
    WaitAfter(Gate),
    /// Half the body of the answer comes; the rest waits at the gate.
    SlowBody(Gate),
    /// The usual answer, with spaces behind it without end.
    Endless,
    /// A header of the answer becomes this; `None`: it is left out.
    Header(&'static str, Option<String>),
    /// The answer's body is what this makes of it.
    Bend(Arc<dyn Fn(String) -> String + Send + Sync>),
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Act")
    }
}

/// A ready answer.
#[derive(Clone, Debug)]
pub struct Scripted {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Act {
    /// An empty answer with this status.
    pub fn status(status: u16) -> Self {
        Self::answer(status, &[], "")
    }

    /// An answer in place of an effect.
    pub fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Self::Answer(Scripted {
            status,
            headers,
            body: body.into(),
        })
    }

    /// The effect, and an empty answer with this status.
    pub fn status_after(status: u16) -> Self {
        Self::AnswerAfter(Scripted {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Come back after so many seconds.
    pub fn retry_after(status: u16, seconds: u32) -> Self {
        Self::answer(status, &[("Retry-After", &seconds.to_string())], "")
    }

    /// A redirect; `{port}` in `location` stands for the fake's port.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::answer(status, &[("Location", location)], "")
    }

    /// What DAV:error says, with this status.
    pub fn condition(status: u16, condition: &str) -> Self {
        let body =
            format!("<?xml version=\"1.0\"?><d:error xmlns:d=\"DAV:\"><d:{condition}/></d:error>");
        Self::answer(status, &[("Content-Type", "application/xml")], body)
    }

    /// The page of a sign-in portal, with status 200.
    pub fn login_page() -> Self {
        let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form>\
                    <input name=user><br><input name=password type=password></form></body></html>";
        Self::answer(200, &[("Content-Type", "text/html; charset=utf-8")], page)
    }

    /// A multistatus whose entities unfold to gigabytes.
    pub fn xml_bomb() -> Self {
        let mut body = "<?xml version=\"1.0\"?>\n<!DOCTYPE m [<!ENTITY a0 \"lol\">".to_owned();
        for n in 1..10 {
            let entity = format!("&a{};", n - 1).repeat(10);
            body += &format!("<!ENTITY a{n} \"{entity}\">");
        }
        body += "]>\n<d:multistatus xmlns:d=\"DAV:\"><d:response><d:href>&a9;</d:href>\
                 <d:status>HTTP/1.1 200 OK</d:status></d:response></d:multistatus>";
        Self::answer(207, &[("Content-Type", "application/xml")], body)
    }

    /// A multistatus of ten thousand elements in each other.
    pub fn deep_xml() -> Self {
        let body = format!("<d:multistatus xmlns:d=\"DAV:\">{}", "<d:x>".repeat(10_000));
        Self::answer(207, &[("Content-Type", "application/xml")], body)
    }

    /// What `bend` makes of the usual answer's body.
    pub fn bend(bend: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        Self::Bend(Arc::new(bend))
    }
}
