//! Names of types: each stands in one file of its crate, and a public one in one crate of the workspace.

use std::{collections::BTreeMap, path::Path};

use super::{Finding, source};

/// A type that a file defines.
#[derive(Debug, PartialEq)]
pub(super) struct TypeName {
    pub(super) name: String,
    pub(super) line: usize,
    /// True for `pub`, not for `pub(crate)` and the like.
    pub(super) is_public: bool,
}

/// Returns the structs, enums, traits, unions and type aliases of a file, without its unit tests. Associated
/// types of traits are no names of their own.
pub(super) fn type_names(text: &str) -> Vec<TypeName> {
    let lines = text.lines().take_while(|line| !source::begins_tests(line)).enumerate();
    lines.filter_map(|(nth, line)| type_name(line, nth + 1)).collect()
}

fn type_name(line: &str, number: usize) -> Option<TypeName> {
    let code = line.trim_start();
    let is_inside = code.len() < line.len();
    let (code, is_public) = match code.strip_prefix("pub") {
        Some(rest) => match rest.strip_prefix('(') {
            Some(rest) => (rest.split_once(')')?.1.trim_start(), false),
            None => (rest.strip_prefix(' ')?, true),
        },
        None => (code, false),
    };
    let code = ["unsafe ", "auto "].iter().fold(code, |code, word| code.strip_prefix(word).unwrap_or(code));
    let (keyword, rest) = code.split_once(' ')?;
    let is_type =
        matches!(keyword, "struct" | "enum" | "trait" | "union") || (keyword == "type" && !is_inside);
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let name = &rest[..end];
    let is_named = name.starts_with(char::is_uppercase);
    (is_type && is_named).then(|| TypeName { name: name.to_owned(), line: number, is_public })
}

/// Finds names that stand in more than one place: at each place but the first, where `exceptions` does not
/// allow it. A place is a file of a crate, or a crate of the workspace. Each type comes with its place and
/// its file.
pub(super) fn repeated<'a>(
    types: impl IntoIterator<Item = (&'a str, &'a Path, TypeName)>,
    exceptions: &[&str],
) -> Vec<(&'a Path, Finding)> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (place, file, TypeName { name, line, .. }) in types {
        let owner = *first.entry(name.clone()).or_insert(place);
        if owner != place && !exceptions.contains(&name.as_str()) {
            found.push((file, Finding { line, what: format!("the type name {name} is taken by {owner}") }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, is_public: bool, line: usize) -> TypeName {
        TypeName { name: name.into(), line, is_public }
    }

    #[test]
    fn types_are_found_with_their_visibility() {
        let text = [
            "pub struct A;",
            "pub(crate) enum B<T> {}",
            "    pub(in super::x) unsafe trait C: Send {",
            "        type Output;",
            "union D { a: u8 }",
            "type E = u8;",
            "use structs::F;",
            "fn struct_name() {}",
            "/// struct G;",
            "mod tests {",
            "    struct H;",
        ];
        assert_eq!(
            type_names(&text.join("\n")),
            [
                named("A", true, 1),
                named("B", false, 2),
                named("C", false, 3),
                named("D", false, 5),
                named("E", false, 6)
            ]
        );
    }

    #[test]
    fn a_name_in_a_second_file_is_found_there() {
        let places = || {
            [("a.rs", "Seen"), ("a.rs", "Seen"), ("b.rs", "Seen"), ("b.rs", "Other"), ("c.rs", "Error")]
                .map(|(place, name)| (place, Path::new(place), named(name, true, 7)))
        };
        let found = repeated(places(), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.line), (Path::new("b.rs"), 7));
        assert!(found[0].1.what.contains("Seen is taken by a.rs"));
        assert!(repeated(places(), &["Seen"]).is_empty());
    }
}
