//! The query options of events and calendars (graph-api.md, section 9, "Find" and "Paging"). Pure.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use crate::simulator::reply::Refusal;

/// The query options of a request, each given once and supported.
pub(super) struct Options(HashMap<String, String>);

impl Options {
    pub(super) fn parse(query: &str, supported: &[&str]) -> Result<Self, Refusal> {
        let mut options = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !name.starts_with('$') {
                continue;
            }
            let known = supported.contains(&name.as_ref());
            if !known
                || options
                    .insert(name.to_string(), value.to_string())
                    .is_some()
            {
                return Err(Refusal::bad(format!(
                    "The query option '{name}' is not supported here."
                )));
            }
        }
        Ok(Self(options))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// How many entries a page holds, as `$top` says.
    pub(super) fn top(&self) -> Result<Option<usize>, Refusal> {
        let Some(top) = self.get("$top") else {
            return Ok(None);
        };
        let top = top.parse().ok().filter(|top| (1..=1000).contains(top));
        let invalid = || Refusal::bad("$top is a number from 1 to 1000.");
        top.map(Some).ok_or_else(invalid)
    }

    /// Whether the entity's properties are all in `known`; takes out what `$select` does not name.
    pub(super) fn select(
        &self,
        shown: &mut Map<String, Value>,
        known: &[&str],
        kind: &str,
    ) -> Result<(), Refusal> {
        let Some(select) = self.get("$select") else {
            return Ok(());
        };
        let names: Vec<&str> = select.split(',').map(str::trim).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            let message = format!(
                "Could not find a property named '{name}' on type 'microsoft.graph.{kind}'."
            );
            return Err(Refusal::bad(message));
        }
        shown.retain(|name, _| {
            let asked = name == "singleValueExtendedProperties"; // by $expand
            asked || name == "id" || name.starts_with('@') || names.contains(&name.as_str())
        });
        Ok(())
    }
}

/// An extended property that is looked for: its id as [`property_id`] writes it, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) id: String,
    pub(super) value: String,
}

/// The one supported filter of events: `singleValueExtendedProperties/Any(ep: ep/id eq '...' and
/// ep/value eq '...')`.
pub(super) fn extended_property(filter: &str) -> Result<Wanted, Refusal> {
    let invalid = || {
        Refusal::new(
            400,
            "ErrorInvalidUrlQueryFilter",
            "The query filter contains one or more invalid nodes.",
        )
    };
    use Token::{Sign, Text, Word};
    let tokens = tokens(filter).ok_or_else(invalid)?;
    let tokens: [Token; 13] = tokens.try_into().map_err(|_| invalid())?;
    let [
        Word(collection),
        Sign('('),
        Word(name),
        Sign(':'),
        Word(id),
        Word(eq),
        Text(wanted),
        Word(and),
        Word(value),
        Word(eq_too),
        Text(wanted_value),
        Sign(')'),
        Sign(';'),
    ] = tokens
    else {
        return Err(invalid());
    };
    let fits = [
        "singleValueExtendedProperties/Any",
        "singleValueExtendedProperties/any",
    ]
    .contains(&collection.as_str())
        && id == format!("{name}/id")
        && value == format!("{name}/value")
        && (eq.as_str(), and.as_str(), eq_too.as_str()) == ("eq", "and", "eq");
    let id = property_id(&wanted).filter(|_| fits).ok_or_else(invalid)?;
    Ok(Wanted {
        id,
        value: wanted_value,
    })
}

/// The ids in `$expand=singleValueExtendedProperties($filter=id eq '...')`, which `or` may join.
pub(super) fn expanded(expand: &str) -> Result<Vec<String>, Refusal> {
    let invalid = || Refusal::bad("The expand clause is not supported.");
    use Token::{Sign, Text, Word};
    let tokens = tokens(expand).ok_or_else(invalid)?;
    let [
        Word(name),
        Sign('('),
        Word(filter),
        Sign('='),
        terms @ ..,
        Sign(')'),
        Sign(';'),
    ] = tokens.as_slice()
    else {
        return Err(invalid());
    };
    if name != "singleValueExtendedProperties" || filter != "$filter" {
        return Err(invalid());
    }
    let mut ids = Vec::new();
    for term in terms.split(|token| *token == Word("or".to_owned())) {
        match term {
            [Word(id), Word(eq), Text(wanted)] if id == "id" && eq == "eq" => {
                ids.push(property_id(wanted).ok_or_else(invalid)?);
            }
            _ => return Err(invalid()),
        }
    }
    Ok(ids)
}

/// The name in a calendar filter, `name eq '...'`.
pub(super) fn calendar_name(filter: &str) -> Result<String, Refusal> {
    use Token::{Sign, Text, Word};
    match tokens(filter).as_deref() {
        Some([Word(name), Word(eq), Text(wanted), Sign(';')]) if name == "name" && eq == "eq" => {
            Ok(wanted.clone())
        }
        _ => Err(Refusal::bad("Invalid filter clause.")),
    }
}

/// An extended property's id in one writing: the GUID and numbers without case, the name with.
pub(super) fn property_id(id: &str) -> Option<String> {
    const TYPES: [&str; 12] = [
        "String",
        "Integer",
        "Boolean",
        "SystemTime",
        "Double",
        "CLSID",
        "Long",
        "Short",
        "Float",
        "Currency",
        "ApplicationTime",
        "Binary",
    ];
    let hex = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then(|| text.to_ascii_lowercase())
    };
    let (kind, rest) = id.split_once(' ')?;
    if !TYPES.contains(&kind.strip_suffix("Array").unwrap_or(kind)) {
        return None;
    }
    let Some(rest) = rest.strip_prefix('{') else {
        let number = hex(rest).filter(|number| number.len() == 10)?;
        return Some(format!("{kind} {number}"));
    };
    let (guid, name) = rest.split_once("} ")?;
    let guid = uuid::Uuid::try_parse(guid)
        .ok()
        .filter(|_| guid.len() == 36)?;
    let name = match name.split_once(' ')? {
        ("Name", name) if !name.is_empty() => format!("Name {name}"),
        ("Id", number) => format!("Id {}", hex(number)?),
        _ => return None,
    };
    Some(format!("{kind} {{{guid}}} {name}"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// The tokens of an expression; a `;` marks its end. A quote inside a text is doubled.
fn tokens(expression: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            ' ' => {}
            '(' | ')' | ':' | '=' => tokens.push(Token::Sign(next)),
            '\'' => {
                let mut text = String::new();
                loop {
                    match rest.next()? {
                        '\'' if rest.next_if_eq(&'\'').is_some() => text.push('\''),
                        '\'' => break,
                        other => text.push(other),
                    }
                }
                tokens.push(Token::Text(text));
            }
            _ if is_word(next) => {
                let mut word = String::from(next);
                while let Some(next) = rest.next_if(|next| is_word(*next)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            _ => return None,
        }
    }
    tokens.push(Token::Sign(';'));
    Some(tokens)
}

fn is_word(next: char) -> bool {
    next.is_ascii_alphanumeric() || matches!(next, '_' | '/' | '$')
}

/// The mark of the last entry of an earlier page, which a `$skiptoken` of this query holds; 0 without.
pub(super) fn skipped(query: &str, token: Option<&str>) -> Result<u64, Refusal> {
    let Some(token) = token else {
        return Ok(0);
    };
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let mark = text.and_then(|text| text.split('.').next()?.parse().ok());
    mark.filter(|mark| skip_token(&without_token(query), *mark) == token)
        .ok_or_else(|| Refusal::bad("Skip token is not valid for this query."))
}

/// The query of the page behind the entry with this mark.
pub(super) fn next(query: &str, mark: u64) -> String {
    let rest = without_token(query);
    let token = skip_token(&rest, mark);
    let and = if rest.is_empty() { "" } else { "&" };
    format!("{rest}{and}$skiptoken={token}")
}

/// Good for one query only.
fn skip_token(rest: &str, mark: u64) -> String {
    let digest = Sha256::digest(rest);
    let token = format!("{mark}.{}", BASE64URL_NOPAD.encode(&digest[..12]));
    BASE64URL_NOPAD.encode(token.as_bytes())
}

fn without_token(query: &str) -> String {
    let is_token = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next();
        name.is_some_and(|(name, _)| name == "$skiptoken")
    };
    let pairs = query.split('&').filter(|pair| !is_token(pair));
    pairs.collect::<Vec<_>>().join("&")
}

/// The value of one preference in `Prefer` (RFC 7240), quoted or not; names are compared without case.
pub(super) fn preference<'a>(prefer: &'a str, wanted: &str) -> Option<&'a str> {
    let mut quoted = false;
    let parts = prefer.split(move |next| {
        quoted ^= next == '"';
        !quoted && matches!(next, ',' | ';')
    });
    parts.into_iter().find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim();
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then(|| bare.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "String {a3b0c1d2-0000-4000-8000-00000000000A} Name Key";

    #[test]
    fn a_filter_names_a_property_and_its_value() {
        let good = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq '{ID}' and ep/value eq 'a''b')"
        );
        let wanted = extended_property(&good).unwrap();
        assert_eq!(wanted.id, ID.replace("00A", "00a"));
        assert_eq!(wanted.value, "a'b");
        for bad in [
            "subject eq 'x'".to_owned(),
            good.replace("Any", "all"),
            good.replace("ep/value", "value"),
            good.replace(" and ", " or "),
            good.replace("eq 'a", "ne 'a"),
            good.replace("String", "Text"),
            good.replace("''", "'"),
            format!("{good} and subject eq 'x'"),
            good.replace(')', ""),
        ] {
            assert!(extended_property(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_expansion_names_properties() {
        let one = format!("singleValueExtendedProperties($filter=id eq '{ID}')");
        assert_eq!(expanded(&one).unwrap().len(), 1);
        let two = one.replace("')", &format!("' or id eq '{ID}')"));
        assert_eq!(expanded(&two).unwrap().len(), 2);
        for bad in [
            "singleValueExtendedProperties",
            "attachments",
            &one.replace("id eq", "value eq"),
        ] {
            assert!(expanded(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_of_a_type_and_a_name_or_number() {
        let cases = [
            (ID, true),
            (
                "Integer {a3b0c1d2-0000-4000-8000-00000000000a} Id 0x8233",
                true,
            ),
            ("String 0x0070001f", true),
            ("String 0x70", false),
            ("String {a3b0c1d2} Name Key", false),
            ("String {a3b0c1d2-0000-4000-8000-00000000000a} Name ", false),
            ("String {a3b0c1d2-0000-4000-8000-00000000000a} Key", false),
            (
                "string {a3b0c1d2-0000-4000-8000-00000000000a} Name Key",
                false,
            ),
        ];
        for (id, good) in cases {
            assert_eq!(property_id(id).is_some(), good, "{id}");
        }
        let other = ID.replace("Key", "KEY");
        assert_ne!(property_id(ID), property_id(&other), "a name has case");
    }

    #[test]
    fn preferences_are_joined_by_commas() {
        let prefer = r#"include-unknown-enum-members, outlook.timezone="A, B" ,IdType=ImmutableId"#;
        for (name, value) in [
            ("outlook.timezone", Some("A, B")),
            ("idtype", Some("ImmutableId")),
            ("return", None),
        ] {
            assert_eq!(preference(prefer, name), value, "{name}");
        }
    }
}
