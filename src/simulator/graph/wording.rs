//! `joinInformation`: the text people would see, in a few languages. Pure.

use std::fmt::Write as _;

use url::form_urlencoded;

/// A language that the simulator can write in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
    French,
    Spanish,
    Japanese,
}

impl Language {
    /// The preferred one of an `Accept-Language` header (RFC 9110, 12.5.4) that is known; else English.
    pub(super) fn preferred(header: &str) -> Self {
        let mut best = (0.0, Self::English);
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let primary = parts.next().unwrap_or_default().split('-').next();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality: f32 = quality.map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let known = match primary.map(str::to_ascii_lowercase).as_deref() {
                Some("en") => Self::English,
                Some("de") => Self::German,
                Some("fr") => Self::French,
                Some("es") => Self::Spanish,
                Some("ja") => Self::Japanese,
                _ => continue,
            };
            if quality > best.0 {
                best = (quality, known);
            }
        }
        best.1
    }

    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en-US",
            Self::German => "de-DE",
            Self::French => "fr-FR",
            Self::Spanish => "es-ES",
            Self::Japanese => "ja-JP",
        }
    }

    fn words(self) -> Words {
        match self {
            Self::English => Words {
                title: "Microsoft Teams meeting",
                join: "Join the meeting",
                meeting_id: "Meeting ID:",
                passcode: "Passcode:",
                dial_in: "Dial in by phone",
                numbers: "Find a local number",
                conference: "Phone conference ID:",
                video: "Video ID:",
                options: "Meeting options",
            },
            Self::German => Words {
                title: "Microsoft Teams-Besprechung",
                join: "An der Besprechung teilnehmen",
                meeting_id: "Besprechungs-ID:",
                passcode: "Kenncode:",
                dial_in: "Per Telefon einwählen",
                numbers: "Lokale Nummer suchen",
                conference: "Telefonkonferenz-ID:",
                video: "Video-ID:",
                options: "Besprechungsoptionen",
            },
            Self::French => Words {
                title: "Réunion Microsoft Teams",
                join: "Rejoindre la réunion",
                meeting_id: "ID de réunion :",
                passcode: "Code secret :",
                dial_in: "Participer par téléphone",
                numbers: "Trouver un numéro local",
                conference: "ID de conférence téléphonique :",
                video: "ID vidéo :",
                options: "Options de réunion",
            },
            Self::Spanish => Words {
                title: "Reunión de Microsoft Teams",
                join: "Unirse a la reunión",
                meeting_id: "Id. de reunión:",
                passcode: "Código de acceso:",
                dial_in: "Llamar por teléfono",
                numbers: "Buscar un número local",
                conference: "Id. de conferencia:",
                video: "Id. de vídeo:",
                options: "Opciones de la reunión",
            },
            Self::Japanese => Words {
                title: "Microsoft Teams 会議",
                join: "会議に参加する",
                meeting_id: "会議 ID:",
                passcode: "パスコード:",
                dial_in: "電話で参加",
                numbers: "市内番号を検索",
                conference: "電話会議 ID:",
                video: "ビデオ ID:",
                options: "会議のオプション",
            },
        }
    }
}

struct Words {
    title: &'static str,
    join: &'static str,
    meeting_id: &'static str,
    passcode: &'static str,
    dial_in: &'static str,
    numbers: &'static str,
    conference: &'static str,
    video: &'static str,
    options: &'static str,
}

/// What join information tells.
pub(super) struct Invitation<'a> {
    pub(super) url: &'a str,
    pub(super) options_url: &'a str,
    pub(super) meeting_id: &'a str,
    pub(super) passcode: Option<&'a str>,
    pub(super) dial_in: Option<DialIn<'a>>,
    /// The video teleconference id.
    pub(super) video: Option<&'a str>,
}

/// A meeting's telephone access.
pub(super) struct DialIn<'a> {
    pub(super) conference_id: &'a str,
    pub(super) toll: &'static str,
    pub(super) toll_free: &'static str,
    pub(super) url: String,
}

/// `joinInformation.content`: a form-encoded `data:text/html,` URL (graph-api.md, section 7).
pub(super) fn join_information(meeting: &Invitation<'_>, language: Language) -> String {
    let words = language.words();
    let mut html = format!(
        "data:text/html,\r\n  <div style=\"width:100%\" lang=\"{}\">\r\n<b>{}</b><br>\r\n\
         <a href=\"{}\">{}</a><br>\r\n{} {}<br>\r\n",
        language.tag(),
        words.title,
        attribute(meeting.url),
        words.join,
        words.meeting_id,
        meeting.meeting_id,
    );
    // Writing to a String cannot fail.
    if let Some(passcode) = meeting.passcode {
        let _ = write!(html, "{} {passcode}<br>\r\n", words.passcode);
    }
    if let Some(dial_in) = &meeting.dial_in {
        let _ = write!(
            html,
            "<b>{}</b><br>\r\n<a href=\"tel:{}\">{}</a><br>\r\n<a href=\"{}\">{}</a><br>\r\n{} {}#<br>\r\n",
            words.dial_in,
            dial_in.toll.replace(' ', ""),
            dial_in.toll,
            attribute(&dial_in.url),
            words.numbers,
            words.conference,
            dial_in.conference_id,
        );
    }
    if let Some(video) = meeting.video {
        let _ = write!(html, "{} {video}<br>\r\n", words.video);
    }
    let _ = write!(
        html,
        "<a href=\"{}\">{}</a>\r\n</div>",
        attribute(meeting.options_url),
        words.options
    );
    form_urlencoded::byte_serialize(html.as_bytes()).collect()
}

fn attribute(url: &str) -> String {
    url.replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_known_language_is_taken() {
        use Language::*;
        let cases = [
            ("", English),
            ("de-DE", German),
            ("cy, de;q=0.5, en;q=0.3", German),
            ("de;q=0.2, en-GB", English),
            ("cy", English),
            ("fr-CA", French),
            ("ja;q=0.9, es", Spanish),
            ("de;q=x", English),
        ];
        for (header, expected) in cases {
            assert_eq!(Language::preferred(header), expected, "{header}");
        }
    }
}
