//! The files the rules look at: everything a person wrote, found by walking the checkout.
//! Generated files, dependencies and build output are left out here, once, and nowhere else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// One text file, with its path relative to the root, separated by `/`.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub fn has_extension(&self, extension: &str) -> bool {
        self.extension() == Some(extension)
    }

    pub fn extension(&self) -> Option<&str> {
        let name = self.path.rsplit('/').next()?;
        name.rsplit_once('.').map(|(_, extension)| extension)
    }

    /// The top-level folder: the room, or the empty string for files of the root.
    pub fn room(&self) -> &str {
        self.path.split_once('/').map_or("", |(room, _)| room)
    }

    /// Whether the file holds tests and nothing else.
    pub fn is_test(&self) -> bool {
        let folders = ["tests", "benches", "e2e"];
        self.path.split('/').any(|part| folders.contains(&part)) || self.path.ends_with("/tests.rs")
    }
}

const WRITTEN: [&str; 16] = [
    "rs", "toml", "md", "sql", "sh", "yml", "yaml", "json", "py", "js", "mjs", "cjs", "ts", "html",
    "css", "txt",
];
const WRITTEN_NAMES: [&str; 4] = ["Makefile", "Dockerfile", ".dockerignore", ".gitignore"];
const SKIPPED_FOLDERS: [&str; 4] = ["target", "node_modules", "fixtures", "__pycache__"];
const HIDDEN_FOLDERS: [&str; 3] = [".ci", ".cargo", ".config"];
/// Written by a program, from a source that is checked.
const GENERATED: [&str; 3] =
    ["api/openapi.json", "docs/STATES.md", "scripts/node/package-lock.json"];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every written text file below the root, in path order.
pub fn sources() -> Result<Vec<Source>> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let hidden = name.starts_with('.') && !HIDDEN_FOLDERS.contains(&name.as_str());
            if !hidden && !SKIPPED_FOLDERS.contains(&name.as_str()) && !is_build_output(&path) {
                walk(root, &path, found)?;
            }
        } else if kind.is_file() && is_written(&name, folder) {
            let relative = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            if !GENERATED.contains(&relative.as_str()) {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("{relative} is not readable as UTF-8 text"))?;
                found.push(Source::new(relative, text));
            }
        }
    }
    Ok(())
}

fn is_written(name: &str, folder: &Path) -> bool {
    WRITTEN_NAMES.contains(&name)
        || folder.file_name().is_some_and(|folder| folder == ".ci")
        || name.rsplit_once('.').is_some_and(|(_, extension)| WRITTEN.contains(&extension))
}

/// Cargo marks the folders it builds into, whatever they are called.
fn is_build_output(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").exists()
}
