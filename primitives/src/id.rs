//! Every id of the system, one alphabetical list. Ids are UUIDs shown with a prefix.
//!
//! Ids of derived things (client references, idempotency keys) come from [`derived_uuid`]: the
//! same names give the same id, so a restored database recomputes the same bytes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

/// The text is not an id of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the kind {0}_…")]
pub struct IdError(&'static str);

const NAMESPACE: Uuid = Uuid::from_u128(0x4368_756b_7461_5c9e_8d21_7061_6964_2e2e);

/// The version 5 UUID of `parts`, in the project's own namespace.
#[must_use]
pub fn derived_uuid(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let hex = text
                    .strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .ok_or(IdError($prefix))?;
                Uuid::try_parse(hex).map(Self).map_err(|_| IdError($prefix))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

ids! {
    ApiKeyId = "key",
    /// Something a person must look at.
    CaseId = "case",
    /// A batch of deposits sold together.
    ConversionId = "conv",
    /// One attempt to tell a merchant's endpoint about an event.
    DeliveryId = "dlv",
    DepositId = "dep",
    /// Where a merchant's rupees go.
    DestinationId = "dest",
    /// A fact about a payment that merchants and screens may see.
    EventId = "evt",
    /// A raw incoming webhook.
    InboxId = "inb",
    MerchantId = "mer",
    /// Coins of ours on their way on a chain.
    MoveId = "mov",
    PaymentId = "pay",
    PayoutId = "pout",
    QuoteId = "quo",
    RefundId = "ref",
    /// Coins of ours on their way from one venue to another.
    TransferId = "trf",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_kind() {
        let id = PaymentId::from_uuid(derived_uuid(&["a", "b"]));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<PayoutId>().is_err());
        assert!("pay_".parse::<PaymentId>().is_err());
        assert_ne!(derived_uuid(&["ab", "c"]), derived_uuid(&["a", "bc"]));
    }
}
