//! The options of a volume.
use super::definition::Volume;
/// The value in force.
pub fn value<'a>(volume: &'a Volume, key: &str) -> &'a str {
    volume.option(key).unwrap_or_default()
}
