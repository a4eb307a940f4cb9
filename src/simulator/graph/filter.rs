//! The filters of onlineMeetings (graph-api.md, section 6). Pure.

use serde_json::json;
use url::form_urlencoded;

use super::Desk;
use super::access::NO_PERMISSION;
use super::record::View;
use crate::simulator::manners::FilterMiss;
use crate::simulator::reply::{Refusal, Reply};
use crate::simulator::state::{Key, World};

impl Desk<'_> {
    pub(super) fn filter(&self, world: &mut World, query: &str) -> Result<Reply, Refusal> {
        let name = filter_value(query)?;
        let context = format!("{}/onlineMeetings", self.context());
        let manners = &self.settings.manners;
        let found = world
            .named(&name)
            .and_then(|id| world.meeting(&id, self.call.now, manners.expiry));
        let Some(meeting) = found else {
            return match manners.filter_miss {
                FilterMiss::Empty => Ok(Reply::json(
                    200,
                    json!({"@odata.context": context, "value": []}),
                )),
                FilterMiss::NotFound => {
                    Err(Refusal::new(404, "NotFound", "The meeting was not found."))
                }
            };
        };
        if meeting.organizer != self.organizer.id {
            return Err(Refusal::new(403, "", NO_PERMISSION));
        }
        let shown = meeting.show(&View {
            long_url: true,
            ..self.view(true)
        });
        let key = Key::of(meeting);
        world.count(key, |calls| calls.filter += 1);
        Ok(Reply::json(
            200,
            json!({"@odata.context": context, "value": [shown]}),
        ))
    }
}

/// The value that the query's `$filter` compares one of the two allowed properties with.
fn filter_value(query: &str) -> Result<String, Refusal> {
    let expected = || {
        Refusal::new(
            400,
            "InvalidArgument",
            "Filter expression expected - /onlineMeetings?$filter={ParameterName} eq '{id}'.",
        )
    };
    let mut filter = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = name == "$filter" && filter.is_some();
        if again || (name.starts_with('$') && name != "$filter") {
            return Err(Refusal::bad(format!(
                "The query option '{name}' is not supported."
            )));
        }
        if name == "$filter" {
            filter = Some(value.into_owned());
        }
    }
    let filter = filter.ok_or_else(expected)?;
    let (property, literal) = filter.split_once(" eq ").ok_or_else(expected)?;
    let known = [
        "JoinWebUrl",
        "joinWebUrl",
        "joinMeetingIdSettings/joinMeetingId",
    ];
    if !known.contains(&property.trim()) {
        return Err(expected());
    }
    let quoted = literal
        .trim()
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    let quoted = quoted.ok_or_else(expected)?;
    if quoted.replace("''", "").contains('\'') {
        return Err(expected()); // a quote inside is doubled
    }
    Ok(quoted.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_one_of_two_properties_and_a_quoted_value() {
        let cases = [
            (
                "$filter=JoinWebUrl%20eq%20'https%3A%2F%2Fx%2F19%253a'",
                Some("https://x/19%3a"),
            ),
            ("%24filter=JoinWebUrl+eq+'a''b'", Some("a'b")),
            (
                "$filter=joinMeetingIdSettings/joinMeetingId eq '123'",
                Some("123"),
            ),
            (
                "$filter=JoinWebUrl%20eq%20'https://x/19%3a'",
                Some("https://x/19:"),
            ),
            ("", None),
            ("filter=JoinWebUrl eq 'x'", None),
            ("$filter=subject eq 'x'", None),
            ("$filter=JoinWebUrl ne 'x'", None),
            ("$filter=JoinWebUrl eq x", None),
            ("$filter=JoinWebUrl eq 'a'b'", None),
            ("$filter=JoinWebUrl eq '", None),
            ("$filter=JoinWebUrl eq 'x'&$top=1", None),
            ("$filter=JoinWebUrl eq 'x'&$filter=JoinWebUrl eq 'y'", None),
        ];
        for (query, expected) in cases {
            assert_eq!(filter_value(query).ok().as_deref(), expected, "{query}");
        }
    }
}
