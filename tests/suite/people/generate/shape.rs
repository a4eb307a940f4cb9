//! How a file is written.

use super::event::Event;
use crate::people::text::Line;

/// How the files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::people) struct Shape {
    pub(in crate::people) eol: Eol,
    pub(in crate::people) fold: Fold,
    pub(in crate::people) lower_case: bool,
    pub(in crate::people) byte_order_mark: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::people) enum Eol {
    #[default]
    CrLf,
    Lf,
    Mixed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::people) enum Fold {
    #[default]
    Usual,
    Tabs,
    Narrow,
    Never,
    /// After 75 octets, inside characters too.
    Octets,
}

/// A resource as its first author's program writes it.
pub(in crate::people) fn calendar(shape: Shape, events: &[Event], run: u64) -> Vec<u8> {
    let mut lines: Vec<(String, String)> = vec![
        ("BEGIN".into(), "VCALENDAR".into()),
        ("VERSION".into(), "2.0".into()),
        ("PRODID".into(), "-//t//t//EN".into()),
    ];
    lines.extend(events.iter().flat_map(|event| event.lines(run)).flatten());
    lines.push(("END".into(), "VCALENDAR".into()));
    let mut bytes = Vec::new();
    if shape.byte_order_mark {
        bytes.extend_from_slice("\u{feff}".as_bytes());
    }
    for (at, (head, value)) in lines.iter().enumerate() {
        let eol = match shape.eol {
            Eol::CrLf => "\r\n",
            Eol::Lf => "\n",
            Eol::Mixed => ["\r\n", "\n", "\n"][at % 3],
        };
        let head = match (shape.lower_case, head.split_once(';')) {
            (false, _) => head.clone(),
            (true, Some((name, rest))) => format!("{};{rest}", name.to_lowercase()),
            (true, None) => head.to_lowercase(),
        };
        bytes.extend(folded(shape.fold, &head, value, eol));
    }
    bytes
}

fn folded(fold: Fold, head: &str, value: &str, eol: &str) -> Vec<u8> {
    match fold {
        Fold::Usual => Line::new(head, value, eol, 75).0,
        Fold::Narrow => Line::new(head, value, eol, 60).0,
        Fold::Never => Line::new(head, value, eol, usize::MAX).0,
        Fold::Tabs => {
            let line = String::from_utf8(Line::new(head, value, eol, 75).0).unwrap();
            line.replace("\n ", "\n\t").into_bytes()
        }
        Fold::Octets => {
            let line = format!("{head}:{value}");
            let mut bytes = Vec::new();
            for (at, chunk) in line.as_bytes().chunks(74).enumerate() {
                if at > 0 {
                    bytes.extend_from_slice(eol.as_bytes());
                    bytes.push(b' ');
                }
                bytes.extend_from_slice(chunk);
            }
            bytes.extend_from_slice(eol.as_bytes());
            bytes
        }
    }
}
