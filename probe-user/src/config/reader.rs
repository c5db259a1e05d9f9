//! Walks a TOML document, remembers which keys were asked for, and collects what is wrong.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// The text of a file, and what was found wrong with it so far.
pub(crate) struct Reader<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    /// Takes note of a problem; `offset` is in bytes.
    pub(crate) fn report(&self, offset: usize, field: &str, message: &str) {
        self.problems.borrow_mut().push(Problem::at(self.text, offset, field, message));
    }

    /// How many problems there are.
    pub(crate) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// The line of an offset, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        Problem::at(self.text, offset, "", "").line
    }

    /// The problems, in the order of the text.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }

    /// The whole document, or `None` and a problem where it is no TOML.
    pub(crate) fn document(&self) -> Option<DeTable<'t>> {
        match DeTable::parse(self.text) {
            Ok(document) => Some(document.into_inner()),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let message = format!("this is not TOML: {}", error.message());
                self.report(offset, &field_around(self.text, offset), &message);
                None
            }
        }
    }
}

/// The field that a place belongs to, in a text that does not parse: the key in front of it and the
/// last header above. A guess, but the line is exact.
fn field_around(text: &str, offset: usize) -> String {
    let offset = text.floor_char_boundary(offset);
    let line_start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    let header =
        |line: &str| line.starts_with('[').then(|| line.trim_matches(['[', ']']).to_owned());
    if let Some(section) = header(line) {
        return section;
    }
    let key = line.split('=').next().unwrap_or_default().trim();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let key = if key.chars().all(is_key) { key } else { "" };
    match text[..line_start].lines().rev().find_map(|line| header(line.trim())) {
        Some(section) if key.is_empty() => section,
        Some(section) => format!("{section}.{key}"),
        None => key.to_owned(),
    }
}

/// One table of the document. It knows which keys were asked for, so that it can tell which ones
/// nobody knows.
pub(crate) struct Section<'a, 'i> {
    /// Where problems go.
    pub(crate) reader: &'a Reader<'i>,
    /// Offset of its header; of the end of the text where it is absent.
    pub(crate) offset: usize,
    name: &'static str,
    absent: bool,
    table: Option<&'a DeTable<'i>>,
    asked: Vec<&'static str>,
}

/// A value, and the offset at which it stands.
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) offset: usize,
}

impl<'a, 'i> Section<'a, 'i> {
    /// The section in a table.
    pub(crate) fn new(
        reader: &'a Reader<'i>,
        name: &'static str,
        value: &'a Spanned<DeValue<'i>>,
    ) -> Self {
        let table = value.get_ref().as_table();
        let offset = value.span().start;
        Self { reader, offset, name, absent: false, table, asked: Vec::new() }
    }

    /// A section that the file does not have.
    pub(super) fn absent(reader: &'a Reader<'i>, name: &'static str) -> Self {
        let offset = reader.text.len();
        Self { reader, offset, name, absent: true, table: None, asked: Vec::new() }
    }

    /// Whether the file does not have it.
    pub(super) fn is_absent(&self) -> bool {
        self.absent
    }

    /// Where the value of a field stands; where the section does if it has no such field.
    pub(crate) fn place(&self, key: &str) -> usize {
        let value = self.table.and_then(|table| table.get(key));
        value.map_or(self.offset, |value| value.span().start)
    }

    /// Whether a field is given, be it right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Takes note of a problem with a field of this section.
    pub(crate) fn report(&self, offset: usize, key: &str, message: &str) {
        self.reader.report(offset, &format!("{}.{key}", self.name), message);
    }

    /// Reads a field with `read`, whose error becomes a problem. `None` where the field is absent or
    /// wrong.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a DeValue<'i>) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        self.asked.push(key);
        let value = self.table?.get(key)?;
        let offset = value.span().start;
        match read(value.get_ref()) {
            Ok(value) => Some(Placed { value, offset }),
            Err(message) => {
                self.report(offset, key, &message);
                None
            }
        }
    }

    /// As [`Self::optional`], but an absent field is a problem too, and `example` tells what to
    /// write.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&'a DeValue<'i>) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        if self.table.is_some_and(|table| !table.contains_key(key)) {
            self.asked.push(key);
            self.report(self.offset, key, &format!("is missing; write {key} = {example}"));
            return None;
        }
        self.optional(key, read)
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(table) = self.table else { return };
        for key in table.keys().filter(|key| !self.asked.contains(&key.get_ref().as_ref())) {
            let message = format!(
                "is not a field of this section; {}it has {}",
                suggestion(key.get_ref(), &self.asked, ""),
                self.asked.join(", "),
            );
            self.report(key.span().start, key.get_ref(), &message);
        }
    }
}

/// `did you mean "x"? `, or nothing where no candidate is near.
pub(crate) fn suggestion(word: &str, candidates: &[&str], quote: &str) -> String {
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min()
        .map_or(String::new(), |(_, candidate)| format!("did you mean {quote}{candidate}{quote}? "))
}

/// The edit distance (Levenshtein) of two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
