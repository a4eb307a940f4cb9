//! A reader over the TOML tree that collects faults rather than stop at the first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, SHOWN, Text};
use crate::model::Escaped;

/// A value, with where it stands.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Why a value cannot be taken.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) hint: String,
    /// Where, when it is only a part of the value.
    pub(super) span: Option<Range<usize>>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
            span: None,
        }
    }

    pub(super) fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

/// Gathers the faults of one text.
pub(super) struct Collector<'t> {
    text: Text<'t>,
    faults: RefCell<Vec<Fault>>,
    /// How many there are besides.
    more: Cell<usize>,
    /// Lines with a syntax fault: what else seems wrong there follows from it.
    broken: BTreeSet<usize>,
    /// Every key that was asked for, as `table.key`.
    known: RefCell<BTreeSet<String>>,
    /// What an absent table is read from.
    empty: DeTable<'t>,
}

impl<'t> Collector<'t> {
    /// Begins with the faults that the parser found.
    pub(super) fn new(text: Text<'t>, syntax: &[toml::de::Error]) -> Self {
        let broken = syntax
            .iter()
            .filter_map(|error| Some(text.line(error.span()?.start)));
        let broken = broken.collect();
        let shown = syntax.iter().take(SHOWN).map(|error| Fault {
            place: error.span().map(|span| text.place(span, None)),
            what: Escaped(error.message()).to_string(),
            hint: None,
        });
        let shown: Vec<Fault> = shown.collect();
        Self {
            broken,
            more: Cell::new(syntax.len() - shown.len()),
            faults: RefCell::new(shown),
            text,
            known: RefCell::default(),
            empty: DeTable::new(),
        }
    }

    /// The first faults that were found, and how many there are besides.
    pub(super) fn into_faults(self) -> (Vec<Fault>, usize) {
        (self.faults.into_inner(), self.more.get())
    }

    /// Whether there is room for one more fault; counts it where there is none.
    fn has_room(&self) -> bool {
        let room = self.faults.borrow().len() < SHOWN;
        if !room {
            self.more.set(self.more.get() + 1);
        }
        room
    }

    /// The keys that were asked for, as `table.key`.
    #[cfg(test)]
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    /// Reports a fault of the file as a whole.
    pub(super) fn general(&self, what: impl Into<String>, hint: impl Into<String>) {
        if self.broken.is_empty() && self.has_room() {
            self.faults.borrow_mut().push(Fault {
                place: None,
                what: what.into(),
                hint: Some(hint.into()),
            });
        }
    }

    fn report(&self, span: Range<usize>, key: Option<&str>, wrong: Wrong) {
        if !self.broken.contains(&self.text.line(span.start)) && self.has_room() {
            self.faults.borrow_mut().push(Fault {
                place: Some(self.text.place(span, key)),
                what: wrong.what,
                hint: Some(wrong.hint),
            });
        }
    }

    /// The table at the top of the file.
    pub(super) fn root<'c>(&'c self, root: &'c Spanned<DeTable<'t>>) -> Table<'c, 't> {
        Table::new(self, String::new(), root.get_ref(), root.span())
    }
}

/// One table; whatever is not asked for by [`Table::finish`] is unknown.
pub(super) struct Table<'c, 't> {
    collector: &'c Collector<'t>,
    /// Its name without indexes: `calendar.directory`; empty for the root.
    path: String,
    entries: &'c DeTable<'t>,
    span: Range<usize>,
    asked: BTreeSet<&'static str>,
}

impl<'c, 't> Table<'c, 't> {
    fn new(
        collector: &'c Collector<'t>,
        path: String,
        entries: &'c DeTable<'t>,
        span: Range<usize>,
    ) -> Self {
        Self {
            collector,
            path,
            entries,
            span,
            asked: BTreeSet::new(),
        }
    }

    /// Where the table begins in the file: the order of tables.
    pub(super) fn start(&self) -> usize {
        self.span.start
    }

    /// Whether the key is there, well-formed or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The line that the key's value begins in, from 1; the table's own when the key is not there.
    pub(super) fn line_of(&self, key: &'static str) -> usize {
        let span = self
            .entries
            .get(key)
            .map_or(self.span.clone(), Spanned::span);
        self.collector.text.line(span.start)
    }

    fn ask(&mut self, key: &'static str) -> Option<&'c Value<'t>> {
        self.asked.insert(key);
        self.collector.known.borrow_mut().insert(self.name_of(key));
        self.entries.get(key)
    }

    fn name_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// The value of a key that may be absent; a faulty one is reported, and absent too.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let value = self.ask(key)?;
        read(value)
            .map_err(|wrong| {
                let span = wrong.span.clone().unwrap_or_else(|| value.span());
                self.collector.report(span, Some(key), named(key, wrong));
            })
            .ok()
    }

    /// The value of a key that must be there: its absence is reported as well.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(
                &format!("`{key}` is missing"),
                "config/example.toml explains it",
            );
        }
        self.optional(key, read)
    }

    /// Reports that something is not there. Where the syntax is broken, nobody can tell.
    pub(super) fn missing(&self, what: &str, hint: &str) {
        if self.collector.broken.is_empty() {
            self.report(Wrong::new(what, hint));
        }
    }

    /// Reports a fault of the table as a whole, at its header.
    pub(super) fn report(&self, wrong: Wrong) {
        if self.path.is_empty() {
            self.collector.general(wrong.what, wrong.hint);
        } else {
            self.collector.report(self.span.clone(), None, wrong);
        }
    }

    /// Reports a fault of a value that was read well but does not fit the rest.
    pub(super) fn report_at(&self, key: &'static str, wrong: Wrong) {
        let span = self
            .entries
            .get(key)
            .map_or(self.span.clone(), Spanned::span);
        self.collector.report(span, Some(key), named(key, wrong));
    }

    /// A key that is known but never accepted: says why, whatever its value.
    pub(super) fn refuse(&mut self, key: &'static str, what: &str, hint: &str) {
        self.asked.insert(key);
        if let Some((key, _)) = self.entries.get_key_value(key) {
            let name = key.get_ref();
            let wrong = Wrong::new(format!("`{name}`: {what}"), hint);
            self.collector.report(key.span(), Some(name), wrong);
        }
    }

    /// The table below a key; an absent or faulty one reads as an empty table.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'c, 't> {
        let path = self.name_of(key);
        let found = self.ask(key);
        match found.map(|value| (value.get_ref(), value.span())) {
            Some((DeValue::Table(entries), span)) => {
                return Table::new(self.collector, path, entries, span);
            }
            Some((other, _)) => self.report_at(key, mistaken("a table", other)),
            None => {}
        }
        Table::new(
            self.collector,
            path,
            &self.collector.empty,
            self.span.clone(),
        )
    }

    /// The entries of a table whose keys are values too, such as addresses; `None` when it is absent.
    /// Faulty entries are reported, and absent.
    pub(super) fn entries<K: Ord, T>(
        &mut self,
        key: &'static str,
        read_key: impl Fn(&str) -> Result<K, Wrong>,
        read: impl Fn(&Value<'t>) -> Result<T, Wrong>,
    ) -> Option<BTreeMap<K, T>> {
        if !self.has(key) {
            self.ask(key);
            return None;
        }
        let table = self.table(key);
        let mut read_all = BTreeMap::new();
        for (name, value) in table.entries.iter() {
            let shown: String = name.get_ref().chars().take(64).collect();
            let shown = Escaped(&shown).to_string();
            let its = |wrong| named(&shown, wrong);
            match (read_key(name.get_ref()), read(value)) {
                (Ok(name), Ok(value)) => drop(read_all.insert(name, value)),
                (Err(wrong), _) => table.collector.report(name.span(), Some(key), its(wrong)),
                (_, Err(wrong)) => table.collector.report(value.span(), Some(key), its(wrong)),
            }
        }
        Some(read_all)
    }

    /// The tables of an array of tables; none when the key is absent.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'c, 't>> {
        let path = self.name_of(key);
        let hint = format!("write [[{path}]] above each");
        match self.ask(key).map(|value| value.get_ref()) {
            None => Vec::new(),
            Some(DeValue::Array(items)) => {
                let mut tables = Vec::new();
                for item in items.iter() {
                    match item.get_ref() {
                        DeValue::Table(entries) => {
                            let span = item.span();
                            tables.push(Table::new(self.collector, path.clone(), entries, span));
                        }
                        _ => self.report_at(key, Wrong::new("expected tables", hint.clone())),
                    }
                }
                tables
            }
            Some(_) => {
                self.report_at(key, Wrong::new("expected an array of tables", hint));
                Vec::new()
            }
        }
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.entries.iter() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(name) {
                continue;
            }
            let hint = match nearest(name, self.asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => {
                    let known: Vec<&str> = self.asked.iter().copied().collect();
                    format!("known here: {}", known.join(", "))
                }
            };
            let shown: String = name.chars().take(64).collect();
            let wrong = Wrong::new(format!("unknown key `{}`", Escaped(&shown)), hint);
            self.collector.report(key.span(), Some(name), wrong);
        }
    }
}

fn named(key: &str, wrong: Wrong) -> Wrong {
    Wrong {
        what: format!("`{key}`: {}", wrong.what),
        ..wrong
    }
}

/// Something of another kind than was expected.
pub(super) fn mistaken(expected: &str, found: &DeValue<'_>) -> Wrong {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    Wrong::new(
        format!("expected {expected}, found {found}"),
        format!("write {expected}"),
    )
}

/// The known word that is most like the given one, if any is like it at all.
pub(crate) fn nearest<'w>(given: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    if given.len() > 64 {
        return None;
    }
    let given = given.to_lowercase().replace('_', "-");
    known
        .map(|word| {
            let likeness = strsim::normalized_damerau_levenshtein(&given, &word.to_lowercase());
            (likeness, word)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
