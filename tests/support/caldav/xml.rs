//! XML: what is asked, read strictly; what is answered, in the dialect of the quirks.

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::quirks::{Data, Quirks};

/// The namespaces.
pub(super) const DAV: &str = "DAV:";
/// CalDAV's.
pub(super) const CAL: &str = "urn:ietf:params:xml:ns:caldav";
/// The calendar server's.
pub(super) const CS: &str = "http://calendarserver.org/ns/";
/// Apple's.
pub(super) const ICAL: &str = "http://apple.com/ns/ical/";

/// An element that was asked.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    pub(super) fn child(&self, namespace: &str, name: &str) -> Option<&Self> {
        self.children.iter().find(|node| node.is(namespace, name))
    }

    /// The properties in DAV:prop.
    pub(super) fn props(&self) -> Vec<(String, String)> {
        let prop = self.child(DAV, "prop");
        let names = prop.iter().flat_map(|prop| &prop.children);
        names
            .map(|node| (node.namespace.clone(), node.name.clone()))
            .collect()
    }
}

/// The root of a well-formed document; `None` where it is none.
pub(super) fn parse(body: &[u8]) -> Option<Node> {
    let mut reader = NsReader::from_str(std::str::from_utf8(body).ok()?);
    let mut open: Vec<Node> = Vec::new();
    let mut root = None;
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        let named = |name: &str| {
            let ResolveResult::Bound(namespace) = &namespace else {
                return None;
            };
            Some(Node {
                namespace: namespace.as_ref().to_owned(),
                name: name.to_owned(),
                ..Node::default()
            })
        };
        let closed = match event {
            Event::Start(start) => {
                open.push(named(start.local_name().as_ref())?);
                None
            }
            Event::Empty(start) => Some(named(start.local_name().as_ref())?),
            Event::End(_) => Some(open.pop()?),
            Event::Text(text) => {
                let text: &str = &text;
                match open.last_mut() {
                    Some(node) => node.text += text,
                    None if text.trim().is_empty() => {}
                    None => return None,
                }
                None
            }
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref().ok()? {
                    Some(c) => c,
                    None => match &*reference {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    },
                };
                open.last_mut()?.text.push(c);
                None
            }
            Event::CData(data) => {
                open.last_mut()?.text += &data;
                None
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            _ => None,
        };
        if let Some(node) = closed {
            match open.last_mut() {
                Some(above) => above.children.push(node),
                None if root.is_none() => root = Some(node),
                None => return None,
            }
        }
    }
    root.filter(|_| open.is_empty())
}

/// Writes answers.
pub(super) struct Writer {
    pub(super) out: String,
    prefix: &'static str,
    data: Data,
}

impl Writer {
    pub(super) fn new(quirks: &Quirks) -> Self {
        let mut writer = Self {
            out: "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned(),
            prefix: quirks.prefix,
            data: quirks.data,
        };
        writer.out.push('<');
        writer.dav("multistatus");
        let own = match quirks.prefix {
            "" => String::new(),
            prefix => format!(":{prefix}"),
        };
        writer.out += &format!(
            " xmlns{own}=\"{DAV}\" xmlns:C=\"{CAL}\" xmlns:CS=\"{CS}\" xmlns:I=\"{ICAL}\">"
        );
        writer
    }

    /// The end of the whole.
    pub(super) fn end(mut self) -> String {
        self.close("multistatus");
        self.out
    }

    fn dav(&mut self, name: &str) {
        if !self.prefix.is_empty() {
            self.out.push_str(self.prefix);
            self.out.push(':');
        }
        self.out.push_str(name);
    }

    pub(super) fn open(&mut self, name: &str) {
        self.out.push('<');
        self.dav(name);
        self.out.push('>');
    }

    pub(super) fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.dav(name);
        self.out.push('>');
    }

    /// A DAV element with text, which is escaped.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        self.out.push_str(&escaped(text));
        self.close(name);
    }

    /// An element of any namespace around what is XML already.
    pub(super) fn any(&mut self, namespace: &str, name: &str, inner: &str) {
        let prefix = match namespace {
            DAV => return self.wrapped(name, inner),
            CAL => "C",
            CS => "CS",
            ICAL => "I",
            _ => {
                let namespace = escaped(namespace).replace('"', "&quot;");
                self.out += &format!("<x:{name} xmlns:x=\"{namespace}\">{inner}</x:{name}>");
                return;
            }
        };
        self.out.push('<');
        for part in [prefix, ":", name, ">", inner, "</", prefix, ":", name, ">"] {
            self.out.push_str(part);
        }
    }

    fn wrapped(&mut self, name: &str, inner: &str) {
        self.open(name);
        self.out.push_str(inner);
        self.close(name);
    }

    /// `<d:name/>`, for use inside others.
    pub(super) fn empty(&self, name: &str) -> String {
        match self.prefix {
            "" => format!("<{name}/>"),
            prefix => format!("<{prefix}:{name}/>"),
        }
    }

    /// A DAV element around XML, for use inside others.
    pub(super) fn around(&self, name: &str, inner: &str) -> String {
        match self.prefix {
            "" => format!("<{name}>{inner}</{name}>"),
            prefix => format!("<{prefix}:{name}>{inner}</{prefix}:{name}>"),
        }
    }

    /// A row with a status of its own.
    pub(super) fn status_row(&mut self, href: &str, status: u16, condition: Option<&str>) {
        self.open("response");
        self.text("href", href);
        self.status(status);
        if let Some(condition) = condition {
            let inner = self.empty(condition);
            self.wrapped("error", &inner);
        }
        self.close("response");
    }

    pub(super) fn status(&mut self, status: u16) {
        let line = match status {
            200 => "HTTP/1.1 200 OK",
            404 => "HTTP/1.1 404 Not Found",
            _ => "HTTP/1.1 507 Insufficient Storage",
        };
        self.text("status", line);
    }

    /// Calendar data as XML text.
    pub(super) fn data(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self.data {
            Data::Escaped => escaped(&text).replace('\r', "&#13;"),
            Data::RawCr => escaped(&text),
            Data::Sections => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
        }
    }
}

/// Text as XML writes it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}
