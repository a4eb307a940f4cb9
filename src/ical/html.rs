//! HTML as calendars carry it beside plain text: a tolerant scan that finds links, our block, and the
//! end of the body. Linear in the text, and it never changes any.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memrchr};

/// How far behind the fence of our block its link may stand, in bytes.
const NEAR: usize = 1 << 10;
/// How long our block may have become, in bytes.
const FAR: usize = 64 << 10;
/// How many steps back from the end of the text are looked at for its closing tags.
const STEPS: usize = 256;
/// The elements whose content is no HTML.
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];

/// A piece of HTML; all pieces together are the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins.
    pub(super) start: usize,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, with character references.
    Text,
    /// A tag that begins an element.
    Open,
    /// A tag that ends one.
    Close,
    /// A comment, a declaration, the content of a script.
    Other,
    /// One of these that has no end: the rest of the text.
    Unfinished,
}

impl Piece<'_> {
    /// Whether it is a tag of this name, in lower case.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.kind, Kind::Open | Kind::Close)
            && tag_name(self.text).eq_ignore_ascii_case(name)
    }

    /// The value of a tag's attribute with this name in lower case, with its references decoded.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.text.get(1 + tag_name(self.text).len()..)?;
        rest = rest.strip_suffix('>').unwrap_or(rest);
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            let ends = |c: char| c.is_ascii_whitespace() || c == '=' || c == '/';
            // What begins with a `=` has it in its name, as browsers read it.
            let end = rest
                .char_indices()
                .find(|&(at, c)| at > 0 && ends(c))
                .map_or(rest.len(), |(at, _)| at);
            let (found, behind) = rest.split_at(end);
            let behind = behind.trim_ascii_start();
            let (value, behind) = match behind.strip_prefix('=') {
                Some(value) => attribute_value(value.trim_ascii_start()),
                None => ("", behind),
            };
            if found.eq_ignore_ascii_case(name) {
                return Some(unescape(value).into_owned());
            }
            rest = behind;
        }
    }
}

/// The value that `text` begins with, and what follows it.
fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace());
    text.split_at(end.unwrap_or(text.len()))
}

/// The pieces of `html`, in order.
pub(super) fn pieces(html: &str) -> impl Iterator<Item = Piece<'_>> {
    Pieces {
        html,
        at: 0,
        raw: None,
    }
}

struct Pieces<'a> {
    html: &'a str,
    at: usize,
    /// The element that has just begun, if its content is no HTML.
    raw: Option<&'static str>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.html.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (kind, length) = match self.raw.take().map(|name| raw_end(rest, name)) {
            Some(None) => (Kind::Unfinished, rest.len()),
            Some(Some(end)) if end > 0 => (Kind::Other, end),
            _ => first_piece(rest),
        };
        let piece = Piece {
            kind,
            text: rest.get(..length)?,
            start: self.at,
        };
        if kind == Kind::Open {
            self.raw = RAW.into_iter().find(|name| piece.is(name));
        }
        self.at += length;
        Some(piece)
    }
}

/// Kind and length of the piece that `rest` begins with.
fn first_piece(rest: &str) -> (Kind, usize) {
    let mut bytes = rest.bytes();
    let found = match (bytes.next(), bytes.next(), bytes.next()) {
        (Some(b'<'), Some(b'!'), _) if rest.starts_with("<!--") => {
            let end = rest.get(2..).and_then(|inner| inner.find("-->"));
            (Kind::Other, end.map(|at| at + 5))
        }
        (Some(b'<'), Some(first), _) if first.is_ascii_alphabetic() => {
            (Kind::Open, tag_length(rest))
        }
        (Some(b'<'), Some(b'/'), Some(first)) if first.is_ascii_alphabetic() => {
            (Kind::Close, tag_length(rest))
        }
        (Some(b'<'), Some(b'!' | b'?' | b'/'), _) => {
            let end = memchr(b'>', rest.as_bytes());
            (Kind::Other, end.map(|at| at + 1))
        }
        _ => {
            let end = rest.get(1..).and_then(|rest| rest.find('<'));
            // A character of several bytes: what is behind its first one is no boundary.
            let end = end.map(|at| at + 1).or_else(|| rest.find('<'));
            (
                Kind::Text,
                Some(end.filter(|&at| at > 0).unwrap_or(rest.len())),
            )
        }
    };
    match found {
        (kind, Some(length)) => (kind, length),
        (_, None) => (Kind::Unfinished, rest.len()),
    }
}

/// The length of the tag that `rest` begins with: up to the first `>` outside quotes.
fn tag_length(rest: &str) -> Option<usize> {
    let (mut quote, mut value) = (None, false);
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at + 1),
            (None, b'=') => value = true,
            (None, b'"' | b'\'') if value => (quote, value) = (Some(byte), false),
            (None, _) => value &= byte.is_ascii_whitespace(),
        }
    }
    None
}

/// Where the end tag of the raw element begins.
fn raw_end(rest: &str, name: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    memchr::memchr_iter(b'<', bytes).find(|&at| {
        let tag = bytes.get(at + 1..at + 2 + name.len());
        tag.is_some_and(|tag| {
            tag.first() == Some(&b'/')
                && tag
                    .get(1..)
                    .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
        })
    })
}

fn tag_name(tag: &str) -> &str {
    let name = tag.trim_start_matches(['<', '/']);
    let end = name.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
    name.get(..end.unwrap_or(name.len())).unwrap_or("")
}

/// Where something can be put in at the end of the text, best first: before the end tags of body and
/// document where they stand at its end, else at its very end; then behind these tags, and between the
/// end tags before.
///
/// # Errors
/// Why what is put there would not be shown.
pub(super) fn ends(html: &str) -> Result<Vec<usize>, &'static str> {
    if pieces(html).any(|piece| piece.kind == Kind::Unfinished) {
        return Err("a comment, a tag or a script in its HTML has no end");
    }
    let (mut places, mut best, mut at) = (vec![html.len()], html.len(), html.len());
    for _ in 0..STEPS {
        let before = html.get(..at).unwrap_or("");
        at = match before.chars().next_back() {
            Some(blank) if blank.is_ascii_whitespace() => at - blank.len_utf8(),
            Some('>') => match end_tag(before) {
                Some((name, _)) if RAW.iter().any(|raw| name.eq_ignore_ascii_case(raw)) => break,
                Some((name, start)) => {
                    if ["body", "html"]
                        .iter()
                        .any(|n| name.eq_ignore_ascii_case(n))
                    {
                        best = start;
                    }
                    start
                }
                None => break,
            },
            _ => break,
        };
        places.push(at);
    }
    // What looks like an end tag may stand within another tag.
    let first = places.iter().min().copied().unwrap_or(0);
    for piece in pieces(html).filter(|piece| piece.kind != Kind::Text) {
        let end = piece.start + piece.text.len();
        if end > first {
            places.retain(|&place| place <= piece.start || place >= end);
        }
    }
    places.sort_by_key(|&place| (place < best, place.abs_diff(best)));
    Ok(places)
}

/// Name and beginning of the end tag that `before` ends with.
fn end_tag(before: &str) -> Option<(&str, usize)> {
    let start = memrchr(b'<', before.as_bytes())?;
    let name = before.get(start..)?.strip_prefix("</")?.strip_suffix('>')?;
    let name = name.trim_ascii_end();
    let formed = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    formed.then_some((name, start))
}

/// Where our block stands: from the `<hr>` before a link that `is_ours` to the next one behind it.
pub(super) fn block(html: &str, is_ours: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    let mut fence = None;
    let mut linked = false;
    for piece in pieces(html).filter(|piece| piece.kind == Kind::Open) {
        let end = piece.start + piece.text.len();
        if piece.is("hr") {
            match fence {
                Some(from) if linked && end - from <= FAR => return Some(from..end),
                _ => (fence, linked) = (Some(piece.start), false),
            }
        } else if piece.is("a") && !linked {
            linked = fence.is_some_and(|from| piece.start - from <= NEAR)
                && piece.attribute("href").is_some_and(|href| is_ours(&href));
        }
    }
    None
}

/// `text` for HTML, between tags and in quotes alike; what is not ASCII as numbers with `ascii`.
pub(super) fn escape(text: &str, ascii: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if ascii && !c.is_ascii() => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `html` with its character references decoded, as far as links have them.
pub(super) fn unescape(html: &str) -> Cow<'_, str> {
    /// The longest reference that is decoded, `&#x10FFFF;`.
    const LONGEST: usize = 10;
    if memchr(b'&', html.as_bytes()).is_none() {
        return Cow::Borrowed(html);
    }
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let head = from.as_bytes().get(..LONGEST).unwrap_or(from.as_bytes());
        let decoded = memchr(b';', head).and_then(|end| Some((decoded(from.get(1..end)?)?, end)));
        match decoded {
            Some((c, end)) => {
                text.push(c);
                rest = from.get(end + 1..).unwrap_or("");
            }
            None => {
                text.push('&');
                rest = from.get(1..).unwrap_or("");
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character that a reference names.
fn decoded(name: &str) -> Option<char> {
    Some(match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(html: &str) -> Vec<(Kind, &str)> {
        let found: Vec<_> = pieces(html).map(|p| (p.kind, p.text)).collect();
        let whole: String = found.iter().map(|(_, text)| *text).collect();
        assert_eq!(whole, html);
        found
    }

    #[test]
    fn html_falls_into_pieces_and_none_is_lost() {
        use Kind::{Close, Open, Other, Text, Unfinished};
        let cases: [(&str, &[(Kind, &str)]); 12] = [
            ("", &[]),
            (
                "a<b>c</b>",
                &[(Text, "a"), (Open, "<b>"), (Text, "c"), (Close, "</b>")],
            ),
            ("1 < 2 <3", &[(Text, "1 "), (Text, "< 2 "), (Text, "<3")]),
            ("ü<b>ü", &[(Text, "ü"), (Open, "<b>"), (Text, "ü")]),
            (
                "<!doctype html>x",
                &[(Other, "<!doctype html>"), (Text, "x")],
            ),
            ("<!-- <b> -->x", &[(Other, "<!-- <b> -->"), (Text, "x")]),
            ("<!-->x", &[(Other, "<!-->"), (Text, "x")]),
            ("x<!-- <b>", &[(Text, "x"), (Unfinished, "<!-- <b>")]),
            ("<a b='>' c=d>x", &[(Open, "<a b='>' c=d>"), (Text, "x")]),
            ("<a b=\"x>", &[(Unfinished, "<a b=\"x>")]),
            (
                "<Script>a<b></sCript >",
                &[(Open, "<Script>"), (Other, "a<b>"), (Close, "</sCript >")],
            ),
            (
                "<style></style",
                &[(Open, "<style>"), (Unfinished, "</style")],
            ),
        ];
        for (html, expected) in cases {
            assert_eq!(kinds(html), expected, "{html}");
        }
        assert_eq!(
            kinds("<title>no end"),
            [(Open, "<title>"), (Unfinished, "no end")]
        );
    }

    #[test]
    fn an_attribute_is_read_however_it_is_written() {
        for html in [
            "<a href=\"x&amp;y\">",
            "<A\nclass=b HREF = 'x&#38;y' />",
            "<a download href=x&#x26;y>",
            "<a title=\"href='no'\" href=\"x&y\" href=\"second\">",
            "<a/href=x&y>",
        ] {
            let found = pieces(html).next().unwrap().attribute("href");
            assert_eq!(found.as_deref(), Some("x&y"), "{html}");
        }
        for html in [
            "<a>",
            "<a hrefs=x>",
            "<a data-href=x>",
            "<a =href=x>",
            "<a x='href=y'>",
        ] {
            let found = pieces(html).next().unwrap().attribute("href");
            assert_eq!(found, None, "{html}");
        }
    }

    #[test]
    fn the_end_of_the_body_is_found_where_it_stands_at_the_end() {
        let cases = [
            ("", 0),
            ("<b>x</b>", 8),
            ("<body>x</body>", 7),
            ("<html><body>x</BODY>\n </html >\n", 13),
            ("<html>x</html>", 7),
            ("x</body>y", 9),
            ("<script>x</script></body>", 18),
            ("x<!-- </body> -->", 17),
            ("<a</body>", 9),
        ];
        for (html, expected) in cases {
            let ends = ends(html).unwrap();
            assert_eq!(ends[0], expected, "{html}");
            assert!(ends.iter().all(|&at| html.is_char_boundary(at)));
        }
        assert_eq!(ends("<i><b>x</b></i>").unwrap(), [15, 11, 7]);
        assert_eq!(ends("<p>x</p></body></html>").unwrap(), [8, 15, 22, 4]);
        assert_eq!(ends("<script></p></script>").unwrap(), [21]);
        for html in ["x<!-- y", "x<p", "<script>x", "<a title=\">"] {
            assert!(ends(html).is_err(), "{html}");
        }
        assert!(ends(&" ".repeat(100_000)).unwrap().len() <= STEPS + 1);
    }

    #[test]
    fn text_goes_into_html_and_back() {
        let text = "a&b<c>d\"e'f ü€😀 &amp;";
        assert_eq!(unescape(&escape(text, false)), text);
        assert_eq!(unescape(&escape(text, true)), text);
        assert!(escape(text, true).is_ascii());
        assert_eq!(escape("ü\"&", true), "&#252;&quot;&amp;");
        for same in [
            "a & b",
            "&unknown;",
            "&;",
            "&#xd800;",
            "&#99999999999;",
            "&ü;",
        ] {
            assert_eq!(unescape(same), same);
        }
    }

    #[test]
    fn what_is_hostile_costs_no_more_than_its_length() {
        for text in [
            "<",
            "<a ",
            "<!--",
            "&",
            "</",
            "<hr>",
            "<a href='",
            "<script></",
            "> </p>",
        ] {
            let long = text.repeat(200_000);
            assert!(pieces(&long).count() <= long.len());
            let _ = ends(&long);
            assert_eq!(block(&long, |_| false), None);
            let _ = unescape(&long);
        }
    }
}
