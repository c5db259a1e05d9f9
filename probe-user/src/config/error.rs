//! What is wrong with a config file: which file, line and field, what, and what would be right.

use std::{fmt, io};

/// Why a config was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("{}", unreadable(file, what, source))]
    Unreadable {
        /// The file.
        file: String,
        /// What it holds, which is also the name of the option for it: `config`.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It was read, but what it says is wrong.
    #[error("{}", invalid(file, problems))]
    Invalid {
        /// The file.
        file: String,
        /// All that is wrong, in the order of the lines; at least one.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// The field, such as `probe.interval`; empty where the place belongs to none.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at a place in the text, which is an offset in bytes.
    pub(super) fn at(text: &str, offset: usize, field: &str, message: &str) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl ConfigError {
    pub(super) fn not_utf8(file: String, bytes: &[u8], offset: usize) -> Self {
        // All before the offset is valid, so nothing is replaced that would shift the place.
        let text = String::from_utf8_lossy(&bytes[..offset]);
        let message = format!(
            "byte 0x{:02x} is not UTF-8, which TOML is written in; save the file as UTF-8",
            bytes[offset]
        );
        let problem = Problem::at(&text, offset, "", &message);
        Self::Invalid { file, problems: vec![problem] }
    }
}

fn invalid(file: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("{file}:{problem}")).collect();
    lines.join("\n")
}

fn unreadable(file: &str, what: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => {
            format!("{file}: there is no such file; name the {what} with --{what} FILE")
        }
        io::ErrorKind::IsADirectory => {
            format!("{file}: this is a directory; name a file in it")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{file}: permission denied; make the file readable for this user")
        }
        _ => format!("{file}: cannot be read: {source}"),
    }
}
