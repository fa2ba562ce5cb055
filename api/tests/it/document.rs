//! The OpenAPI document as a judge of answers: status, media type and the shape of the body.
//!
//! Knows the part of JSON Schema our document uses and fails on anything else, so that a new word
//! in the document is not silently ignored.

use std::sync::LazyLock;

use serde_json::{Map, Value};

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&api::openapi()).unwrap());

/// One operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) described: &'static Value,
}

impl Operation {
    pub(crate) fn is_open(&self) -> bool {
        self.described["security"].as_array().is_some_and(Vec::is_empty)
    }
}

pub(crate) fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(|(method, described)| Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                described,
            })
        })
        .collect()
}

fn operation(method: &str, path: &str) -> Option<Operation> {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (wanted, given): (Vec<_>, Vec<_>) =
            (template.split('/').collect(), path.split('/').collect());
        wanted.len() == given.len()
            && wanted.iter().zip(&given).all(|(w, g)| w.starts_with('{') || w == g)
    };
    operations().into_iter().find(|o| o.method == method && fits(&o.path))
}

/// Fails unless the document describes this answer. Answers outside the document (unknown routes,
/// wrong methods) must at least be problem documents.
pub(crate) fn check(method: &str, path: &str, status: u16, kind: &str, body: &str) {
    let what = format!("{method} {path} -> {status}: {body}");
    let Some(operation) = operation(method, path) else {
        assert!(matches!(status, 400 | 404 | 405 | 408 | 413 | 414 | 431), "{what}");
        assert_eq!(kind, "application/problem+json", "{what}");
        conforms(&schema("Problem"), &serde_json::from_str(body).unwrap(), &what);
        return;
    };
    let response = &operation.described["responses"][status.to_string()];
    assert!(response.is_object(), "the document does not know this status: {what}");
    let content = response["content"].as_object().unwrap();
    let described = content.get(kind).unwrap_or_else(|| panic!("media type {kind}: {what}"));
    if kind.ends_with("json") {
        conforms(&described["schema"], &serde_json::from_str(body).unwrap(), &what);
    }
}

pub(crate) fn schema(name: &str) -> Value {
    DOCUMENT["components"]["schemas"][name].clone()
}

/// Checks a value against a schema of the document.
pub(crate) fn conforms(schema: &Value, value: &Value, what: &str) {
    let Value::Object(schema) = schema else { panic!("schema {schema}: {what}") };
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let name = target.strip_prefix("#/components/schemas/").unwrap();
        return conforms(&self::schema(name), value, what);
    }
    for (word, rule) in schema {
        match word.as_str() {
            "type" => assert!(type_fits(rule, value), "{value} is not {rule}: {what}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{value}: {what}"),
            "required" => {
                for name in rule.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    assert!(value.get(name).is_some(), "{name} is missing: {what}");
                }
            }
            "properties" => properties(rule.as_object().unwrap(), value, what),
            "items" => value.as_array().unwrap().iter().for_each(|v| conforms(rule, v, what)),
            "additionalProperties" if rule.is_object() => {}
            "oneOf" => {
                let null = |s: &&Value| s["type"] == "null";
                let options = rule.as_array().unwrap();
                if value.is_null() {
                    assert!(options.iter().any(|s| null(&s)), "null: {what}");
                } else {
                    options.iter().filter(|s| !null(s)).for_each(|s| conforms(s, value, what));
                }
            }
            "minimum" => assert!(value.as_i64() >= rule.as_i64(), "{value} < {rule}: {what}"),
            "maximum" => assert!(value.as_i64() <= rule.as_i64(), "{value} > {rule}: {what}"),
            "description" | "example" | "format" | "pattern" | "propertyNames" => {}
            "additionalProperties" | "minLength" | "maxLength" | "maxProperties" => {}
            other => panic!("the judge does not know the word {other}"),
        }
    }
}

fn properties(described: &Map<String, Value>, value: &Value, what: &str) {
    for (name, member) in value.as_object().unwrap() {
        let schema = described.get(name);
        let schema = schema.unwrap_or_else(|| panic!("{name} is not in the document: {what}"));
        conforms(schema, member, what);
    }
}

fn type_fits(rule: &Value, value: &Value) -> bool {
    if let Some(options) = rule.as_array() {
        return options.iter().any(|option| type_fits(option, value));
    }
    match rule.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    }
}
