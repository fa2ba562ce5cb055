//! Who is asking, and whether their key may do this.
//!
//! Invariant: a handler that concerns a merchant takes a [`Guarded`] and has no other way to learn
//! which merchant; the scope is part of its type, so a route without a policy does not compile.

use std::{marker::PhantomData, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use identity::{Principal, Scope};
use primitives::MerchantId;

use crate::{
    problem::{Code, Problem},
    state::Api,
};

/// The scope a route asks for, as a type.
pub(crate) trait Permission: Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! permissions {
    ($($name:ident),+) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Permission for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )+};
}

permissions!(
    PaymentsRead,
    PaymentsWrite,
    RatesRead,
    DestinationsRead,
    DestinationsWrite,
    WebhooksWrite
);

/// A request made with a live key that has the scope `P` and requests left.
#[derive(Debug)]
pub(crate) struct Guarded<P> {
    pub(crate) merchant: MerchantId,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Api> for Guarded<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let principal = authenticate(&parts.headers, api).await?;
        api.key_limit.take(principal.key, Instant::now()).map_err(|wait| {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            Problem::new(Code::RateLimited, "This key has used its requests for the moment.")
                .retry_after(seconds)
        })?;
        if !principal.scopes.contains(P::SCOPE) {
            let detail = format!("The key needs the scope {}.", P::SCOPE);
            return Err(Problem::telling(Code::ScopeMissing, &detail));
        }
        Ok(Self { merchant: principal.merchant, permission: PhantomData })
    }
}

/// One answer for every way of not having a key: absent, malformed, unknown, revoked, expired.
async fn authenticate(headers: &HeaderMap, api: &Api) -> Result<Principal, Problem> {
    const REFUSED: Problem =
        Problem::new(Code::Unauthorized, "Send a live key as Authorization: Bearer sk_….");
    let presented = presented_key(headers).ok_or(REFUSED)?;
    let mut conn = api.connection().await?;
    let found = identity::authenticate(&mut conn, presented, api.given.base.now()).await?;
    found.ok_or(REFUSED)
}

fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && identity::is_key_shaped(key)).then_some(key)
}
