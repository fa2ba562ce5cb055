//! The published signature, and a table of addresses that must not be called.

use std::net::IpAddr;

use primitives::Secret;

use super::{
    guard::{Policy, UrlRefusal, check_url, is_public},
    sign::{SigningSecret, signature},
};

fn secret(text: &str) -> SigningSecret {
    SigningSecret::parse(&Secret::new(text)).unwrap()
}

const PUBLISHED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

// The vector of the Standard Webhooks reference libraries, and a rotation with two secrets.
#[test]
fn signs_as_the_standard_does() {
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let body = br#"{"test": 2432232314}"#;
    let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
    let published = secret(PUBLISHED);
    let one = signature(std::slice::from_ref(&published), id, timestamp, body).unwrap();
    assert_eq!(one, expected);
    let old = secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let two = signature(&[published, old], id, timestamp, body).unwrap();
    let (first, second) = two.split_once(' ').unwrap();
    assert_eq!(first, expected);
    assert!(second.starts_with("v1,") && second != expected);
    assert_eq!(signature(&[], id, timestamp, body), None);
}

#[test]
fn refuses_weak_and_malformed_secrets() {
    let short = format!("whsec_{}", "A".repeat(28));
    let long = format!("whsec_{}", "A".repeat(88));
    for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%", &short, &long] {
        assert!(SigningSecret::parse(&Secret::new(bad)).is_err(), "{bad}");
    }
    assert_eq!(format!("{:?}", secret(PUBLISHED)), "SigningSecret(…)");
}

#[test]
fn refuses_hostile_addresses() {
    use UrlRefusal as No;
    let table = [
        ("http://shop.example/hook", No::NotHttps),
        ("ftp://shop.example/hook", No::NotHttps),
        ("file:///etc/passwd", No::Malformed),
        ("javascript:alert(1)", No::Malformed),
        ("gopher://shop.example/", No::NotHttps),
        ("https://", No::Malformed),
        ("", No::Malformed),
        ("//shop.example/hook", No::Malformed),
        ("https://shop.example/ hook", No::Malformed),
        ("https://shop.example/\r\nhost: x", No::Malformed),
        ("https://user@shop.example/", No::Credentials),
        ("https://user:pass@shop.example/", No::Credentials),
        ("https://shop.example@127.0.0.1/", No::Credentials),
        ("https://shop.example:22/", No::Port),
        ("https://shop.example:8080/", No::Port),
        ("https://127.0.0.1/", No::Literal),
        ("https://127.1/", No::Literal),
        ("https://0x7f000001/", No::Literal),
        ("https://2130706433/", No::Literal),
        ("https://0177.0.0.1/", No::Literal),
        ("https://8.8.8.8/", No::Literal),
        ("https://169.254.169.254/latest/meta-data", No::Literal),
        ("https://[::1]/", No::Literal),
        ("https://[::ffff:127.0.0.1]/", No::Literal),
        ("https://[fd00:ec2::254]/", No::Literal),
        ("https://１２７.０.０.１/", No::Literal),
        ("https://localhost/", No::NotPublicName),
        ("https://localhost./", No::NotPublicName),
        ("https://metadata/", No::NotPublicName),
    ];
    for (url, expected) in table {
        assert_eq!(check_url(url, &Policy::default()), Err(expected), "{url}");
    }
    let long = format!("https://shop.example/{}", "x".repeat(3_000));
    assert_eq!(check_url(&long, &Policy::default()), Err(No::Malformed));
    for good in ["https://shop.example/hook", "https://shop.example:8443/hook?x=1"] {
        assert_eq!(check_url(good, &Policy::default()), Ok(()), "{good}");
    }
}

// A sandbox opens loopback and named hosts, and nothing else.
#[test]
fn a_sandbox_opens_one_door_only() {
    let policy = Policy { allow_loopback: true, trusted_hosts: vec!["simulators".into()] };
    for good in ["http://127.0.0.1:4242/x", "http://localhost:1/", "http://simulators:9/hook"] {
        assert_eq!(check_url(good, &policy), Ok(()), "{good}");
    }
    for bad in
        ["http://10.0.0.1/", "http://postgres/", "http://shop.example/", "https://[fd00::1]/"]
    {
        assert!(check_url(bad, &policy).is_err(), "{bad}");
    }
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(policy.vet("localhost", &[loopback]), Ok(()));
    let refused = Err(UrlRefusal::NotPublicAddress);
    assert_eq!(policy.vet("shop.example", &[loopback]), refused);
    assert_eq!(policy.vet("localhost", &["10.0.0.1".parse().unwrap()]), refused);
    assert_eq!(policy.vet("simulators", &["172.18.0.4".parse().unwrap()]), Ok(()));
}

#[test]
fn knows_which_addresses_are_public() {
    for private in [
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(private.parse().unwrap()), "{private}");
    }
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.0.1",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.254",
        "2606:4700::1111",
        "2a00:1450::1",
        "2400:cb00::1",
    ] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
}

// One private answer among public ones is enough; so is no answer at all.
#[test]
fn every_answer_must_be_public() {
    let ips = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<IpAddr>>();
    let policy = Policy::default();
    assert_eq!(policy.vet("shop.example", &ips(&["8.8.8.8", "2606:4700::1111"])), Ok(()));
    let mixed = ips(&["8.8.8.8", "10.0.0.1"]);
    assert_eq!(policy.vet("shop.example", &mixed), Err(UrlRefusal::NotPublicAddress));
    assert_eq!(policy.vet("shop.example", &[]), Err(UrlRefusal::Unresolved));
}
