//! The rules of style that no compiler checks. A rule nobody checks is dead.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A file that grows past this is two ideas.
const LINES_PER_FILE: usize = 500;

/// Which of the crate's own modules each may name; what a module is not listed with, it knows nothing of.
/// Leaves (`id`, `address`, `time`, `clock`, `telemetry`) know only leaves.
const ARROWS: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("address", &[]),
    ("time", &[]),
    ("clock", &["time"]),
    ("telemetry", &["id", "time", "clock"]),
    ("room", &["id", "time"]),
    ("sale", &["id", "time", "room"]),
    ("token", &["id", "time", "room", "sale"]),
    ("store", &["address", "id", "time", "clock", "telemetry", "room", "sale"]),
    ("instance", &["id", "time", "clock", "telemetry", "room", "sale", "token", "store"]),
    ("page", &["id", "time", "room", "sale"]),
    ("http", &["address", "id", "time", "clock", "telemetry", "room", "sale", "token", "store", "instance", "page"]),
    ("config", &["address", "id", "time", "room", "sale", "token", "instance", "http"]),
    (
        "app",
        &[
            "address",
            "id",
            "time",
            "clock",
            "telemetry",
            "room",
            "sale",
            "token",
            "store",
            "instance",
            "page",
            "http",
            "config",
        ],
    ),
    (
        "demo",
        &["address", "id", "time", "clock", "telemetry", "room", "sale", "token", "instance", "http", "config", "app"],
    ),
    (
        "cli",
        &["address", "id", "time", "clock", "telemetry", "room", "sale", "store", "instance", "config", "app", "demo"],
    ),
];

/// The only other crates the pure parts may name: nothing that reads a clock, draws a number or does I/O.
const PURE: &[(&str, &[&str])] = &[
    ("room", &["serde", "thiserror", "jiff"]),
    ("sale", &["serde", "thiserror", "litemap"]),
    ("store/catalog", &["serde"]),
];

/// The standard library's doors to the world, shut to the pure parts.
const DOORS: &[&str] = &[
    "std::time",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    // Its order differs from run to run, and a journal must replay to the same state.
    "HashMap",
];

/// One file of the tree.
struct File {
    /// From the root, with forward slashes.
    path: String,
    text: String,
}

/// A rule broken, and where.
type Breach = String;

#[test]
fn files_are_short_clean_and_say_what_they_are() {
    let mut breaches = Vec::new();
    for file in files(&["src", "tests", "benches", "templates", "scripts", ".ci"]) {
        let lines = file.text.lines().count();
        if lines > LINES_PER_FILE {
            breaches.push(format!("{}: {lines} lines, more than {LINES_PER_FILE}", file.path));
        }
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.ends_with([' ', '\t']) || line.contains('\r') {
                breaches.push(format!("{}:{number}: white space at the end", file.path));
            }
        }
        if !file.text.ends_with('\n') {
            breaches.push(format!("{}: no line end at the end", file.path));
        }
        let is_rust = file.path.ends_with(".rs");
        if is_rust && !is_unit_test(&file.path) && !file.text.starts_with("//! ") {
            breaches.push(format!("{}: does not begin with what it is", file.path));
        }
    }
    report(&breaches);
}

#[test]
fn nothing_is_left_undone_outside_tests() {
    const FORBIDDEN: &[&str] = &[
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        ".unwrap()",
        "panic!(",
        "allow(dead_code)",
        "#[ignore",
        "TODO",
        "FIXME",
    ];
    let mut breaches = Vec::new();
    for file in files(&["src"]).iter().filter(|file| file.path.ends_with(".rs") && !is_unit_test(&file.path)) {
        for (number, line) in (1..).zip(program_of(&file.text).lines()) {
            for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
                breaches.push(format!("{}:{number}: {word}", file.path));
            }
        }
    }
    for file in files(&["tests"]).iter().filter(|file| file.path != "tests/tidy.rs") {
        for (number, line) in (1..).zip(file.text.lines()).filter(|(_, line)| line.contains("#[ignore")) {
            breaches.push(format!("{}:{number}: {}: mend the test or delete it", file.path, line.trim()));
        }
    }
    report(&breaches);
}

#[test]
fn arrows_point_one_way() {
    let mut breaches = Vec::new();
    for file in files(&["src"]).iter().filter(|file| file.path.ends_with(".rs") && !is_unit_test(&file.path)) {
        let module = module_of(&file.path);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, may_name)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            breaches.push(format!("{}: a module without a place in the order", file.path));
            continue;
        };
        for named in own_modules_named(&program_of(&file.text)) {
            if named != module && !may_name.contains(&named.as_str()) {
                breaches.push(format!("{}: {module} must know nothing of {named}", file.path));
            }
        }
    }
    report(&breaches);
}

#[test]
fn the_pure_parts_have_no_door_to_the_world() {
    let crates = dependencies();
    assert!(crates.contains("actix_web") && crates.contains("serde"), "Cargo.toml was not understood: {crates:?}");
    let mut breaches = Vec::new();
    for (part, may_name) in PURE {
        let inside = |file: &&File| file.path.starts_with(&format!("src/{part}")) && !is_unit_test(&file.path);
        let all = files(&["src"]);
        assert!(all.iter().any(|file| inside(&file)), "src/{part} is gone");
        for file in all.iter().filter(inside) {
            let program = program_of(&file.text);
            for named in crates.iter().filter(|name| names(&program, name) && !may_name.contains(&name.as_str())) {
                breaches.push(format!("{}: names the crate {named}", file.path));
            }
            for door in DOORS.iter().filter(|door| program.contains(**door)) {
                breaches.push(format!("{}: {door}", file.path));
            }
        }
    }
    report(&breaches);
}

#[test]
fn one_place_reads_the_clock() {
    // The demo's visitors are other people's machines, which have clocks of their own.
    const PLACES: &[&str] = &["src/clock.rs", "src/demo/visitor.rs"];
    let mut breaches = Vec::new();
    for file in files(&["src"]) {
        let program = program_of(&file.text);
        for call in ["SystemTime::now", "Timestamp::now", "Zoned::now", "OffsetDateTime::now"] {
            if program.contains(call) && !PLACES.contains(&file.path.as_str()) {
                breaches.push(format!("{}: {call}", file.path));
            }
        }
    }
    report(&breaches);
}

#[test]
fn bounds_say_their_reason() {
    let mut breaches = Vec::new();
    for file in files(&["src"]).iter().filter(|file| file.path.ends_with(".rs") && !is_unit_test(&file.path)) {
        let program = program_of(&file.text);
        // A word before the first of several that stand together is a word for all of them.
        let mut said = false;
        for (number, line) in (1..).zip(program.lines()) {
            let code = line.trim_start();
            let is_const = ["const ", "pub const ", "pub(crate) const ", "pub(super) const "]
                .iter()
                .any(|start| code.starts_with(start) && !code.contains(" fn ") && code.contains(": "));
            // Only what bounds something needs a reason; names and units are what they are.
            let is_number = [": u64", ": u32", ": usize", ": Duration"].iter().any(|kind| code.contains(kind));
            let is_unit = [" MINUTE", " HOUR", " DAY"].iter().any(|unit| code.contains(unit));
            if is_const && is_number && !is_unit && !said && !line.contains(" // ") {
                breaches.push(format!("{}:{number}: a constant without a word on why", file.path));
            }
            said = code.starts_with("//") || code.starts_with("#[") || (is_const && said);
        }
    }
    report(&breaches);
}

#[test]
fn the_rules_see_what_they_forbid() {
    let text = "use crate::{\n    http::{Context, page},\n    room,\n};\n// crate::app\nlet x = crate::store::Lane;\n\
                #[cfg(test)]\nmod tests {\n    use crate::demo;\n}\n";
    let program = program_of(text);
    assert_eq!(own_modules_named(&program).into_iter().collect::<Vec<_>>(), ["http", "room", "store"]);
    assert!(names("let a = rand::random();", "rand"));
    assert!(!names("let a = brand::new();", "rand"));
    assert_eq!(module_of("src/store/embedded/mod.rs"), "store");
    assert_eq!(module_of("src/clock.rs"), "clock");
}

fn report(breaches: &[Breach]) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

/// All text files under these folders of the tree.
fn files(folders: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn is_unit_test(path: &str) -> bool {
    let is_test = ["/tests.rs", "_tests.rs", "/testing.rs"].iter().any(|end| path.ends_with(end));
    path.starts_with("src/") && (is_test || path.contains("/tests/"))
}

/// The top-level module a file under `src` belongs to.
fn module_of(path: &str) -> &str {
    let inside = path.trim_start_matches("src/");
    inside.split(['/', '.']).next().unwrap_or_default()
}

/// A file's code as it is shipped: without comments, and without the tests at its end. Lines keep their numbers.
fn program_of(text: &str) -> String {
    let shipped = text.find("\n#[cfg(test)]\nmod ").map_or(text, |at| &text[..at]);
    let mut program = String::new();
    for line in shipped.lines() {
        let is_comment = line.trim_start().starts_with("//");
        program.push_str(if is_comment { "//" } else { line });
        program.push('\n');
    }
    program
}

/// The crate's own top-level modules that a program names, by path or in a `use` group.
fn own_modules_named(program: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in program.match_indices("crate::") {
        let rest = &program[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            named.insert(identifier(rest));
            continue;
        };
        let mut depth = 0_usize;
        let mut expects_name = true;
        for (at, letter) in group.char_indices() {
            match letter {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                letter if expects_name && letter.is_alphanumeric() => {
                    named.insert(identifier(&group[at..]));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    // A type or macro at the root, like `crate::Error`, is no module.
    named.retain(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
    named
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Whether a program uses the crate of that name by path.
fn names(program: &str, crate_name: &str) -> bool {
    let path = format!("{crate_name}::");
    program.match_indices(&path).any(|(at, _)| {
        let before = program[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':')
    })
}

/// The crates that `Cargo.toml` makes known, as code names them.
fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let table: toml::Table = toml::from_str(&manifest).unwrap();
    table["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}
