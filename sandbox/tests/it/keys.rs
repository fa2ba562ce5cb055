//! Which of our programs can sign for a chain, asked of the programs themselves: the types that
//! hold a private key leave their names in whatever was linked with them.

use std::path::Path;

use chains_evm_sandbox::dev_payer_key;

/// Ethereum's keys, Bitcoin's, what signs with them, Solana's.
const HOLDERS: [&str; 4] = ["LocalSigner", "Xpriv", "sign_ecdsa", "14solana_keypair7Keypair"];

fn read(program: &str) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_chukta-sandbox")).with_file_name(program);
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|_| panic!("no {program} beside chukta-sandbox: run `make test`"));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_fleets_program_has_no_key_and_nothing_to_sign_with() {
    let (fleet, sandbox, signer) = (read("chukta"), read("chukta-sandbox"), read("chukta-signer"));
    for holder in HOLDERS {
        // That the others have the name shows that it would be seen.
        assert!(sandbox.contains(holder) && signer.contains(holder), "{holder}");
        assert!(!fleet.contains(holder), "chukta links {holder}");
    }
    let key = dev_payer_key();
    assert!(sandbox.contains(key.expose()) && !fleet.contains(key.expose()));
}
