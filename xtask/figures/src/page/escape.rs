//! Plain text as Markdown that looks like it. What stands between backticks is code, and stays so.

/// A paragraph, a heading or an item of a list.
pub(super) fn text(plain: &str) -> String {
    let escaped = escape(plain);
    // Else it begins a heading, a quotation or a list.
    if escaped.starts_with(['#', '>', '-', '+']) { format!("\\{escaped}") } else { escaped }
}

/// A cell of a table.
pub(super) fn cell(plain: &str) -> String {
    escape(plain)
}

fn escape(plain: &str) -> String {
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    // A backtick without another is none.
    let has_code = plain.matches('`').count() % 2 == 0;
    let mut is_code = false;
    let mut escaped = String::new();
    let mut before = ' ';
    let mut letters = plain.chars().peekable();
    while let Some(letter) = letters.next() {
        is_code ^= has_code && letter == '`';
        let is_between =
            before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        let has_meaning = match letter {
            // A table ends its cells even in code.
            '|' => true,
            _ if is_code => false,
            '\\' | '*' | '<' | '[' | ']' | '~' | '&' => true,
            '_' => !is_between,
            '`' => !has_code,
            _ => false,
        };
        if has_meaning {
            escaped.push('\\');
        }
        escaped.push(letter);
        before = letter;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_markdown_loses_it() {
        for (plain, escaped) in [
            ("a | b", r"a \| b"),
            ("*a* <b> [c] \\ ~ &amp;", r"\*a\* \<b> \[c\] \\ \~ \&amp;"),
            ("AF_XDP _is_ it_", r"AF_XDP \_is\_ it\_"),
            ("`a_ | *` and *", r"`a_ \| *` and \*"),
            ("a ` b *", r"a \` b \*"),
            ("two\n  lines", "two lines"),
            ("200 µs (100 µs to 300 µs)", "200 µs (100 µs to 300 µs)"),
        ] {
            assert_eq!(cell(plain), escaped);
            assert_eq!(text(plain), escaped);
        }
    }

    #[test]
    fn only_a_line_can_begin_a_list() {
        assert_eq!((text("- a").as_str(), cell("- a").as_str()), (r"\- a", "- a"));
        assert_eq!((text("# a").as_str(), cell("-").as_str()), (r"\# a", "-"));
    }
}
