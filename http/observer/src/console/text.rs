//! Lines of text for a view.

use std::iter::repeat_n;

use serde_json::{Map, Value};

/// The columns that stand first, where there are such.
const FIRST: [&str; 7] = ["id", "pid", "name", "command", "path", "label", "state"];

/// Bounds the columns of a cell; what is longer is cut.
const MAX_CELL: usize = 60;

/// Bounds how deep values are indented.
const MAX_DEPTH: usize = 64;

/// Returns a view as lines: `name: value`, and lists of objects as tables. Control characters are escaped, as
/// in JSON.
pub(super) fn lines(view: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    write(&mut lines, view, 0);
    lines
}

fn write(lines: &mut Vec<String>, value: &Value, depth: usize) {
    let indent: String = repeat_n("  ", depth.min(MAX_DEPTH)).collect();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        lines.push(format!("{indent}{name}:"));
                        write(lines, value, depth + 1);
                    }
                    Value::Array(items) if items.iter().any(Value::is_object) => {
                        lines.push(format!("{indent}{name}:"));
                        write(lines, value, depth + 1);
                    }
                    value => lines.push(format!("{indent}{name}: {}", cell(value))),
                }
            }
        }
        Value::Array(items) => match rows(items) {
            Some(rows) => table(lines, &rows, &indent),
            None => items.iter().for_each(|item| write(lines, item, depth)),
        },
        value => lines.push(format!("{indent}{}", cell(value))),
    }
}

/// Returns the items as rows of a table, if they are flat.
fn rows(items: &[Value]) -> Option<Vec<&Map<String, Value>>> {
    let is_flat = |value: &Value| match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(Value::is_object),
        _ => true,
    };
    let rows: Option<Vec<_>> = items.iter().map(Value::as_object).collect();
    rows.filter(|rows| rows.iter().all(|row| row.values().all(is_flat)))
}

fn table(lines: &mut Vec<String>, rows: &[&Map<String, Value>], indent: &str) {
    let Some(first) = rows.first() else { return };
    let mut names: Vec<&String> = first.keys().collect();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| names.iter().map(|name| cell(row.get(*name).unwrap_or(&Value::Null))).collect())
        .collect();
    let width = |column: usize| {
        let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        widest.max(names[column].chars().count())
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let is_number =
        |column: usize| rows.iter().all(|row| row.get(names[column]).is_some_and(Value::is_number));
    let line = |cells: &[&str]| {
        let padded = cells.iter().enumerate().map(|(column, cell)| match is_number(column) {
            true => format!("{cell:>width$}", width = widths[column]),
            false => format!("{cell:<width$}", width = widths[column]),
        });
        format!("{indent}{}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.push(line(&names.iter().map(|name| name.as_str()).collect::<Vec<_>>()));
    lines.extend(cells.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>())));
}

/// Returns a value in one cell.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if is_word(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns whether a text can stand without quotation marks.
fn is_word(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || "<>.:_-/[]".contains(letter);
    !text.is_empty() && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ob13_a_view_is_lines_and_tables() {
        let view = json!({
            "t": 7,
            "rows": [{"a": "x y", "n": 7}, {"a": "<1.2.0>", "n": 1234}],
            "inner": {"b": null, "words": ["c", "d"]},
        });
        let expected = [
            "inner:",
            "  b: -",
            r#"  words: ["c","d"]"#,
            "rows:",
            "  a           n",
            r#"  "x y"       7"#,
            "  <1.2.0>  1234",
            "t: 7",
        ];
        assert_eq!(lines(&view), expected);
    }

    #[test]
    fn ob13_no_text_makes_a_line_of_its_own() {
        for hostile in ["a\nOK", "\u{1b}[31m", "\r", &"x".repeat(1000)] {
            let lines = lines(&json!({"rows": [{"label": hostile}]}));
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert!(
                lines.iter().all(|line| !line.contains(['\n', '\r', '\u{1b}']) && line.chars().count() < 80)
            );
        }
    }
}
