//! What the body of an Outlook event says, by language. Pure.

use crate::model::CalendarName;

/// Where `{}` stands, the name of the calendar is put.
const ENGLISH: &str = "This event mirrors one in the calendar “{}”. Change the original there: changes \
                       that are made here are not kept.";

/// Language tags in lower case, and their sentence; "pt" is Brazil's, "zh" is written in simplified
/// characters.
const ALL: &[(&[&str], &str)] = &[
    (&["en"], ENGLISH),
    (
        &["de"],
        "Dieser Termin spiegelt einen Termin im Kalender „{}“. Bitte dort das Original ändern: \
         Änderungen an dieser Stelle bleiben nicht erhalten.",
    ),
    (
        &["fr"],
        "Cet événement reflète un événement du calendrier « {} ». Modifiez l’original dans ce \
         calendrier : les modifications faites ici ne sont pas conservées.",
    ),
    (
        &["es"],
        "Este evento refleja uno del calendario «{}». Modifique allí el original: los cambios hechos \
         aquí no se conservan.",
    ),
    (
        &["it"],
        "Questo evento rispecchia un evento del calendario «{}». Modificare lì l’originale: le \
         modifiche fatte qui non vengono conservate.",
    ),
    (
        &["nl"],
        "Deze afspraak is een kopie van een afspraak in de agenda ‘{}’. Wijzig daar het origineel: \
         wijzigingen die hier worden gemaakt, blijven niet behouden.",
    ),
    (
        &["pl"],
        "To wydarzenie odzwierciedla wydarzenie z kalendarza „{}”. Oryginał należy zmieniać tam: \
         zmiany wprowadzone tutaj nie zostaną zachowane.",
    ),
    (
        &["pt"],
        "Este evento espelha um evento do calendário “{}”. Altere o original lá: as alterações feitas \
         aqui não são mantidas.",
    ),
    (
        &["pt-pt"],
        "Este evento espelha um evento do calendário «{}». Altere o original nesse calendário: as \
         alterações feitas aqui não são mantidas.",
    ),
    (
        &["ru"],
        "Это событие повторяет событие из календаря «{}». Изменяйте оригинал там: изменения, внесённые \
         здесь, не сохраняются.",
    ),
    (
        &["uk"],
        "Ця подія повторює подію з календаря «{}». Змінюйте оригінал там: зміни, внесені тут, не \
         зберігаються.",
    ),
    (
        &["ja"],
        "この予定は、カレンダー「{}」にある予定の写しです。変更は元の予定で行ってください。ここでの変更は保持されません。",
    ),
    (
        &["zh"],
        "此事件是日历“{}”中某个事件的镜像。请在原日历中更改，在此处所做的更改不会保留。",
    ),
    (
        &["zh-hant", "zh-tw", "zh-hk", "zh-mo"],
        "此活動是行事曆「{}」中某個活動的鏡像。請在原行事曆中變更，在此處所做的變更不會保留。",
    ),
];

/// The body in a language (BCP 47), by its longest known beginning (RFC 4647, 3.4); English where there
/// is none.
pub(super) fn html(origin: &CalendarName, language: &str) -> String {
    let name = escape(origin.as_str());
    format!("<p>{}</p>", sentence(language).replace("{}", &name))
}

fn sentence(language: &str) -> &'static str {
    let mut wanted = language.replace('_', "-").to_ascii_lowercase();
    loop {
        if let Some((_, sentence)) = ALL.iter().find(|(tags, _)| tags.contains(&wanted.as_str())) {
            return sentence;
        }
        match wanted.rfind('-') {
            Some(at) => wanted.truncate(at),
            None => return ENGLISH,
        }
    }
}

/// A text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_names_the_calendar_once() {
        for (tags, sentence) in ALL {
            assert_eq!(sentence.matches("{}").count(), 1, "{tags:?}");
        }
        let html = |language| html(&CalendarName::new("team"), language);
        for (language, word) in [
            ("en-US", "mirrors"),
            ("de_CH", "Kalender"),
            ("pt-BR", "Altere o original lá"),
            ("pt-PT", "nesse calendário"),
            ("zh-Hant-TW", "行事曆"),
            ("xx", "mirrors"),
            ("", "mirrors"),
        ] {
            let html = html(language);
            assert!(
                html.contains(word) && html.contains("team"),
                "{language}: {html}"
            );
        }
    }

    #[test]
    fn the_name_of_a_calendar_is_no_markup() {
        let html = html(&CalendarName::new("<b>&\"'\r\n{}"), "en");
        assert!(html.contains("“&lt;b&gt;&amp;&quot;&#39;  {}”"), "{html}");
    }
}
