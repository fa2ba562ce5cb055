//! The document, the committed file, the router and the policy say the same: every documented
//! route is served and wants a key unless it is open, and no route is served in secret.

use std::{collections::BTreeSet, fs, path::Path};

use reqwest::Method;

use crate::{
    document,
    shop::{Ask, Shop},
};

#[test]
fn the_committed_document_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    let wanted = format!("{}\n", api::openapi());
    if committed != wanted {
        let generated = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        fs::write(&generated, wanted).unwrap();
        panic!(
            "api/openapi.json is not what the code says; read the difference and copy {} over it",
            generated.display()
        );
    }
}

#[test]
fn no_route_is_served_in_secret() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes/mod.rs");
    let source = fs::read_to_string(path).unwrap();
    let served: BTreeSet<String> = source
        .split(".route(")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).unwrap().to_owned())
        .collect();
    let documented: BTreeSet<String> =
        document::operations().into_iter().map(|operation| operation.path).collect();
    assert_eq!(served, documented);
}

#[tokio::test]
async fn every_documented_route_is_served_and_guarded() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    let mut open = Vec::new();
    for operation in document::operations() {
        let id = "pay_00000000000070008000000000000000";
        let path = operation.path.replace("{id}", id).replace("{rail}", "nobody");
        let method: Method = operation.method.parse().unwrap();
        let what = format!("{method} {path}");
        let reply = shop.bare(Ask::get(path.as_str()).method(method)).await;
        if operation.is_open() {
            open.push(operation.path);
            assert!(!matches!(reply.status, 401 | 405), "{what}: {}", reply.text);
            assert_ne!(reply.code(), "route_not_found", "{what}");
        } else {
            assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"), "{what}");
        }
    }
    assert_eq!(open, ["/health/live", "/health/ready", "/v1/openapi.json", "/webhooks/{rail}"]);
    assert_eq!(shop.everything().await, before);
    // Methods the document does not list are not served.
    for path in ["/v1/payments", "/v1/rates", "/health/live", "/webhooks/razorpayx"] {
        for method in [Method::DELETE, Method::PATCH, Method::TRACE, Method::OPTIONS] {
            let reply = shop.ask(Ask::get(path).method(method.clone())).await;
            assert_eq!(reply.code(), "method_not_allowed", "{method} {path}");
            assert!(reply.headers.contains_key("allow"), "{method} {path}");
        }
    }
}
