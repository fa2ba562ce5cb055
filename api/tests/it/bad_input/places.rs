//! Wrong addresses, ids, queries and methods, and wrong bodies of everything but a new payment.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Vector, vector};
use crate::shop::Ask;

pub(crate) fn all(payment: &str) -> Vec<Vector> {
    [addresses(payment), queries(), methods(payment), last_events(payment)]
        .into_iter()
        .chain([quotes(payment), cancellations(payment), destinations(), endpoints()])
        .flatten()
        .collect()
}

fn addresses(payment: &str) -> Vec<Vector> {
    let hex = payment.strip_prefix("pay_").unwrap();
    let nobody = "pay_00000000000070008000000000000000";
    let (quote, long) = (format!("quo_{hex}"), format!("{payment}0"));
    let ids = ["1", &quote, hex, &long, "pay_", "pay_'--", "pay_%00", "PAY_0"];
    let ids = ids.into_iter().map(|id| {
        let name = format!("id {id:?}");
        vector(&name, 400, "invalid_id", Ask::get(format!("/v1/payments/{id}")))
    });
    let nowhere = ["/v1/nothing", "/payments", "/v1/payments/", "/v1/payments/../../etc/passwd"];
    let nowhere =
        nowhere.into_iter().map(|path| vector(path, 404, "route_not_found", Ask::get(path)));
    let missing = ["", "/explain", "/events"].into_iter().map(|part| {
        let path = format!("/v1/payments/{nobody}{part}");
        vector(&path, 404, "payment_not_found", Ask::get(path.as_str()))
    });
    let not_text = vector("not UTF-8", 400, "invalid_path", Ask::get("/v1/payments/%ff"));
    ids.chain(nowhere).chain(missing).chain([not_text]).collect()
}

fn queries() -> Vec<Vector> {
    let queries = [
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=many",
        "limit=",
        "limit=1.5",
        "limit=99999999999999999999",
        "limit=1&limit=2",
        "merchant=mer_1",
        "after=mer_1",
        "after=%ff%fe",
        "after=%00",
        "state=lost",
        "state=%00",
        "state=Settled",
    ];
    queries
        .into_iter()
        .map(|query| vector(query, 400, "invalid_query", Ask::get(format!("/v1/payments?{query}"))))
        .collect()
}

fn methods(payment: &str) -> Vec<Vector> {
    let cases = [
        (Method::DELETE, format!("/v1/payments/{payment}")),
        (Method::PUT, format!("/v1/payments/{payment}")),
        (Method::PATCH, "/v1/payments".to_owned()),
        (Method::GET, format!("/v1/payments/{payment}/cancel")),
        (Method::GET, format!("/v1/payments/{payment}/quotes")),
        (Method::POST, "/v1/rates".to_owned()),
    ];
    cases
        .into_iter()
        .map(|(method, path)| {
            let name = format!("{method} {path}");
            vector(&name, 405, "method_not_allowed", Ask::get(path).method(method))
        })
        .collect()
}

fn last_events(payment: &str) -> Vec<Vector> {
    ["first", "-1", "1.5", "99999999999999999999", ""]
        .into_iter()
        .map(|value| {
            let ask = Ask::get(format!("/v1/payments/{payment}/events"));
            let name = format!("last event {value:?}");
            vector(&name, 400, "last_event_id_invalid", ask.header("last-event-id", value))
        })
        .collect()
}

fn quotes(payment: &str) -> Vec<Vector> {
    let method = |network: &str, asset: &str| json!({ "network": network, "asset": asset });
    let priced = json!({ "network": "anvil", "asset": "ETH", "price": "1" });
    let cases = [
        ("unknown network", "network_unknown", method("dogecoin", "ETH")),
        ("no network", "network_unknown", method("", "ETH")),
        ("network with NUL", "network_unknown", method("\u{0}", "ETH")),
        ("unknown asset", "asset_unknown", method("anvil", "DOGE")),
        ("no asset", "asset_unknown", method("anvil", "")),
        ("rupees as crypto", "asset_not_accepted", method("anvil", "INR")),
        ("asset not on the network", "method_not_accepted", method("anvil", "BTC")),
        ("a missing asset", "invalid_request", json!({ "network": "anvil" })),
        ("a price of its own", "invalid_request", priced),
    ];
    cases
        .into_iter()
        .map(|(name, code, body)| {
            vector(name, 422, code, Ask::post(format!("/v1/payments/{payment}/quotes"), &body))
        })
        .collect()
}

fn cancellations(payment: &str) -> Vec<Vector> {
    let cancel = |body: &Value| Ask::post(format!("/v1/payments/{payment}/cancel"), body);
    vec![
        vector("a member", 422, "invalid_request", cancel(&json!({ "force": true }))),
        vector("a list", 422, "invalid_request", cancel(&json!([1]))),
        vector("not JSON", 400, "invalid_json", cancel(&json!({})).raw("{")),
    ]
}

fn destinations() -> Vec<Vector> {
    let (long_vpa, long_name) = (format!("{}@ok", "r".repeat(100)), "R".repeat(51));
    let vpas = [
        "ravi",
        "",
        "@",
        "ravi@",
        "@okaxis",
        "ravi@ok@axis",
        "rаvi@okaxis",
        "ravi@ok1",
        "ra vi@okaxis",
        "ra\u{0}vi@okaxis",
        "ravi@okaxis\n",
        long_vpa.as_str(),
    ];
    let names =
        ["", "Ra", long_name.as_str(), "Ra\u{0}vi", "Ravi \u{202e}Stores", " Ravi", "\n\n\n"];
    let place = |vpa: &str, name: &str| {
        Ask::post("/v1/payout_destinations", &json!({ "vpa": vpa, "name": name }))
    };
    let vpas = vpas
        .into_iter()
        .map(|vpa| vector(&format!("vpa {vpa:?}"), 422, "vpa_invalid", place(vpa, "Ravi Stores")));
    let names = names.into_iter().map(|name| {
        vector(&format!("name {name:?}"), 422, "name_invalid", place("ravi@okaxis", name))
    });
    vpas.chain(names).collect()
}

fn endpoints() -> Vec<Vector> {
    let put = |body: &Value| Ask::get("/v1/webhook_endpoint").method(Method::PUT).json(body);
    let urls = [
        "",
        "shop.example",
        "http://shop.example/",
        "https://169.254.169.254/",
        "https://[::1]/",
        "https://localhost/",
        "https://shop.example:22/",
        "https://u:p@shop.example/",
        "https://shop.example/\u{0}",
        "file:///etc/passwd",
    ];
    let refused = urls.into_iter().map(|url| {
        vector(&format!("url {url:?}"), 422, "url_invalid", put(&json!({ "url": url })))
    });
    let shapes = [json!({}), json!({ "url": 1 }), json!({ "url": null, "secret": "mine" })];
    let shapes = shapes
        .into_iter()
        .map(|body| vector(&format!("endpoint {body}"), 422, "invalid_request", put(&body)));
    refused.chain(shapes).collect()
}
