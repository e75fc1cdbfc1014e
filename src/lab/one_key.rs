//! Enums that are written in YAML as a map with one key, `{node: leader}`.
//!
//! serde's own way for such enums is a YAML tag (`!node leader`), which nobody wants to type; and reading them by way
//! of a generic value would lose the line at which a mistake stands.

/// Implements `Deserialize` for an enum of one-field variants, each under its key.
macro_rules! one_key {
    ($type:ident, $what:literal; $($key:literal => $variant:ident),* $(,)?) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Reader;

                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(f, concat!($what, ": a map with one of {}"), [$($key),*].join(", "))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$type, A::Error> {
                        use serde::de::Error;
                        let Some(key) = map.next_key::<String>()? else {
                            return Err(A::Error::invalid_length(0, &self));
                        };
                        let value = match key.as_str() {
                            $($key => $type::$variant(map.next_value()?),)*
                            other => return Err(A::Error::unknown_variant(other, &[$($key),*])),
                        };
                        match map.next_key::<String>()? {
                            Some(more) => Err(A::Error::custom(format!("`{more}` is too much, expected one key"))),
                            None => Ok(value),
                        }
                    }
                }

                from.deserialize_any(Reader)
            }
        }
    };
}

pub(super) use one_key;
