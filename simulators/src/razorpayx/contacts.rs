//! Contacts: the people and firms that are paid.
//!
//! Invariant: identical details (name, email, contact, type, reference) are one contact; creating
//! it again returns the first one.

use serde_json::Value;

use super::bank::Desk;
use super::checks::{Fields, Page, Query};
use super::entities::{Contact, ContactDetails};
use super::refusal::Refusal;

const TYPES: [&str; 5] = ["vendor", "customer", "employee", "self", "custom"];

fn kind(fields: &Fields<'_>) -> Result<Option<String>, Refusal> {
    let kind = fields.text("type", 1, 40)?;
    if let Some(word) = kind.as_deref().filter(|word| !TYPES.contains(word)) {
        return Err(Refusal::input("type", format!("Invalid type: {word}")));
    }
    Ok(kind)
}

fn email(fields: &Fields<'_>) -> Result<Option<String>, Refusal> {
    let email = fields.text("email", 1, 255)?;
    let wrong = email.as_deref().is_some_and(|email| {
        email.split_once('@').is_none_or(|(user, host)| {
            user.is_empty() || host.is_empty() || email.contains(char::is_whitespace)
        })
    });
    if wrong { Err(fields.refuse("email", "must be a valid email address.")) } else { Ok(email) }
}

fn read(fields: &Fields<'_>) -> Result<ContactDetails, Refusal> {
    Ok(ContactDetails {
        name: fields.required_text("name", 3, 50)?,
        email: email(fields)?,
        contact: fields.text("contact", 1, 20)?,
        kind: kind(fields)?,
        reference_id: fields.text("reference_id", 1, 40)?,
    })
}

impl Desk<'_> {
    pub(super) fn create_contact(&mut self, body: &Value) -> Result<Value, Refusal> {
        let id = self.contact_of(&Fields::of(body)?)?;
        self.fetch_contact(&id)
    }

    /// The id of the contact with these details, new or known.
    pub(super) fn contact_of(&mut self, fields: &Fields<'_>) -> Result<String, Refusal> {
        let details = read(fields)?;
        let notes = fields.notes()?.unwrap_or_default();
        if let Some(id) = self.state.contact_ids.get(&details) {
            return Ok(id.clone());
        }
        let id = self.id("cont_");
        self.state.contact_ids.insert(details.clone(), id.clone());
        let created_at = self.epoch();
        let contact = Contact { id: id.clone(), details, notes, active: true, created_at };
        self.state.contacts.add(contact);
        Ok(id)
    }

    pub(super) fn fetch_contact(&self, id: &str) -> Result<Value, Refusal> {
        self.state.contacts.get(id).map(Contact::to_json).ok_or_else(Refusal::unknown_id)
    }

    pub(super) fn update_contact(&mut self, id: &str, body: &Value) -> Result<Value, Refusal> {
        let fields = Fields::of(body)?;
        let old = self.state.contacts.get(id).ok_or_else(Refusal::unknown_id)?.clone();
        let details = ContactDetails {
            name: fields.text("name", 3, 50)?.unwrap_or_else(|| old.details.name.clone()),
            email: email(&fields)?.or_else(|| old.details.email.clone()),
            contact: fields.text("contact", 1, 20)?.or_else(|| old.details.contact.clone()),
            kind: kind(&fields)?.or_else(|| old.details.kind.clone()),
            reference_id: fields
                .text("reference_id", 1, 40)?
                .or_else(|| old.details.reference_id.clone()),
        };
        let notes = fields.notes()?.unwrap_or_else(|| old.notes.clone());
        let active = fields.flag("active")?.unwrap_or(old.active);
        if self.state.contact_ids.get(&old.details).is_some_and(|known| known == id) {
            self.state.contact_ids.remove(&old.details);
        }
        self.state.contact_ids.entry(details.clone()).or_insert_with(|| id.to_owned());
        if let Some(contact) = self.state.contacts.get_mut(id) {
            *contact = Contact { details, notes, active, ..old };
        }
        self.fetch_contact(id)
    }

    pub(super) fn list_contacts(&self, query: &Query, page: Page) -> Value {
        let admits = |contact: &Contact| {
            let details = &contact.details;
            let active = if contact.active { ["true", "1"] } else { ["false", "0"] };
            query.admits("name", Some(&details.name))
                && query.admits("email", details.email.as_deref())
                && query.admits("contact", details.contact.as_deref())
                && query.admits("type", details.kind.as_deref())
                && query.admits("reference_id", details.reference_id.as_deref())
                && query.get("active").is_none_or(|wanted| active.contains(&wanted))
        };
        page.of(self.state.contacts.iter(), admits, Contact::to_json)
    }
}
