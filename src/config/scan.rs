//! A look at the raw text before the TOML parser sees it: is it nested within reason?
//!
//! The parser bounds brackets but not dotted keys, and a tree of 500,000 tables, one in the other,
//! overflows the stack when it is dropped.

use std::ops::Range;

/// How deep brackets may be nested; a configuration needs 3.
const BRACKETS: usize = 16;
/// How many dots may stand outside strings in one line; a configuration needs 2.
const DOTS: usize = 32;

/// Walks over strings, comments and brackets as TOML has them.
///
/// Returns the parts of the text that stand inside a multi-line string or an open bracket.
///
/// # Errors
/// The place of what is nested too deeply.
pub(super) fn scan(text: &str) -> Result<Vec<Range<usize>>, Range<usize>> {
    let bytes = text.as_bytes();
    let mut inside = Vec::new();
    let (mut at, mut brackets, mut opened, mut dots) = (0, 0_usize, 0, 0);
    // Whether the line has shown only blanks, and whether the open bracket began its line.
    let (mut blank, mut header) = (true, false);
    while let Some(&byte) = bytes.get(at) {
        let first = blank;
        blank = byte == b'\n' || blank && matches!(byte, b' ' | b'\t');
        match byte {
            b'\n' => {
                dots = 0;
                if header {
                    // A table's header ends with its line, closed or not.
                    brackets = 0;
                }
            }
            b'#' => {
                let rest = bytes.get(at..).unwrap_or_default();
                at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                continue;
            }
            b'"' | b'\'' => {
                let end = string_end(bytes, at, byte);
                if text
                    .get(at..end)
                    .is_some_and(|string| string.contains('\n'))
                {
                    inside.push(at..end);
                }
                at = end;
                continue;
            }
            b'.' => dots += 1,
            b'[' | b'{' => {
                if brackets == 0 {
                    (opened, header) = (at, first);
                }
                brackets += 1;
            }
            b']' | b'}' => {
                brackets = brackets.saturating_sub(1);
                if brackets == 0 {
                    inside.push(opened..at);
                }
            }
            _ => {}
        }
        if dots > DOTS || brackets > BRACKETS {
            return Err(at..at + 1);
        }
        at += 1;
    }
    if brackets > 0 {
        inside.push(opened..bytes.len());
    }
    Ok(inside)
}

/// Where the string that begins at `at` ends: after its closing quotes, or at the end of the line
/// for a one-line string that is not closed.
fn string_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let triple = [quote; 3];
    let multi = bytes.get(at..at + 3) == Some(&triple);
    let close: &[u8] = if multi { &triple } else { &triple[..1] };
    let mut here = at + close.len();
    while let Some(&byte) = bytes.get(here) {
        if byte == b'\\' && quote == b'"' {
            // An escaped line end does not continue a one-line string.
            here += if !multi && bytes.get(here + 1) == Some(&b'\n') {
                1
            } else {
                2
            };
        } else if bytes[here..].starts_with(close) {
            return here + close.len();
        } else if byte == b'\n' && !multi {
            return here;
        } else {
            here += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deeply_is_found_before_it_is_parsed() {
        let deep = [
            format!("{}=1", "a.".repeat(100_000) + "a"),
            format!("[{}]", "\"a\".".repeat(1000) + "a"),
            format!("a={}", "[".repeat(1000)),
            format!("a={}", "{b=".repeat(1000)),
            format!("a={}", "{\nb.b.b=".repeat(1000)),
        ];
        for text in deep {
            assert!(scan(&text).is_err(), "{}", &text[..40]);
        }
        let fine = [
            format!("# {}", ".".repeat(1000)),
            format!("a = \"{}\"", ".[{".repeat(1000)),
            format!("a = '''\n{}\n'''", ".[{".repeat(1000)),
            "a.b = 1\n".repeat(1000),
            "a = \"\\\"[\" # it's\n".repeat(1000),
        ];
        for text in fine {
            assert!(scan(&text).is_ok(), "{}", &text[..10]);
        }
    }

    #[test]
    fn a_string_or_header_that_is_not_closed_ends_with_its_line() {
        assert_eq!(scan("[[a]\nb = 1\n"), Ok(vec![]));
        for (text, inside) in [
            ("a = \"x\nb = [\n1]", 11..14),
            ("a = \"x\\\nb = [\n1]", 12..15),
        ] {
            assert_eq!(scan(text).unwrap(), [inside]);
        }
    }
}
