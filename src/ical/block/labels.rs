//! The words of the join block, by language, as Teams itself puts them.

/// The words of the join block in one language. None holds a colon, a comma, a semicolon or a quote:
/// some also stand in a LABEL parameter. A colon is put behind those that introduce something; French
/// has a blank before it.
///
/// A link is told by what older versions have written, too: a title or LABEL that was once released
/// stays in the table.
#[derive(Debug)]
pub(in crate::ical) struct Labels {
    /// The tags of this language and its kin, in lower case; the first is its own.
    pub(super) tags: &'static [&'static str],
    pub(super) title: &'static str,
    pub(super) join: &'static str,
    pub(super) meeting_id: &'static str,
    pub(super) passcode: &'static str,
    pub(super) dial_in: &'static str,
    pub(super) dial_in_free: &'static str,
    pub(super) local_numbers: &'static str,
    pub(super) video_device: &'static str,
    pub(super) chat: &'static str,
    pub(super) options: &'static str,
    /// LABEL of the CONFERENCE to join by audio and video.
    pub(in crate::ical) conference: &'static str,
    /// LABEL of the CONFERENCE with a telephone number. Tells our lines from those of others.
    pub(in crate::ical) conference_phone: &'static str,
    /// LABEL of the CONFERENCE with the page of local numbers. Tells our lines from those of others.
    pub(in crate::ical) conference_numbers: &'static str,
    /// What stands for the title of an event that is nobody else's business.
    pub(super) private_title: &'static str,
    /// What the event in Outlook says that stands for one of the calendar `{}`. Not a label: it may hold
    /// any character.
    pub(super) mirror: &'static str,
}

impl Labels {
    /// What introduces the lines of the join block behind its join line.
    pub(super) fn beside(&self) -> [&'static str; 8] {
        [
            self.meeting_id,
            self.passcode,
            self.dial_in,
            self.dial_in_free,
            self.local_numbers,
            self.video_device,
            self.chat,
            self.options,
        ]
    }

    /// The words for a BCP 47 language tag, by its longest known beginning (RFC 4647, 3.4); English
    /// for a language that is not in the table.
    pub(in crate::ical) fn of(language: &str) -> &'static Self {
        let mut wanted = language.replace('_', "-").to_ascii_lowercase();
        loop {
            if let Some(labels) = ALL.iter().find(|l| l.tags.contains(&wanted.as_str())) {
                return labels;
            }
            match wanted.rfind('-') {
                Some(at) => wanted.truncate(at),
                None => return &ENGLISH,
            }
        }
    }
}

const ENGLISH: Labels = Labels {
    tags: &["en"],
    title: "Microsoft Teams meeting",
    join: "Join",
    meeting_id: "Meeting ID",
    passcode: "Passcode",
    dial_in: "Dial in",
    dial_in_free: "Dial in toll-free",
    local_numbers: "Find a local number",
    video_device: "Video conferencing device ID",
    chat: "Meeting chat",
    options: "Meeting options",
    conference: "Join Microsoft Teams meeting",
    conference_phone: "Dial in to Microsoft Teams meeting",
    conference_numbers: "Find a local number for Microsoft Teams meeting",
    private_title: "Private appointment",
    mirror: "This event mirrors one in the calendar “{}”. Change the original there: changes \
             that are made here are not kept.",
};

/// All languages, English first. "pt" is Brazil's, "zh" is written in simplified characters.
pub(super) static ALL: [Labels; 14] = [
    ENGLISH,
    Labels {
        tags: &["de"],
        title: "Microsoft Teams-Besprechung",
        join: "Teilnehmen",
        meeting_id: "Besprechungs-ID",
        passcode: "Passcode",
        dial_in: "Einwahl",
        dial_in_free: "Einwahl (gebührenfrei)",
        local_numbers: "Lokale Nummer suchen",
        video_device: "Videokonferenz-ID",
        chat: "Besprechungschat",
        options: "Besprechungsoptionen",
        conference: "An Microsoft Teams-Besprechung teilnehmen",
        conference_phone: "In Microsoft Teams-Besprechung einwählen",
        conference_numbers: "Lokale Nummer für Microsoft Teams-Besprechung suchen",
        private_title: "Privater Termin",
        mirror: "Dieser Termin spiegelt einen Termin im Kalender „{}“. Bitte dort das Original ändern: \
                 Änderungen an dieser Stelle bleiben nicht erhalten.",
    },
    Labels {
        tags: &["fr"],
        title: "Réunion Microsoft Teams",
        join: "Rejoindre ",
        meeting_id: "ID de réunion ",
        passcode: "Code secret ",
        dial_in: "Par téléphone ",
        dial_in_free: "Par téléphone (numéro gratuit) ",
        local_numbers: "Rechercher un numéro local ",
        video_device: "ID de vidéoconférence ",
        chat: "Conversation de la réunion ",
        options: "Options de réunion ",
        conference: "Rejoindre la réunion Microsoft Teams",
        conference_phone: "Rejoindre la réunion Microsoft Teams par téléphone",
        conference_numbers: "Rechercher un numéro local pour la réunion Microsoft Teams",
        private_title: "Rendez-vous privé",
        mirror: "Cet événement reflète un événement du calendrier « {} ». Modifiez l’original dans ce \
                 calendrier : les modifications faites ici ne sont pas conservées.",
    },
    Labels {
        tags: &["es"],
        title: "Reunión de Microsoft Teams",
        join: "Unirse",
        meeting_id: "ID de reunión",
        passcode: "Código de acceso",
        dial_in: "Llamar por teléfono",
        dial_in_free: "Llamar por teléfono (número gratuito)",
        local_numbers: "Buscar un número local",
        video_device: "ID de videoconferencia",
        chat: "Chat de la reunión",
        options: "Opciones de reunión",
        conference: "Unirse a la reunión de Microsoft Teams",
        conference_phone: "Llamar a la reunión de Microsoft Teams",
        conference_numbers: "Buscar un número local para la reunión de Microsoft Teams",
        private_title: "Cita privada",
        mirror: "Este evento refleja uno del calendario «{}». Modifique allí el original: los cambios hechos \
                 aquí no se conservan.",
    },
    Labels {
        tags: &["it"],
        title: "Riunione di Microsoft Teams",
        join: "Partecipa",
        meeting_id: "ID riunione",
        passcode: "Passcode",
        dial_in: "Accesso telefonico",
        dial_in_free: "Accesso telefonico (numero verde)",
        local_numbers: "Trova un numero locale",
        video_device: "ID videoconferenza",
        chat: "Chat della riunione",
        options: "Opzioni riunione",
        conference: "Partecipa alla riunione di Microsoft Teams",
        conference_phone: "Partecipa per telefono alla riunione di Microsoft Teams",
        conference_numbers: "Trova un numero locale per la riunione di Microsoft Teams",
        private_title: "Appuntamento privato",
        mirror: "Questo evento rispecchia un evento del calendario «{}». Modificare lì l’originale: le \
                 modifiche fatte qui non vengono conservate.",
    },
    Labels {
        tags: &["nl"],
        title: "Microsoft Teams-vergadering",
        join: "Deelnemen",
        meeting_id: "Vergadering-ID",
        passcode: "Wachtwoordcode",
        dial_in: "Inbellen",
        dial_in_free: "Inbellen (gratis nummer)",
        local_numbers: "Lokaal nummer zoeken",
        video_device: "Videoconferentie-ID",
        chat: "Vergaderchat",
        options: "Vergaderopties",
        conference: "Deelnemen aan Microsoft Teams-vergadering",
        conference_phone: "Inbellen bij Microsoft Teams-vergadering",
        conference_numbers: "Lokaal nummer zoeken voor Microsoft Teams-vergadering",
        private_title: "Privéafspraak",
        mirror: "Deze afspraak is een kopie van een afspraak in de agenda ‘{}’. Wijzig daar het origineel: \
                 wijzigingen die hier worden gemaakt, blijven niet behouden.",
    },
    Labels {
        tags: &["pl"],
        title: "Spotkanie w aplikacji Microsoft Teams",
        join: "Dołącz",
        meeting_id: "Identyfikator spotkania",
        passcode: "Kod dostępu",
        dial_in: "Połączenie telefoniczne",
        dial_in_free: "Połączenie telefoniczne (numer bezpłatny)",
        local_numbers: "Znajdź numer lokalny",
        video_device: "Identyfikator wideokonferencji",
        chat: "Czat spotkania",
        options: "Opcje spotkania",
        conference: "Dołącz do spotkania w aplikacji Microsoft Teams",
        conference_phone: "Zadzwoń na spotkanie w aplikacji Microsoft Teams",
        conference_numbers: "Znajdź numer lokalny spotkania w aplikacji Microsoft Teams",
        private_title: "Prywatny termin",
        mirror: "To wydarzenie odzwierciedla wydarzenie z kalendarza „{}”. Oryginał należy zmieniać tam: \
                 zmiany wprowadzone tutaj nie zostaną zachowane.",
    },
    Labels {
        tags: &["pt"],
        title: "Reunião do Microsoft Teams",
        join: "Ingressar",
        meeting_id: "ID da reunião",
        passcode: "Senha",
        dial_in: "Discagem por telefone",
        dial_in_free: "Discagem por telefone (número gratuito)",
        local_numbers: "Localizar um número local",
        video_device: "ID de videoconferência",
        chat: "Chat da reunião",
        options: "Opções da reunião",
        conference: "Ingressar na reunião do Microsoft Teams",
        conference_phone: "Discar para a reunião do Microsoft Teams",
        conference_numbers: "Localizar um número local para a reunião do Microsoft Teams",
        private_title: "Compromisso particular",
        mirror: "Este evento espelha um evento do calendário “{}”. Altere o original lá: as alterações feitas \
                 aqui não são mantidas.",
    },
    Labels {
        tags: &["pt-pt"],
        title: "Reunião do Microsoft Teams",
        join: "Participar",
        meeting_id: "ID da reunião",
        passcode: "Código de acesso",
        dial_in: "Ligar por telefone",
        dial_in_free: "Ligar por telefone (número gratuito)",
        local_numbers: "Procurar um número local",
        video_device: "ID de videoconferência",
        chat: "Chat da reunião",
        options: "Opções da reunião",
        conference: "Participar na reunião do Microsoft Teams",
        conference_phone: "Ligar para a reunião do Microsoft Teams",
        conference_numbers: "Procurar um número local para a reunião do Microsoft Teams",
        private_title: "Compromisso privado",
        mirror: "Este evento espelha um evento do calendário «{}». Altere o original nesse calendário: as \
                 alterações feitas aqui não são mantidas.",
    },
    Labels {
        tags: &["ru"],
        title: "Собрание Microsoft Teams",
        join: "Присоединиться",
        meeting_id: "Идентификатор собрания",
        passcode: "Секретный код",
        dial_in: "Подключиться по телефону",
        dial_in_free: "Подключиться по телефону (бесплатно)",
        local_numbers: "Найти местный номер",
        video_device: "Идентификатор видеоконференции",
        chat: "Чат собрания",
        options: "Параметры собрания",
        conference: "Присоединиться к собранию Microsoft Teams",
        conference_phone: "Подключиться по телефону к собранию Microsoft Teams",
        conference_numbers: "Найти местный номер для собрания Microsoft Teams",
        private_title: "Частная встреча",
        mirror: "Это событие повторяет событие из календаря «{}». Изменяйте оригинал там: изменения, внесённые \
                 здесь, не сохраняются.",
    },
    Labels {
        tags: &["uk"],
        title: "Нарада Microsoft Teams",
        join: "Приєднатися",
        meeting_id: "Ідентифікатор наради",
        passcode: "Секретний код",
        dial_in: "Підключитися по телефону",
        dial_in_free: "Підключитися по телефону (безкоштовно)",
        local_numbers: "Знайти місцевий номер",
        video_device: "Ідентифікатор відеоконференції",
        chat: "Чат наради",
        options: "Параметри наради",
        conference: "Приєднатися до наради Microsoft Teams",
        conference_phone: "Підключитися по телефону до наради Microsoft Teams",
        conference_numbers: "Знайти місцевий номер для наради Microsoft Teams",
        private_title: "Приватна зустріч",
        mirror: "Ця подія повторює подію з календаря «{}». Змінюйте оригінал там: зміни, внесені тут, не \
                 зберігаються.",
    },
    Labels {
        tags: &["ja"],
        title: "Microsoft Teams 会議",
        join: "参加",
        meeting_id: "会議 ID",
        passcode: "パスコード",
        dial_in: "電話で参加",
        dial_in_free: "電話で参加 (フリーダイヤル)",
        local_numbers: "市内番号を検索",
        video_device: "ビデオ会議 ID",
        chat: "会議のチャット",
        options: "会議のオプション",
        conference: "Microsoft Teams 会議に参加",
        conference_phone: "Microsoft Teams 会議に電話で参加",
        conference_numbers: "Microsoft Teams 会議の市内番号を検索",
        private_title: "非公開の予定",
        mirror: "この予定は、カレンダー「{}」にある予定の写しです。変更は元の予定で行ってください。ここでの変更は保持されません。",
    },
    Labels {
        tags: &["zh"],
        title: "Microsoft Teams 会议",
        join: "加入",
        meeting_id: "会议 ID",
        passcode: "密码",
        dial_in: "电话拨入",
        dial_in_free: "电话拨入 (免费)",
        local_numbers: "查找本地号码",
        video_device: "视频会议 ID",
        chat: "会议聊天",
        options: "会议选项",
        conference: "加入 Microsoft Teams 会议",
        conference_phone: "电话拨入 Microsoft Teams 会议",
        conference_numbers: "查找 Microsoft Teams 会议的本地号码",
        private_title: "私人约会",
        mirror: "此事件是日历“{}”中某个事件的镜像。请在原日历中更改，在此处所做的更改不会保留。",
    },
    Labels {
        tags: &["zh-hant", "zh-tw", "zh-hk", "zh-mo"],
        title: "Microsoft Teams 會議",
        join: "加入",
        meeting_id: "會議識別碼",
        passcode: "密碼",
        dial_in: "電話撥入",
        dial_in_free: "電話撥入 (免付費)",
        local_numbers: "尋找當地號碼",
        video_device: "視訊會議識別碼",
        chat: "會議聊天",
        options: "會議選項",
        conference: "加入 Microsoft Teams 會議",
        conference_phone: "電話撥入 Microsoft Teams 會議",
        conference_numbers: "尋找 Microsoft Teams 會議的當地號碼",
        private_title: "私人約會",
        mirror: "此活動是行事曆「{}」中某個活動的鏡像。請在原行事曆中變更，在此處所做的變更不會保留。",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_the_longest_known_beginning_of_its_tag() {
        for (tag, title, join) in [
            ("en", "Microsoft Teams meeting", "Join"),
            ("EN_us", "Microsoft Teams meeting", "Join"),
            ("de-AT", "Microsoft Teams-Besprechung", "Teilnehmen"),
            ("pt-BR", "Reunião do Microsoft Teams", "Ingressar"),
            ("pt-PT", "Reunião do Microsoft Teams", "Participar"),
            ("pt-PT-ao1990", "Reunião do Microsoft Teams", "Participar"),
            ("zh", "Microsoft Teams 会议", "加入"),
            ("zh-CN", "Microsoft Teams 会议", "加入"),
            ("zh-Hans-TW", "Microsoft Teams 会议", "加入"),
            ("zh-Hant", "Microsoft Teams 會議", "加入"),
            ("zh-hant-CN", "Microsoft Teams 會議", "加入"),
            ("zh-TW", "Microsoft Teams 會議", "加入"),
            ("zh-HK", "Microsoft Teams 會議", "加入"),
            ("xx-YY", "Microsoft Teams meeting", "Join"),
            ("den", "Microsoft Teams meeting", "Join"),
            ("", "Microsoft Teams meeting", "Join"),
            ("---", "Microsoft Teams meeting", "Join"),
        ] {
            let labels = Labels::of(tag);
            assert_eq!((labels.title, labels.join), (title, join), "{tag}");
        }
        for language in [
            "en", "de", "fr", "es", "it", "nl", "pl", "pt", "ru", "uk", "ja", "zh",
        ] {
            assert_eq!(Labels::of(language).tags[0], language);
        }
    }

    #[test]
    fn labels_are_one_line_and_need_no_quotes() {
        for labels in &ALL {
            let own = [
                labels.conference,
                labels.conference_phone,
                labels.conference_numbers,
            ];
            let introducing = [
                labels.join,
                labels.meeting_id,
                labels.passcode,
                labels.dial_in,
                labels.dial_in_free,
                labels.local_numbers,
                labels.video_device,
                labels.chat,
                labels.options,
            ];
            let alone = [labels.title, labels.private_title];
            for label in own.iter().chain(&introducing).chain(&alone) {
                let odd = |c: char| c.is_control() || ":;,\"\\/".contains(c);
                assert!(!label.contains(odd), "{label}");
                assert_eq!(label.trim_start(), *label);
                assert!((1..=70).contains(&label.chars().count()), "{label}");
            }
            // What tells our lines names what they are about.
            for label in own {
                assert!(label.contains("Microsoft Teams"), "{label}");
                assert_eq!(label.trim(), label);
            }
            let [conference, phone, numbers] = own;
            assert!(conference != phone && phone != numbers && conference != numbers);
            let french = labels.tags == ["fr"];
            assert!(
                introducing
                    .iter()
                    .all(|label| label.ends_with(' ') == french)
            );
            assert!(
                labels
                    .tags
                    .iter()
                    .all(|tag| tag.to_ascii_lowercase() == *tag)
            );
        }
        let mut tags: Vec<_> = ALL.iter().flat_map(|labels| labels.tags).collect();
        let all = tags.len();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), all, "a tag stands twice");
        for labels in &ALL {
            assert_eq!(labels.mirror.matches("{}").count(), 1, "{:?}", labels.tags);
        }
        let mut mirrors: Vec<_> = ALL.iter().map(|labels| labels.mirror).collect();
        mirrors.sort();
        mirrors.dedup();
        assert_eq!(mirrors.len(), ALL.len(), "two languages say the same");
    }
}
