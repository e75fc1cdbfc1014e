//! The JSON Schema of `lab.yaml`, for editors.
//!
//! The reader ([`super::file`]) is the truth, for it gives a better message than any schema; the schema is for completion
//! and red lines while writing. A test holds the two together: it names the same check kinds and actions, every lab
//! is valid by it, and what the reader refuses for its form, the schema refuses.

/// The schema's text.
pub const TEXT: &str = include_str!("../../labs/schema.json");
