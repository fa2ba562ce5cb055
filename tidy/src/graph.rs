//! The edges between our crates, judged against the table. Edges come from `cargo metadata`, so a
//! rename, a target-specific or an optional dependency is an edge like any other.

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::{
    Violation, repository,
    table::{FEATURES, FOR_TESTS, Owned, Room},
};

/// What one manifest declares, as far as the rules care.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    /// The folder, relative to the root.
    pub folder: String,
    pub edges: Vec<Edge>,
    pub features: Vec<String>,
    /// How many integration test binaries it builds.
    pub test_binaries: usize,
}

#[derive(Clone, Debug)]
pub struct Edge {
    /// The crate's name in the registry or the workspace.
    pub to: String,
    /// The name its code is written under.
    pub called: String,
    pub for_tests: bool,
    pub ours: bool,
}

/// The workspace as its manifests declare it, without touching the network.
pub fn packages() -> Result<Vec<Package>> {
    let root = repository::root();
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned(), "--locked".to_owned()])
        .exec()
        .context("asking cargo for the workspace")?;
    let mut packages: Vec<Package> = metadata.packages.iter().map(package).collect();
    for package in &mut packages {
        let prefix = format!("{}/", metadata.workspace_root);
        package.folder = package.folder.strip_prefix(&prefix).unwrap_or("").to_owned();
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn package(package: &cargo_metadata::Package) -> Package {
    let edges = package.dependencies.iter().map(|dependency| Edge {
        to: dependency.name.to_string(),
        called: dependency.rename.clone().unwrap_or_else(|| dependency.name.to_string()),
        for_tests: dependency.kind == DependencyKind::Development,
        ours: dependency.path.is_some(),
    });
    let is_test = |target: &&cargo_metadata::Target| target.is_test();
    Package {
        name: package.name.to_string(),
        folder: package.manifest_path.parent().map(ToString::to_string).unwrap_or_default(),
        edges: edges.collect(),
        features: package.features.keys().cloned().collect(),
        test_binaries: package.targets.iter().filter(is_test).count(),
    }
}

/// Edges between our crates that the table does not allow.
pub fn forbidden_edges(packages: &[Package], rooms: &[Room]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(room) = rooms.iter().find(|room| room.name == package.name) else {
            violations.push(Violation::new(&package.name, "has no row in tidy's dependency table"));
            continue;
        };
        for edge in package.edges.iter().filter(|edge| edge.ours) {
            let to = edge.to.as_str();
            let allowed = room.may_import.contains(&to)
                || (edge.for_tests && (FOR_TESTS.contains(&to) || to == package.name));
            if !allowed {
                let tests = if edge.for_tests { ", not even in tests" } else { "" };
                violations
                    .push(Violation::new(&package.name, format!("may not import {to}{tests}")));
            }
        }
    }
    violations
}

/// Third-party crates outside the rooms that own them.
pub fn strayed_crates(packages: &[Package], owners: &[Owned]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        for edge in package.edges.iter().filter(|edge| !edge.ours) {
            for owned in owners.iter().filter(|owned| matches(owned.pattern, &edge.to)) {
                let free = edge.for_tests && owned.free_in_tests;
                if !free && !owned.rooms.contains(&package.name.as_str()) {
                    let reason = format!("may not use {}: it stays in {:?}", edge.to, owned.rooms);
                    violations.push(Violation::new(&package.name, reason));
                }
            }
        }
    }
    violations
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(family) => name.starts_with(family),
        None => name == pattern,
    }
}

/// Cargo features beyond the few the house knows: each one is another set of build artifacts.
pub fn unknown_features(packages: &[Package]) -> Vec<Violation> {
    let known = |feature: &str, package: &str| {
        feature == "default"
            || FEATURES.iter().any(|(name, homes)| *name == feature && homes.contains(&package))
    };
    let mut violations = Vec::new();
    for package in packages {
        for feature in package.features.iter().filter(|name| !known(name, &package.name)) {
            violations
                .push(Violation::new(&package.name, format!("declares the feature {feature}")));
        }
    }
    violations
}

/// More than one integration test binary: each costs a link of everything below it.
pub fn many_test_binaries(packages: &[Package]) -> Vec<Violation> {
    let many = packages.iter().filter(|package| package.test_binaries > 1);
    many.map(|package| {
        let reason = format!("builds {} test binaries; one is enough", package.test_binaries);
        Violation::new(&package.name, reason)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{OWNERS, ROOMS};

    fn edge(to: &str, for_tests: bool, ours: bool) -> Edge {
        Edge { to: to.to_owned(), called: to.to_owned(), for_tests, ours }
    }

    fn package(name: &str, edges: Vec<Edge>) -> Package {
        let (folder, features) = (name.to_owned(), Vec::new());
        Package { name: name.to_owned(), folder, edges, features, test_binaries: 0 }
    }

    #[test]
    fn a_connector_that_sees_the_database_is_caught() {
        let planted = package("exchanges", vec![edge("settlement", false, true)]);
        let found = forbidden_edges(&[planted], ROOMS);
        assert_eq!(found, [Violation::new("exchanges", "may not import settlement")]);
    }

    #[test]
    fn an_api_that_calls_the_outside_is_caught_also_in_its_tests() {
        let planted = package("api", vec![edge("outbound", true, true)]);
        let reason = "may not import outbound, not even in tests";
        assert_eq!(forbidden_edges(&[planted], ROOMS), [Violation::new("api", reason)]);
    }

    // The private keys of the fleet are in one process. Only tests may look inside it.
    #[test]
    fn nobody_links_the_signer() {
        let linking = ROOMS.iter().filter(|room| room.may_import.contains(&"signer"));
        assert_eq!(linking.map(|room| room.name).collect::<Vec<_>>(), ["testkit"]);
        let planted = package("chukta", vec![edge("signer", false, true)]);
        let found = forbidden_edges(&[planted], ROOMS);
        assert_eq!(found, [Violation::new("chukta", "may not import signer")]);
    }

    #[test]
    fn a_role_that_could_sign_for_a_chain_is_caught() {
        for signing in
            ["alloy-signer-local", "solana-keypair", "k256", "secp256k1", "ed25519-dalek"]
        {
            for room in ["workers", "api", "settlement", "ledger", "queue", "exchanges", "chukta"] {
                let planted = package(room, vec![edge(signing, false, false)]);
                assert!(!strayed_crates(&[planted], OWNERS).is_empty(), "{room} with {signing}");
            }
        }
        // The one key of a venue's API.
        assert_eq!(
            strayed_crates(&[package("exchanges", vec![edge("ring", false, false)])], OWNERS),
            []
        );
    }

    #[test]
    fn tests_may_use_the_testkit() {
        let fine = package("exchanges", vec![edge("simulators", true, true)]);
        assert_eq!(forbidden_edges(&[fine], ROOMS), []);
        let planted = package("exchanges", vec![edge("simulators", false, true)]);
        assert_eq!(forbidden_edges(&[planted], ROOMS).len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_caught() {
        assert_eq!(forbidden_edges(&[package("shed", vec![])], ROOMS).len(), 1);
    }

    #[test]
    fn a_strayed_crate_is_caught() {
        let planted = package("settlement", vec![edge("apalis-core", false, false)]);
        assert_eq!(strayed_crates(&[planted], OWNERS).len(), 1);
        let planted = package("workers", vec![edge("reqwest", false, false)]);
        assert_eq!(strayed_crates(&[planted], OWNERS).len(), 1);
        let fine = package("workers", vec![edge("reqwest", true, false)]);
        assert_eq!(strayed_crates(&[fine], OWNERS), []);
    }

    #[test]
    fn an_unknown_feature_is_caught() {
        let mut planted = package("ledger", vec![]);
        planted.features = vec!["default".to_owned(), "fast".to_owned()];
        let found = unknown_features(&[planted]);
        assert_eq!(found, [Violation::new("ledger", "declares the feature fast")]);
    }

    #[test]
    fn a_second_test_binary_is_caught() {
        let mut planted = package("ledger", vec![]);
        planted.test_binaries = 2;
        assert_eq!(many_test_binaries(&[planted]).len(), 1);
    }
}
