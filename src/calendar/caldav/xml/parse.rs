//! From a body to a [`Multistatus`].

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::pull::{Element, Pull, Space};
use super::{More, Multistatus, Props, Response, XmlError};

/// The most responses of one answer.
const MAX_RESPONSES: usize = 250_000;
/// The most names, conditions and hrefs within properties of one answer. They take far more memory than
/// they take bytes.
const MAX_NAMES: usize = 250_000;

/// Reads a multistatus, all of it.
///
/// # Errors
/// When the body is no complete multistatus: what is cut off is an error, never a short answer.
pub fn parse(body: &[u8]) -> Result<Multistatus, XmlError> {
    let text = Text::of(body);
    let mut reader = Reader {
        pull: Pull::new(text.as_str()),
        mapped: text.mapped,
        names: 0,
    };
    let root = reader.pull.root()?;
    if !root.is(Space::Dav, "multistatus") {
        return Err(XmlError::NotDav);
    }
    let mut answer = Multistatus::default();
    while let Some(element) = reader.pull.child()? {
        if element.is(Space::Dav, "response") {
            reader.response(&mut answer.responses)?;
        } else if element.is(Space::Dav, "sync-token") {
            answer.sync_token = reader.words()?;
        } else {
            reader.pull.skip()?;
        }
    }
    reader.pull.end()?;
    Ok(answer)
}

/// The condition that a DAV:error body names (RFC 4918, 16): the local name of its first element, such
/// as `valid-sync-token`.
pub fn error_condition(body: &[u8]) -> Option<String> {
    let text = Text::of(body);
    let mut pull = Pull::new(text.as_str());
    if !pull.root().ok()?.is(Space::Dav, "error") {
        return None;
    }
    let condition = pull.child().ok()??;
    Some(condition.local().to_owned())
}

struct Reader<'x> {
    pull: Pull<'x>,
    mapped: bool,
    /// How many names there were.
    names: usize,
}

impl<'x> Reader<'x> {
    /// Reads a response that is open; several hrefs make several responses (RFC 4918, 14.24).
    fn response(&mut self, to: &mut Vec<Response>) -> Result<(), XmlError> {
        let mut response = Response::default();
        let mut more_hrefs = Vec::new();
        let mut seen_href = false;
        while let Some(element) = self.pull.child()? {
            if element.space != Space::Dav {
                self.pull.skip()?;
                continue;
            }
            match element.local() {
                "href" => {
                    let href = self.words()?.unwrap_or_default();
                    if !std::mem::replace(&mut seen_href, true) {
                        response.href = href;
                    } else if more_hrefs.len() < MAX_RESPONSES {
                        more_hrefs.push(href);
                    } else {
                        return Err(XmlError::TooMuch);
                    }
                }
                "status" => response.status = Some(status(&self.pull.text()?)),
                "propstat" => self.propstat(&mut response)?,
                "error" => self.conditions(&mut response.errors)?,
                _ => self.pull.skip()?,
            }
        }
        if to.len() + more_hrefs.len() >= MAX_RESPONSES {
            return Err(XmlError::TooMuch);
        }
        let status = response.status;
        to.push(response);
        to.extend(more_hrefs.into_iter().map(|href| Response {
            href,
            status,
            ..Response::default()
        }));
        Ok(())
    }

    fn propstat(&mut self, response: &mut Response) -> Result<(), XmlError> {
        let mut props = Props::default();
        let mut code = 200;
        while let Some(element) = self.pull.child()? {
            if element.is(Space::Dav, "prop") {
                self.props(&mut props)?;
            } else if element.is(Space::Dav, "status") {
                code = status(&self.pull.text()?);
            } else if element.is(Space::Dav, "error") {
                self.conditions(&mut response.errors)?;
            } else {
                self.pull.skip()?;
            }
        }
        if code == 200 {
            response.found.add(props);
        } else {
            response.missing.get_or_insert(code);
        }
        Ok(())
    }

    fn props(&mut self, props: &mut Props) -> Result<(), XmlError> {
        while let Some(element) = self.pull.child()? {
            match (element.space, element.local()) {
                (Space::Dav, "getetag") => props.etag = self.words()?,
                (Space::CalDav, "schedule-tag") => props.schedule_tag = self.words()?,
                (Space::CalDav, "calendar-data") => {
                    let text = self.pull.text()?;
                    props.calendar_data = Some(bytes(text, self.mapped));
                }
                (Space::Dav, "getlastmodified") => {
                    props.last_modified = time(&self.pull.text()?);
                }
                (Space::Dav, "getcontenttype") => props.content_type = self.words()?,
                (Space::Dav, "resourcetype") => props.resource_types = self.names(&[])?,
                (Space::CalendarServer, "getctag") => props.ctag = self.words()?,
                (Space::Dav, "sync-token") => props.sync_token = self.words()?,
                _ => self.more(&element, props)?,
            }
        }
        Ok(())
    }

    fn more(&mut self, element: &Element<'x>, props: &mut Props) -> Result<(), XmlError> {
        let more = &mut props.more;
        match (element.space, element.local()) {
            (Space::Dav, "displayname") => set(more).display_name = self.words()?,
            (Space::Apple, "calendar-color") => set(more).colour = self.words()?,
            (Space::Dav, "owner") => set(more).owner = self.hrefs()?.into_iter().next(),
            (Space::Dav, "current-user-principal") => {
                set(more).current_user_principal = self.hrefs()?.into_iter().next();
            }
            (Space::CalDav, "calendar-home-set") => set(more).calendar_home_set = self.hrefs()?,
            (Space::CalDav, "calendar-user-address-set") => {
                set(more).calendar_user_address_set = self.hrefs()?;
            }
            (Space::CalDav, "calendar-timezone") => set(more).calendar_timezone = self.words()?,
            (Space::Dav, "supported-report-set") => {
                set(more).supported_reports = Some(self.names(&["supported-report", "report"])?);
            }
            (Space::Dav, "current-user-privilege-set") => {
                set(more).privileges = Some(self.names(&["privilege"])?);
            }
            (Space::CalDav, "supported-calendar-component-set") => {
                set(more).components = Some(self.components()?);
            }
            (Space::CalDav, "max-resource-size") => {
                set(more).max_resource_size = self.pull.text()?.trim().parse().ok();
            }
            _ => self.pull.skip()?,
        }
        Ok(())
    }

    /// The text of the open element without the blanks around it; `None` where nothing is left.
    fn words(&mut self) -> Result<Option<String>, XmlError> {
        let text = self.pull.text()?;
        let text = text.trim();
        Ok((!text.is_empty()).then(|| match self.mapped {
            true => text.chars().map(shown).collect(),
            false => text.to_owned(),
        }))
    }

    /// The DAV:hrefs directly within the open element.
    fn hrefs(&mut self) -> Result<Vec<String>, XmlError> {
        let mut all = Vec::new();
        while let Some(element) = self.pull.child()? {
            if element.is(Space::Dav, "href") {
                self.count()?;
                all.extend(self.words()?);
            } else {
                self.pull.skip()?;
            }
        }
        Ok(all)
    }

    /// The local names of the elements within the open one, and within those that only wrap others.
    fn names(&mut self, wrappers: &[&str]) -> Result<BTreeSet<String>, XmlError> {
        let mut all = BTreeSet::new();
        let mut open = 1;
        while open > 0 {
            let Some(element) = self.pull.child()? else {
                open -= 1;
                continue;
            };
            let name = element.local();
            if wrappers.contains(&name) {
                open += 1;
                continue;
            }
            all.insert(name.to_owned());
            self.count()?;
            self.pull.skip()?;
        }
        Ok(all)
    }

    fn components(&mut self) -> Result<BTreeSet<String>, XmlError> {
        let mut all = BTreeSet::new();
        while let Some(element) = self.pull.child()? {
            if element.is(Space::CalDav, "comp") {
                self.count()?;
                all.extend(element.attribute("name").map(|n| n.to_ascii_uppercase()));
            }
            self.pull.skip()?;
        }
        Ok(all)
    }

    /// The conditions in the open DAV:error.
    fn conditions(&mut self, to: &mut Vec<String>) -> Result<(), XmlError> {
        while let Some(element) = self.pull.child()? {
            to.push(element.local().to_owned());
            self.count()?;
            self.pull.skip()?;
        }
        Ok(())
    }

    /// Takes note of one more name.
    fn count(&mut self) -> Result<(), XmlError> {
        self.names += 1;
        match self.names > MAX_NAMES {
            true => Err(XmlError::TooMuch),
            false => Ok(()),
        }
    }
}

fn set(more: &mut Option<Box<More>>) -> &mut More {
    more.get_or_insert_default()
}

impl Props {
    /// Adds what another property group of the same resource holds.
    fn add(&mut self, other: Self) {
        if *self == Self::default() {
            *self = other;
            return;
        }
        let Self {
            etag,
            schedule_tag,
            calendar_data,
            last_modified,
            content_type,
            resource_types,
            ctag,
            sync_token,
            more,
        } = other;
        let first = std::mem::take(self);
        *self = Self {
            etag: first.etag.or(etag),
            schedule_tag: first.schedule_tag.or(schedule_tag),
            calendar_data: first.calendar_data.or(calendar_data),
            last_modified: first.last_modified.or(last_modified),
            content_type: first.content_type.or(content_type),
            resource_types: &first.resource_types | &resource_types,
            ctag: first.ctag.or(ctag),
            sync_token: first.sync_token.or(sync_token),
            more: match (first.more, more) {
                (Some(first), Some(other)) => Some(Box::new(first.with(*other))),
                (first, other) => first.or(other),
            },
        };
    }
}

impl More {
    fn with(self, other: Self) -> Self {
        fn either(first: Vec<String>, other: Vec<String>) -> Vec<String> {
            if first.is_empty() { other } else { first }
        }
        Self {
            display_name: self.display_name.or(other.display_name),
            colour: self.colour.or(other.colour),
            owner: self.owner.or(other.owner),
            current_user_principal: self.current_user_principal.or(other.current_user_principal),
            calendar_home_set: either(self.calendar_home_set, other.calendar_home_set),
            calendar_user_address_set: either(
                self.calendar_user_address_set,
                other.calendar_user_address_set,
            ),
            calendar_timezone: self.calendar_timezone.or(other.calendar_timezone),
            supported_reports: self.supported_reports.or(other.supported_reports),
            privileges: self.privileges.or(other.privileges),
            components: self.components.or(other.components),
            max_resource_size: self.max_resource_size.or(other.max_resource_size),
        }
    }
}

/// The code of a status line, `HTTP/1.1 200 OK`; 0 where there is none.
fn status(line: &str) -> u16 {
    let mut words = line.split_ascii_whitespace();
    let code = words.find(|word| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()));
    code.and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// An HTTP date in the one form that is still written (RFC 9110, 5.6.7).
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some(time.to_utc())
}

/// Where in the last private plane the bytes that are not UTF-8 stand in for themselves.
const STAND_IN: u32 = 0x10_FF00;

/// A body as text, so that no byte is lost: see [`STAND_IN`].
struct Text<'b> {
    text: Cow<'b, str>,
    /// Whether there are stand-ins.
    mapped: bool,
}

impl<'b> Text<'b> {
    fn of(body: &'b [u8]) -> Self {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        if let Ok(text) = std::str::from_utf8(body) {
            return Self {
                text: Cow::Borrowed(text),
                mapped: false,
            };
        }
        let mut text = String::with_capacity(body.len() + body.len() / 8);
        let stand_in = |byte: &u8| char::from_u32(STAND_IN + u32::from(*byte));
        for chunk in body.utf8_chunks() {
            for character in chunk.valid().chars() {
                if original(character).is_some() {
                    // It would be taken for a stand-in, so its bytes get one each.
                    let mut buffer = [0; 4];
                    let bytes = character.encode_utf8(&mut buffer).as_bytes();
                    text.extend(bytes.iter().filter_map(stand_in));
                } else {
                    text.push(character);
                }
            }
            text.extend(chunk.invalid().iter().filter_map(stand_in));
        }
        Self {
            text: Cow::Owned(text),
            mapped: true,
        }
    }

    fn as_str(&self) -> &str {
        &self.text
    }
}

/// The byte that a character stands in for.
fn original(character: char) -> Option<u8> {
    let byte = u32::from(character).checked_sub(STAND_IN)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// A character as it is shown: what is not UTF-8 cannot be.
fn shown(character: char) -> char {
    match original(character) {
        Some(_) => char::REPLACEMENT_CHARACTER,
        None => character,
    }
}

/// A text's bytes as they were sent.
fn bytes(text: Cow<'_, str>, mapped: bool) -> Vec<u8> {
    if !mapped {
        return text.into_owned().into_bytes();
    }
    let mut all = Vec::with_capacity(text.len());
    for character in text.chars() {
        match original(character) {
            Some(byte) => all.push(byte),
            None => all.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    all
}
