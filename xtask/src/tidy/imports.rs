//! The modules that a source file uses: in its imports, and by paths in its code.

use std::path::Path;

use super::source::File;

/// A path below the root of a crate that a file uses, such as `runtime::context::this`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsedPath {
    /// From 1.
    pub(super) line: usize,
    pub(super) path: String,
    /// A `pub use` says only where a user finds the item.
    pub(super) is_public: bool,
}

/// Returns the module that a file below `src` is, such as `runtime::kernel::slice`; the root is empty.
pub(super) fn module_of(path: &Path) -> String {
    let below = path.iter().skip_while(|part| *part != "src").skip(1).filter_map(|part| part.to_str());
    let module = below.collect::<Vec<_>>().join("::");
    let module = module.trim_end_matches(".rs");
    let module = module.strip_suffix("::mod").unwrap_or(module);
    if ["lib", "main", "mod"].contains(&module) { String::new() } else { module.to_owned() }
}

/// Returns the text of a file without comments and without its unit tests, which are its last part.
pub(super) fn code_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let begins_tests = |&(nth, line): &(usize, &&str)| {
        let is_for_tests = line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
        is_for_tests && lines.get(nth + 1).is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
    };
    let code = lines.iter().enumerate().take_while(|line| !begins_tests(line));
    code.map(|(_, line)| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Returns the paths of the own crate that a file uses.
pub(super) fn used_paths(file: &File) -> Vec<UsedPath> {
    let module = module_of(&file.path);
    let upper = |module: &str| module.rsplit_once("::").map_or("", |(upper, _)| upper).to_owned();
    // `super` of a file is the module above it.
    let (above, own) = (upper(&module), module);
    let code = code_of(&file.text);
    let mut used = Vec::new();
    let mut after_imports = String::new();
    let mut rest = 0;
    while let Some(found) = code[rest..].find("use ").map(|at| rest + at) {
        let line_start = code[..found].rfind('\n').map_or(0, |newline| newline + 1);
        let visibility = code[line_start..found].trim();
        if !(visibility.is_empty() || visibility.starts_with("pub")) {
            after_imports += &code[rest..found + 4];
            rest = found + 4;
            continue;
        }
        let end = code[found..].find(';').map_or(code.len(), |end| found + end);
        let statement = &code[found + 4..end];
        let (base, tree) = match statement.split_once("::") {
            Some(("crate", tree)) => (Some(String::new()), tree),
            Some(("super", tree)) => (Some(above.clone()), tree),
            Some(("self", tree)) => (Some(own.clone()), tree),
            _ => (None, statement),
        };
        if let Some(base) = base {
            let line = code[..found].matches('\n').count() + 1;
            let base = if base.is_empty() { base } else { base + "::" };
            let is_public = visibility == "pub";
            let mut paths = Vec::new();
            flatten(&base, tree, &mut paths);
            used.extend(paths.into_iter().map(|path| UsedPath { line, path, is_public }));
        }
        // The lines stay, so that what follows is found at its own line.
        after_imports += &code[rest..line_start];
        after_imports.extend(code[line_start..end].chars().filter(|letter| *letter == '\n'));
        rest = end;
    }
    after_imports += &code[rest..];
    for (at, _) in after_imports.match_indices("crate::") {
        if after_imports[..at].ends_with('$') {
            continue;
        }
        let path = &after_imports[at + "crate::".len()..];
        let end = path.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
        let path = path[..end.unwrap_or(path.len())].trim_end_matches(':').to_owned();
        let line = after_imports[..at].matches('\n').count() + 1;
        used.push(UsedPath { line, path, is_public: false });
    }
    used
}

/// Adds every path of an import such as `a::{b, c::d}`.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        paths.push(format!("{prefix}{}", name.trim_end_matches("::self")));
        return;
    };
    let inner = &rest[..rest.rfind('}').unwrap_or(rest.len())];
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..at].trim().is_empty() {
                    flatten(&prefix, &inner[start..at], paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn paths_are_found_in_imports_and_in_code() {
    let text = [
        "use crate::{",
        "    io::{poller, readiness::Direction as Side},",
        "    transport::{self, Address},",
        "};",
        "use super::{tree, info::Info};",
        "/// See [`Server`](crate::server::Server).",
        "fn f() { crate::server::start(); } // crate::os_signals",
        "pub use crate::Server;",
        "use std::fmt;",
        "macro_rules! m { () => { $crate::hidden } }",
        "#[cfg(test)]",
        "mod tests {",
        "    use crate::connection::Connection;",
        "}",
    ];
    let file = File { path: "socket/src/server/state.rs".into(), text: text.join("\n") };
    let found: Vec<_> = used_paths(&file).into_iter().map(|used| (used.line, used.path)).collect();
    let expected = [
        (1, "io::poller"),
        (1, "io::readiness::Direction"),
        (1, "transport::self"),
        (1, "transport::Address"),
        (5, "server::tree"),
        (5, "server::info::Info"),
        (8, "Server"),
        (7, "server::start"),
    ];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    assert!(used_paths(&file).iter().filter(|used| used.is_public).all(|used| used.path == "Server"));
    assert_eq!(module_of("actor/src/runtime/kernel/mod.rs".as_ref()), "runtime::kernel");
    assert_eq!(module_of("actor/src/lib.rs".as_ref()), "");
}
