//! Elements and texts, one by one, on top of quick-xml.

use std::borrow::Cow;

use quick_xml::NsReader;
use quick_xml::errors::Error;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::XmlError;

/// The deepest nesting of elements.
const MAX_DEPTH: usize = 64;
/// The most elements of one body.
const MAX_ELEMENTS: usize = 20_000_000;

/// The namespaces that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// `DAV:`
    Dav,
    /// `urn:ietf:params:xml:ns:caldav`
    CalDav,
    /// `http://calendarserver.org/ns/`
    CalendarServer,
    /// `http://apple.com/ns/ical/`
    Apple,
    /// Any other, or none.
    Other,
}

impl Space {
    fn of(name: &ResolveResult<'_>) -> Self {
        let ResolveResult::Bound(Namespace(uri)) = name else {
            return Self::Other;
        };
        match *uri {
            "DAV:" => Self::Dav,
            "urn:ietf:params:xml:ns:caldav" => Self::CalDav,
            "http://calendarserver.org/ns/" => Self::CalendarServer,
            "http://apple.com/ns/ical/" => Self::Apple,
            _ => Self::Other,
        }
    }
}

/// An element's beginning.
pub(super) struct Element<'x> {
    pub(super) space: Space,
    start: BytesStart<'x>,
}

impl Element<'_> {
    /// Its name without the prefix.
    pub(super) fn local(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// Whether it is this one.
    pub(super) fn is(&self, space: Space, local: &str) -> bool {
        self.space == space && self.local() == local
    }

    /// The value of an attribute without a namespace.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let found = self.start.try_get_attribute(name).ok().flatten()?;
        Some(found.value.into_owned())
    }
}

/// What comes next.
pub(super) enum Token<'x> {
    Open(Element<'x>),
    Close,
    Text(Cow<'x, str>),
    End,
}

/// Reads a body token by token.
pub(super) struct Pull<'x> {
    reader: NsReader<&'x [u8]>,
    /// How many elements are open.
    depth: usize,
    elements: usize,
    /// An element `<like-this/>` waits for its [`Token::Close`].
    empty: bool,
    /// A text in the making that comes in several tokens: an escaped iCalendar text has two for each
    /// line.
    parts: String,
}

impl<'x> Pull<'x> {
    pub(super) fn new(text: &'x str) -> Self {
        let mut reader = NsReader::from_str(text);
        // Some servers do not escape the ampersands of what they store.
        reader.config_mut().allow_dangling_amp = true;
        Self {
            reader,
            depth: 0,
            elements: 0,
            empty: false,
            parts: String::new(),
        }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'x>, XmlError> {
        if std::mem::take(&mut self.empty) {
            return Ok(Token::Close);
        }
        loop {
            return Ok(
                match self.reader.read_event().map_err(|e| self.wrong(&e))? {
                    Event::Start(start) => {
                        self.depth += 1;
                        Token::Open(self.element(start)?)
                    }
                    Event::Empty(start) => {
                        self.empty = true;
                        Token::Open(self.element(start)?)
                    }
                    Event::End(_) => {
                        self.depth -= 1;
                        Token::Close
                    }
                    Event::Text(text) => Token::Text(text.into_inner()),
                    Event::CData(text) => Token::Text(text.into_inner()),
                    Event::GeneralRef(reference) => Token::Text(meant(reference.into_inner())),
                    Event::DocType(name) if is_html(&name) => return Err(XmlError::WebPage),
                    Event::DocType(_) => return Err(XmlError::Doctype),
                    Event::Comment(_) | Event::PI(_) | Event::Decl(_) => continue,
                    Event::Eof if self.depth > 0 => return Err(XmlError::Truncated),
                    Event::Eof => Token::End,
                },
            );
        }
    }

    /// The body's first element.
    pub(super) fn root(&mut self) -> Result<Element<'x>, XmlError> {
        loop {
            match self.next()? {
                Token::Open(element) if is_html(element.local()) => return Err(XmlError::WebPage),
                Token::Open(element) => return Ok(element),
                Token::Text(text) if text.trim().is_empty() => {}
                Token::End if self.elements == 0 => return Err(XmlError::Empty),
                _ => return Err(XmlError::NotXml),
            }
        }
    }

    /// Nothing may follow the root.
    pub(super) fn end(&mut self) -> Result<(), XmlError> {
        loop {
            match self.next()? {
                Token::End => return Ok(()),
                Token::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.broken()),
            }
        }
    }

    /// The next element within the one that is open, or `None` at its end; texts are passed over.
    pub(super) fn child(&mut self) -> Result<Option<Element<'x>>, XmlError> {
        loop {
            match self.next()? {
                Token::Open(element) => return Ok(Some(element)),
                Token::Close => return Ok(None),
                Token::Text(_) => {}
                Token::End => return Err(XmlError::Truncated),
            }
        }
    }

    /// Passes over the rest of the element that is open.
    pub(super) fn skip(&mut self) -> Result<(), XmlError> {
        let mut open = 1;
        while open > 0 {
            match self.next()? {
                Token::Open(_) => open += 1,
                Token::Close => open -= 1,
                Token::Text(_) => {}
                Token::End => return Err(XmlError::Truncated),
            }
        }
        Ok(())
    }

    /// The text of the element that is open, to its end; elements within are passed over.
    pub(super) fn text(&mut self) -> Result<Cow<'x, str>, XmlError> {
        let mut first = Cow::Borrowed("");
        self.parts.clear();
        loop {
            match self.next()? {
                Token::Text(text) if first.is_empty() => first = text,
                Token::Text(text) => {
                    if self.parts.is_empty() {
                        self.parts.push_str(&first);
                    }
                    self.parts.push_str(&text);
                }
                Token::Open(_) => self.skip()?,
                Token::Close if self.parts.is_empty() => return Ok(first),
                Token::Close => return Ok(Cow::Owned(self.parts.clone())),
                Token::End => return Err(XmlError::Truncated),
            }
        }
    }

    fn element(&mut self, start: BytesStart<'x>) -> Result<Element<'x>, XmlError> {
        self.elements += 1;
        if self.depth > MAX_DEPTH || self.elements > MAX_ELEMENTS {
            return Err(XmlError::TooMuch);
        }
        let (namespace, _) = self.reader.resolver().resolve_element(start.name());
        let space = Space::of(&namespace);
        Ok(Element { space, start })
    }

    fn broken(&self) -> XmlError {
        XmlError::Broken {
            at: self.reader.error_position(),
        }
    }

    fn wrong(&self, error: &Error) -> XmlError {
        match error {
            // quick-xml's syntax errors are about what is not closed at the end.
            Error::Syntax(_) if self.elements > 0 => XmlError::Truncated,
            Error::Namespace(_) => XmlError::TooMuch,
            _ if self.elements == 0 => XmlError::NotXml,
            _ => self.broken(),
        }
    }
}

/// Whether this is the name of a web page's root, or of its document type.
fn is_html(name: &str) -> bool {
    name.get(..4)
        .is_some_and(|name| name.eq_ignore_ascii_case("html"))
}

/// What a reference stands for; one that is not known stands for itself.
fn meant(name: Cow<'_, str>) -> Cow<'_, str> {
    let known = match name.as_ref() {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        // By far the most frequent: every line's end of an escaped iCalendar text.
        "#13" | "#xD" | "#xd" => "\r",
        other => {
            return Cow::Owned(match character(other) {
                Some(character) => character.to_string(),
                None => format!("&{name};"),
            });
        }
    };
    Cow::Borrowed(known)
}

/// The character of `#10` or `#xA`.
fn character(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?)
}
