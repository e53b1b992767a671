//! Reads the file: what each key is set to, and in which line.
//!
//! The parser goes on after a mistake in the syntax, so that the first one hides no other. What it
//! makes of the lines with the mistake is left aside: it is not what somebody wrote.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::later;
use super::mistake::{Mistake, Origin};
use super::names::Names;
use super::setting::Raw;
use super::tables::{self, Table, Written};
use super::values::Values;
use super::{tokens, watch};

/// Sets in `values` what `text` says.
pub(super) fn read(path: &Path, text: &str, names: &Names, values: &mut Values) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut file = File {
        path: path.into(),
        text,
        broken: Vec::new(),
        names,
        values,
    };
    for error in errors {
        file.syntax(&error);
    }
    file.document(document.get_ref());
}

/// The file while it is read.
struct File<'a> {
    path: Arc<Path>,
    text: &'a str,
    /// The lines that cannot be trusted, because the syntax is wrong there.
    broken: Vec<Range<usize>>,
    names: &'a Names,
    values: &'a mut Values,
}

// === impl File ===

impl File<'_> {
    /// The line with the byte at `offset`, counted from 1.
    fn line(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }

    fn at(&self, line: usize) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line,
        }
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let line = self.line(error.span().map_or(0, |span| span.start));
        let mut lines = self.text.lines().skip(line - 1);
        let text = lines.next().unwrap_or_default();
        // What follows a broken header is in no section, up to the next one.
        let is_header = |line: &str| line.trim_start().starts_with('[');
        let lost = if is_header(text) {
            lines.take_while(|line| !is_header(line)).count()
        } else {
            0
        };
        self.broken.push(line..line + 1 + lost);
        self.values.mistakes.push(Mistake {
            origin: self.at(line),
            key: self.key_in(line),
            problem: format!("is not TOML: {}", error.message()),
        });
    }

    /// The key in a line that may have no other sense, with the section above it. Only names are
    /// repeated from the line: the rest of it may be a secret.
    fn key_in(&self, line: usize) -> Option<String> {
        let header =
            |line: &str| Some(line.trim().strip_prefix('[')?.strip_suffix(']')?.to_owned());
        let key = self.text.lines().nth(line - 1)?.split_once('=')?.0.trim();
        let section = self.text.lines().take(line - 1).filter_map(header).last();
        let key = section.map_or(key.to_owned(), |section| format!("{section}.{key}"));
        is_name(&key).then_some(key)
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let line = self.line(name.span().start);
            if name.get_ref() == watch::NAME && !self.told(line, watch::NAME) {
                self.tables((watch::NAME, &watch::KEYS), name, value, watch::take);
                continue;
            }
            let name = name.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(section) if self.names.has_section(name) => {
                    self.section(name, section);
                }
                _ if self.told(line, name) => {}
                _ if self.names.has_section(name) => {
                    let problem = format!("is a section; write its keys below `[{name}]`");
                    self.values.wrong(self.at(line), name, problem);
                }
                DeValue::Table(_) if !later::TABLES.contains(&name) => {
                    let problem = self.unknown_section(name);
                    self.values.wrong(self.at(line), name, problem);
                }
                _ => self.entry(name, line, value),
            }
        }
    }

    fn tables(
        &mut self,
        what: (&'static str, &[&str]),
        name: &Spanned<impl Sized>,
        value: &Spanned<DeValue<'_>>,
        take: impl Fn(&mut Table<'_, '_>),
    ) {
        let (path, text) = (Arc::clone(&self.path), self.text);
        let origin = |offset| Origin::File {
            path: Arc::clone(&path),
            line: line_of(text, offset),
        };
        let written = Written {
            origin: &origin,
            raw: &raw,
        };
        tables::each(what, (name, value.get_ref()), &written, self.values, take);
    }

    fn section(&mut self, section: &str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            let line = self.line(name.span().start);
            let key = format!("{section}.{}", name.get_ref());
            if key == tokens::NAME && !self.told(line, tokens::NAME) {
                self.tables((tokens::NAME, &tokens::KEYS), name, value, tokens::take);
                continue;
            }
            self.entry(&key, line, value);
        }
    }

    fn entry(&mut self, key: &str, line: usize, value: &Spanned<DeValue<'_>>) {
        if self.told(line, key) {
            return;
        }
        let origin = self.at(line);
        match self.names.key(key) {
            Some(key) => self.values.set(key, raw(value.get_ref()), origin),
            None if later::TABLES.contains(&key) => {
                let problem = format!("`[[{key}]]` {}; take it out", later::NOT_AVAILABLE);
                self.values.wrong(origin, key, problem);
            }
            None => {
                let problem = self.unknown_key(key);
                self.values.wrong(origin, key, problem);
            }
        }
    }

    /// Whether `key` stands where the syntax is wrong. That was told, but perhaps not of which key.
    fn told(&mut self, line: usize, key: &str) -> bool {
        if !self.broken.iter().any(|lines| lines.contains(&line)) {
            return false;
        }
        let origin = self.at(line);
        let mut mistakes = self.values.mistakes.iter_mut();
        if let Some(mistake) = mistakes.find(|mistake| mistake.origin == origin) {
            mistake.key = Some(key.to_owned());
        }
        true
    }

    fn unknown_key(&self, key: &str) -> String {
        match self.names.key_like(key) {
            Some(meant) => format!("is no key; did you mean `{meant}`?"),
            None => format!("is no key; {}", self.names.instead_of(key)),
        }
    }

    fn unknown_section(&self, section: &str) -> String {
        match self.names.section_like(section) {
            Some(meant) => format!("is no section; did you mean `{meant}`?"),
            None => format!("is no section; {}", self.names.instead_of(section)),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

fn is_name(text: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.bytes().all(in_name)
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Raw::Number(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |number| number.to_string()),
        ),
        DeValue::Float(number) => Raw::Number(number.as_str().to_owned()),
        DeValue::Boolean(value) => Raw::Boolean(*value),
        DeValue::Array(values) => {
            Raw::List(values.iter().map(|value| raw(value.get_ref())).collect())
        }
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}
