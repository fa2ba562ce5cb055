//! Every house rule, run over the repository. One test per rule; a failure lists all places.
#![allow(clippy::unwrap_used, reason = "a rule that cannot read the repository fails")]

use tidy::{
    Violation, code, documents, graph, keys, migrations, names, owners, report,
    repository::{self, Source},
    sizes, table, text, usage,
};

fn sources() -> Vec<Source> {
    repository::sources().unwrap()
}

fn rust() -> Vec<Source> {
    sources().into_iter().filter(|source| source.has_extension("rs")).collect()
}

fn holds(rule: &str, violations: Vec<Violation>) {
    assert!(violations.is_empty(), "{}", report(rule, &violations));
}

fn holds_in_each(rule: &str, files: Vec<Source>, judge: impl Fn(&Source) -> Vec<Violation>) {
    assert!(!files.is_empty(), "{rule}: no files were found, so nothing was judged");
    holds(rule, files.iter().flat_map(judge).collect());
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let packages = graph::packages().unwrap();
    assert!(packages.len() >= 18, "cargo named {} crates only", packages.len());
    holds("a room imports what it may not", graph::forbidden_edges(&packages, table::ROOMS));
}

#[test]
fn third_party_crates_stay_in_their_rooms() {
    let packages = graph::packages().unwrap();
    holds("a crate strayed from its room", graph::strayed_crates(&packages, table::OWNERS));
}

#[test]
fn every_declared_dependency_is_used() {
    let sources = sources();
    let mut violations = Vec::new();
    for package in graph::packages().unwrap() {
        let reached = usage::Reached::read(&package, &sources).unwrap();
        violations.extend(usage::unused_edges(&package, &reached));
    }
    holds("a dependency nobody uses", violations);
}

#[test]
fn cargo_features_are_the_known_ones() {
    let packages = graph::packages().unwrap();
    holds("a Cargo feature the house does not know", graph::unknown_features(&packages));
}

#[test]
fn each_crate_builds_one_integration_test_binary() {
    let packages = graph::packages().unwrap();
    holds("several test binaries in one crate", graph::many_test_binaries(&packages));
}

#[test]
fn banned_crates_are_not_in_the_lock_file() {
    let lock = std::fs::read_to_string(repository::root().join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"chukta\""), "this is not our lock file");
    holds("a banned crate", owners::banned_crates(&lock, table::BANNED));
}

#[test]
fn files_are_short() {
    holds_in_each("a long file", sources(), |source| {
        sizes::long_files(source).into_iter().collect()
    });
}

#[test]
fn functions_are_short() {
    holds_in_each("a long function", rust(), |source| sizes::long_functions(source).unwrap());
}

#[test]
fn lines_are_short() {
    holds_in_each("a long line", rust(), sizes::long_lines);
}

#[test]
fn primitives_is_no_drawer() {
    let sources = sources();
    let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    holds("a crowded primitives", sizes::crowded_primitives(&paths).into_iter().collect());
}

#[test]
fn folders_are_shallow() {
    let deep = |source: &Source| sizes::deep_folders(&source.path).into_iter().collect();
    holds_in_each("a deep folder", rust(), deep);
}

#[test]
fn names_say_something() {
    let empty = |source: &Source| names::empty_names(&source.path).into_iter().collect();
    holds_in_each("a name that says nothing", rust(), empty);
}

#[test]
fn a_folder_has_its_door_inside() {
    let sources = rust();
    let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    holds("a module beside its folder", names::doors_beside_folders(&paths));
}

#[test]
fn files_begin_with_what_lives_in_them() {
    let missing = |source: &Source| code::missing_header(source).into_iter().collect();
    holds_in_each("a file without a header", rust(), missing);
}

#[test]
fn nothing_is_unfinished() {
    holds_in_each("unfinished work", rust(), |source| code::unfinished(source).unwrap());
    holds_in_each("a mark of unfinished work", sources(), text::marks);
}

#[test]
fn no_test_is_switched_off() {
    holds_in_each("an ignored test", rust(), |source| code::ignored_tests(source).unwrap());
    holds_in_each("a test that runs alone", sources(), text::only_tests);
}

#[test]
fn floats_do_not_exist() {
    holds_in_each("a float", rust(), |source| code::floats(source).unwrap());
}

#[test]
fn keys_are_used_by_the_signer_and_the_sandboxes_payers() {
    holds_in_each("a private key of a chain", rust(), |source| keys::strayed_keys(source).unwrap());
}

#[test]
fn no_path_of_one_machine() {
    holds_in_each("a path of one machine", sources(), text::machine_paths);
}

#[test]
fn no_tabs() {
    holds_in_each("a tab", sources(), text::tabs);
}

#[test]
fn lock_files_of_npm_name_no_host() {
    let path = "scripts/node/package-lock.json";
    let lock = std::fs::read_to_string(repository::root().join(path)).unwrap();
    holds("a download host", text::download_addresses(path, &lock));
}

#[test]
fn documents_have_one_title_and_live_references() {
    let root = repository::root();
    let documents = || sources().into_iter().filter(|source| source.has_extension("md")).collect();
    holds_in_each("titles", documents(), documents::titles);
    holds_in_each("a dead reference", documents(), |source| {
        documents::dead_references(source, |path| root.join(path).exists())
    });
}

#[test]
fn migrations_are_named_and_only_add() {
    let sources = sources();
    let is_migration =
        |source: &&Source| source.room() == "migrations" && source.has_extension("sql");
    let found: Vec<&Source> = sources.iter().filter(is_migration).collect();
    let file_name = |source: &&Source| source.path.rsplit('/').next().unwrap().to_owned();
    let files: Vec<String> = found.iter().map(file_name).collect();
    holds(
        "a migration's name",
        migrations::bad_names(&files.iter().map(|f| &**f).collect::<Vec<_>>()),
    );
    let removals = found.iter().flat_map(|source| migrations::removals(&source.path, &source.text));
    holds("a migration that removes", removals.collect());
}
