//! The names of rooms and sales.

/// The longest id, in bytes: a DNS label, because an id may become one.
pub const ID_MAX_BYTES: usize = 63;

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 63 characters of a-z, 0-9 and '-', and start with a letter or digit")]
pub struct InvalidId;

/// Makes a type of the texts that `$fits`: cheap to clone, checked where it comes in.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $fits:path, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Takes a text, if it is one of these.
            pub fn parse(text: &str) -> Result<Self, $error> {
                if $fits(text) { Ok(Self(text.into())) } else { Err($error) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // Lets a map keyed by these be asked with a `&str`, without an allocation.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.as_ref().to_owned()
            }
        }
    };
}
pub(crate) use text;

text! {
    /// The id of a room: `[a-z0-9][a-z0-9-]{0,62}`.
    RoomId, is_id, InvalidId
}

text! {
    /// The id of a sale, of the same form.
    SaleId, is_id, InvalidId
}

/// Whether a text is an id of a room or a sale.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let starts_well = bytes.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_id_byte = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    starts_well && bytes.len() <= ID_MAX_BYTES && bytes.iter().all(is_id_byte)
}
