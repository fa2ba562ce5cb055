//! Reading requests: JSON fields and query parameters under the vendor's rules.
//!
//! Invariant: a request is read completely before anything is created, and unknown fields are
//! ignored, as the vendor's documents say nothing of them. Sentences are the vendor's where they
//! are published and in its manner where they are not.

use std::collections::HashMap;

use axum::body::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::entities::Destination;
use super::refusal::Refusal;
use super::shelf::Row;

/// The fields of a JSON object.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// In front of field names in refusals: `fund_account.`.
    prefix: &'static str,
}

/// The body as a JSON object; nothing at all counts as `{}`.
pub(super) fn object(body: &Bytes) -> Result<Value, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(Refusal::business("The request body is not a JSON object.")),
    }
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self, Refusal> {
        Self::prefixed(value, "")
    }

    fn prefixed(value: &'a Value, prefix: &'static str) -> Result<Self, Refusal> {
        let map = value.as_object().ok_or_else(|| {
            Refusal::input(prefix.trim_end_matches('.'), "The field must be an object.")
        })?;
        Ok(Self { map, prefix })
    }

    /// The object in a field, `None` when the field is missing or null.
    pub(super) fn inner(
        &self,
        field: &str,
        prefix: &'static str,
    ) -> Result<Option<Fields<'a>>, Refusal> {
        self.value(field).map(|value| Fields::prefixed(value, prefix)).transpose()
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    fn value(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    fn name(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    pub(super) fn refuse(&self, field: &str, what: &str) -> Refusal {
        Refusal::input(&self.name(field), format!("The {} {what}", field.replace('_', " ")))
    }

    pub(super) fn missing(&self, field: &str) -> Refusal {
        self.refuse(field, "field is required.")
    }

    /// Text of `least` to `most` characters; an empty one counts as missing.
    pub(super) fn text(
        &self,
        field: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<String>, Refusal> {
        let text = match self.value(field) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            // Clients send phone numbers as numbers.
            Some(Value::Number(number)) if field == "contact" => number.to_string(),
            Some(_) => return Err(self.refuse(field, "must be a string.")),
        };
        let length = text.chars().count();
        if length == 0 {
            return Ok(None);
        }
        if length < least {
            return Err(self.refuse(field, &format!("must be at least {least} characters.")));
        }
        if length > most {
            let what = format!("may not be greater than {most} characters.");
            return Err(self.refuse(field, &what));
        }
        Ok(Some(text))
    }

    pub(super) fn required_text(
        &self,
        field: &str,
        least: usize,
        most: usize,
    ) -> Result<String, Refusal> {
        self.text(field, least, most)?.ok_or_else(|| self.missing(field))
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Refusal> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(value) if value == &json!(1) => Ok(Some(true)),
            Some(value) if value == &json!(0) => Ok(Some(false)),
            Some(_) => Err(self.refuse(field, "field must be true or false.")),
        }
    }

    /// Whole paise.
    pub(super) fn amount(&self, field: &str, least: i64) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let amount = value.as_i64().ok_or_else(|| self.refuse(field, "must be an integer."))?;
        if amount < least {
            return Err(self.refuse(field, &format!("must be at least {least}.")));
        }
        Ok(Some(amount))
    }

    /// At most 15 pairs of at most 256 characters each.
    pub(super) fn notes(&self) -> Result<Option<Map<String, Value>>, Refusal> {
        let notes = match self.value("notes") {
            None => return Ok(None),
            Some(Value::Array(list)) if list.is_empty() => Map::new(),
            Some(Value::Object(notes)) => notes.clone(),
            Some(_) => return Err(self.refuse("notes", "must be an array.")),
        };
        if notes.len() > 15 {
            return Err(self.refuse("notes", "may not have more than 15 items."));
        }
        for (key, value) in &notes {
            let length = match value {
                Value::String(text) => text.chars().count(),
                Value::Number(_) | Value::Bool(_) | Value::Null => 0,
                Value::Array(_) | Value::Object(_) => {
                    return Err(self.refuse("notes", "must be key-value pairs of text."));
                }
            };
            if key.chars().count() > 256 || length > 256 {
                return Err(self.refuse("notes", "may not be greater than 256 characters."));
            }
        }
        Ok(Some(notes))
    }

    /// `account_type` with its `vpa` or `bank_account`.
    pub(super) fn destination(&self) -> Result<Destination, Refusal> {
        match self.required_text("account_type", 1, 40)?.as_str() {
            "vpa" => {
                let vpa = self.inner("vpa", "vpa.")?.ok_or_else(|| self.missing("vpa"))?;
                let address = vpa.required_text("address", 1, 256)?;
                split_vpa(&address).ok_or_else(|| {
                    Refusal::input(
                        "vpa.address",
                        "Invalid VPA. Please enter a valid Virtual Payment Address",
                    )
                })
            }
            "bank_account" => {
                let bank = self
                    .inner("bank_account", "bank_account.")?
                    .ok_or_else(|| self.missing("bank_account"))?;
                bank.bank_account()
            }
            _ => Err(self.refuse("account_type", "is invalid.")),
        }
    }

    fn bank_account(&self) -> Result<Destination, Refusal> {
        let name = self.required_text("name", 3, 120)?;
        let ifsc = self.required_text("ifsc", 11, 11)?;
        let (bank, branch) = ifsc.split_at_checked(4).unwrap_or_default();
        let branch_follows_zero = branch
            .strip_prefix('0')
            .is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_alphanumeric()));
        if !bank.chars().all(|letter| letter.is_ascii_alphabetic()) || !branch_follows_zero {
            return Err(self.refuse("ifsc", "is invalid."));
        }
        let account_number = self.required_text("account_number", 5, 35)?;
        if !account_number.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return Err(self.refuse("account_number", "is invalid."));
        }
        Ok(Destination::Bank { name, ifsc: ifsc.to_ascii_uppercase(), account_number })
    }
}

/// 3 to 100 letters, digits, dots and hyphens around exactly one `@`.
fn split_vpa(address: &str) -> Option<Destination> {
    let (username, handle) = address.split_once('@')?;
    let allowed = |part: &str| {
        !part.is_empty()
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter))
    };
    let fits = (3..=100).contains(&address.len()) && allowed(username) && allowed(handle);
    fits.then(|| Destination::Vpa { username: username.to_owned(), handle: handle.to_owned() })
}

/// Query parameters, decoded; the last of a name wins.
#[derive(Debug, Default)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn parse(raw: Option<&str>) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a field passes the filter of that name, if there is one.
    pub(super) fn admits(&self, name: &str, value: Option<&str>) -> bool {
        self.get(name).is_none_or(|wanted| value == Some(wanted))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| Refusal::input(name, format!("The {name} must be an integer.")))
            })
            .transpose()
    }

    /// Which part of a list is wanted.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let count = self.number("count")?.unwrap_or(10);
        if !(1..=100).contains(&count) {
            let what =
                if count > 100 { "may not be greater than 100" } else { "must be at least 1" };
            return Err(Refusal::input("count", format!("The count {what}.")));
        }
        let skip = usize::try_from(self.number("skip")?.unwrap_or(0))
            .map_err(|_| Refusal::input("skip", "The skip must be at least 0."))?;
        Ok(Page {
            count: usize::try_from(count).unwrap_or(10),
            skip,
            from: self.number("from")?.unwrap_or(i64::MIN),
            to: self.number("to")?.unwrap_or(i64::MAX),
        })
    }

    /// The account a list is about: required, and it must be ours.
    pub(super) fn own_account(&self) -> Result<(), Refusal> {
        let number =
            self.get("account_number").ok_or_else(|| Refusal::required("account_number"))?;
        check_own_account("account_number", number)
    }
}

pub(super) fn check_own_account(field: &str, number: &str) -> Result<(), Refusal> {
    if number == super::ACCOUNT_NUMBER {
        Ok(())
    } else {
        Err(Refusal::input(field, "The RazorpayX Account number is invalid."))
    }
}

/// `count`, `skip`, `from`, `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    count: usize,
    skip: usize,
    from: i64,
    to: i64,
}

impl Page {
    pub(super) const fn spans(&self, created_at: i64) -> bool {
        self.from <= created_at && created_at <= self.to
    }

    /// Newest first, filtered, cut, rendered.
    pub(super) fn of<'a, T: Row + 'a>(
        &self,
        rows: impl DoubleEndedIterator<Item = &'a T>,
        admits: impl Fn(&T) -> bool,
        render: impl Fn(&T) -> Value,
    ) -> Value {
        let chosen = rows.rev().filter(|row| self.spans(row.created_at()) && admits(row));
        collection(chosen.skip(self.skip).take(self.count).map(render).collect())
    }

    pub(super) fn cut(&self, rows: impl Iterator<Item = Value>) -> Value {
        collection(rows.skip(self.skip).take(self.count).collect())
    }
}

pub(super) fn collection(items: Vec<Value>) -> Value {
    json!({"entity": "collection", "count": items.len(), "items": items})
}
