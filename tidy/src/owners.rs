//! Crates that must not be anywhere in the lock file. `deny.toml` says the same to cargo-deny; this
//! runs on machines that do not have it.

use crate::Violation;

pub fn banned_crates(lock: &str, banned: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for line in lock.lines() {
        let Some(name) = line.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"'))
        else {
            continue;
        };
        for (_, reason) in banned.iter().filter(|(crate_name, _)| *crate_name == name) {
            violations.push(Violation::new("Cargo.lock", format!("holds {name}: {reason}")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::BANNED;

    #[test]
    fn a_banned_crate_is_caught() {
        let lock = "[[package]]\nname = \"backoff\"\nversion = \"0.4.0\"\n";
        assert_eq!(banned_crates(lock, BANNED).len(), 1);
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not() {
        assert_eq!(banned_crates("name = \"openssl-probe\"\n", BANNED), []);
    }
}
