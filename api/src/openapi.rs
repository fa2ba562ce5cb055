//! The OpenAPI document, generated from the handlers and committed as `api/openapi.json`.
//!
//! Invariant: what every operation can answer because of what it is (it takes a key, a body, an
//! id) is written here once; a handler lists only what is its own.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        self, Content, Ref, RefOr, Response, ResponseBuilder,
        path::{Operation, PathItem},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use crate::{problem, routes};

/// Operations anybody may call. Everything else wants a key.
const OPEN: [&str; 4] = ["live", "ready", "show_openapi", "receive_webhook"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Chukta",
        description = "Crypto in, rupees out. Amounts are whole minor units as text, times are \
            RFC 3339, errors are RFC 9457 with a stable `code`.",
        version = "1.0.0",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        routes::payments::create::handler,
        routes::payments::list::handler,
        routes::payments::show::handler,
        routes::quotes::create::handler,
        routes::payments::events::handler,
        routes::payments::explain::handler,
        routes::payments::cancel::handler,
        routes::rates::list::handler,
        routes::payout_destinations::list::handler,
        routes::payout_destinations::create::handler,
        routes::webhook_endpoint::set::handler,
        routes::openapi::show::handler,
        routes::health::live::handler,
        routes::health::ready::handler,
        routes::inbox::receive::handler,
    ),
    components(schemas(problem::ProblemDocument)),
    modifiers(&KeyAndRefusals),
)]
struct Document;

/// The document as committed: pretty JSON, always in the same order.
#[must_use]
pub fn openapi() -> String {
    Document::openapi().to_pretty_json().unwrap_or_default()
}

struct KeyAndRefusals;

impl Modify for KeyAndRefusals {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("api_key", bearer);
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                complete(operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put].into_iter().flatten()
}

fn complete(operation: &mut Operation) {
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let guarded = !OPEN.contains(&name);
    let takes_body = operation.request_body.is_some() || name == "cancel_payment";
    let takes_json = takes_body && name != "receive_webhook";
    let takes_id = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| parameter.parameter_in == openapi::path::ParameterIn::Path);
    operation.security = Some(if guarded {
        vec![SecurityRequirement::new::<_, _, &str>("api_key", [])]
    } else {
        Vec::new()
    });
    let mut refusals = vec![
        ("400", "Not understood"),
        ("408", "The body came too slowly"),
        ("413", "The body is too large"),
        ("414", "The address is too long"),
        ("431", "The headers are too large"),
        ("500", "A failure on our side"),
        ("503", "Not now; Retry-After says when to come back"),
    ];
    if guarded {
        refusals.push(("401", "A live key is needed"));
        refusals.push(("403", "The key lacks the scope"));
    }
    if guarded || name == "receive_webhook" {
        refusals.push(("429", "Too many requests; Retry-After says when to come back"));
    }
    if takes_id {
        refusals.push(("404", "There is no such thing, or it is not yours"));
    }
    if takes_json {
        refusals.push(("415", "The body is not plain JSON"));
        refusals.push(("422", "The request was understood and refused; `code` says why"));
    }
    for (status, description) in refusals {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| refusal(description));
    }
}

fn refusal(description: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name(problem::ProblemDocument::name());
    let content = Content::new(Some(schema));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build();
    RefOr::T(response)
}
