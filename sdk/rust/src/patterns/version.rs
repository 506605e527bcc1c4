//! The version of a format, as a field.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of a state's format, as a field of it: written as the number `N`, and nothing else can be read
/// as it.
///
/// ```
/// # use carpe_sdk::patterns::Version;
/// let error = serde_json::from_str::<Version<2>>("1").unwrap_err();
/// assert!(error.to_string().contains("a state of format 1, where format 2 should be"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version<const N: u8>;

impl<const N: u8> Serialize for Version<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(N)
    }
}

impl<'de, const N: u8> Deserialize<'de> for Version<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            found if found == N => Ok(Version),
            found => {
                Err(D::Error::custom(format_args!("a state of format {found}, where format {N} should be")))
            }
        }
    }
}
