//! heal
