//! What may be set for which volume: rules that a value's type alone does not tell.

use super::{Refused, check};
use crate::volume::definition::Volume;

/// Options that belong to the pool, not to a volume.
pub const GLOBAL: [&str; 10] = [
    "cluster.server-quorum-ratio",
    "cluster.enable-shared-storage",
    "cluster.op-version",
    "cluster.max-op-version",
    "cluster.brick-multiplex",
    "cluster.max-bricks-per-process",
    "glusterd.vol_count_per_thread",
    "cluster.localtime-logging",
    "cluster.daemon-log-level",
    "cluster.brick-graceful-cleanup",
];

/// Options that mean something only where there are copies.
const OF_COPIES: [&str; 4] =
    ["cluster.metadata-self-heal", "cluster.data-self-heal", "cluster.entry-self-heal", "cluster.shd-max-threads"];

/// Checks a key and a value that are to be set for a volume, or (`None`) for the pool. Gives the key in full.
///
/// # Errors
/// [`Refused`], in the words of the real tool.
pub fn fits<'a>(volume: Option<&Volume>, key: &'a str, value: &str) -> Result<&'a str, Refused> {
    let full = super::row(key).map_or(key, |row| row.key);
    let refusal = match volume {
        _ if full == "cluster.max-op-version" => Some("Not a valid option to set".into()),
        None if full == "cluster.op-version" => op_version(value),
        None if super::row(key).is_some() && !GLOBAL.contains(&full) => {
            Some("Not a valid option for all volumes".into())
        }
        Some(_) if full == "cluster.op-version" => Some(format!("Option \"{full}\" is not valid for a single volume")),
        Some(_) if GLOBAL.contains(&full) => Some("Not a valid option for single volume".into()),
        Some(volume) => of_volume(volume, full, value),
        None => None,
    };
    refusal.map_or_else(|| check(key, value), |text| Err(Refused::Value(text)))
}

fn op_version(value: &str) -> Option<String> {
    let read = value.parse::<u32>().ok();
    Some(match read {
        None => format!("invalid number format \"{value}\" in option \"cluster.op-version\""),
        Some(n) if n > 100_000 => {
            format!("Required op_version ({n}) is not supported. Max supported op version is 100000")
        }
        Some(n) => {
            format!("Required op-version ({n}) should not be equal or lower than current cluster op-version (100000).")
        }
    })
}

fn of_volume(volume: &Volume, key: &str, value: &str) -> Option<String> {
    let number = || value.parse::<i64>().ok();
    match key {
        _ if OF_COPIES.contains(&key) && !volume.is_replicated() => {
            Some(format!("Cannot set {key} for a non-replicate volume."))
        }
        "cluster.self-heal-daemon" if !volume.is_replicated() => {
            Some(format!("Volume {} is not of replicate type", volume.name))
        }
        "cluster.quorum-count" => match number() {
            None => Some(format!("{value} is not an integer. {key} expects a valid integer value.")),
            Some(n) if n < 1 || n as usize > volume.replica => {
                Some(format!("{n} in {key} {n} is out of range [1 - {}]", volume.replica))
            }
            Some(_) => None,
        },
        "cluster.subvols-per-directory" => {
            let sets = volume.set_count();
            let more = |n: &i64| *n > sets as i64;
            number()
                .filter(more)
                .map(|n| format!("subvols-per-directory({n}) is greater than the number of subvolumes({sets})."))
        }
        "cluster.rebal-throttle" => throttle(key, value),
        "cluster.read-subvolume" => {
            let is_one = volume.bricks.iter().any(|brick| volume.client_name(brick) == value);
            (!is_one).then(|| format!("option read-subvolume {value}: '{value}' is not a valid volume name"))
        }
        "auth.allow" | "auth.reject" => {
            let path = volume.bricks.first().map_or("", |brick| brick.path.as_str());
            let (short, fine) = (&key[5..], value.split(',').all(is_address));
            (!fine).then(|| {
                format!("option auth.addr.{path}.{short} {value}: '{value}' is not a valid internet-address-list")
            })
        }
        "locks.mandatory-locking" if !matches!(value, "off" | "file" | "forced" | "optimal") => {
            Some(format!("Invalid option value '{value}': Available options are 'off', 'file', 'forced' or 'optimal'"))
        }
        "transport.listen-backlog" => match number() {
            None => Some(format!("{value} is not a compatible value. {key} expects an integer value.")),
            Some(n) if n <= 0 => {
                Some(format!("{value} is not a compatible value. {key} expects a positiveinteger value."))
            }
            Some(_) => None,
        },
        _ => None,
    }
}

/// How many files a rebalance may move at a time: a word, or a number that is less than the machine has cores.
fn throttle(key: &str, value: &str) -> Option<String> {
    match value.parse::<i64>() {
        _ if matches!(value, "lazy" | "normal" | "aggressive") => None,
        Ok(n) if n > 0 => None,
        Ok(_) => Some(format!(
            "{key} should be within range of 0 and maximum number of cores available (cores available - 2)"
        )),
        Err(_) => Some(format!(
            "{key} should be {{lazy|normal|aggressive}} or a number up to number of cores available (cores available - 2)"
        )),
    }
}

/// A host name, an address, or a pattern of them, with an exclamation mark before it or a directory of the volume.
fn is_address(text: &str) -> bool {
    let text = text.trim().trim_start_matches('!');
    let fine = |c: char| c.is_ascii_alphanumeric() || ".-_:*?/[]()|".contains(c);
    !text.is_empty() && !text.starts_with(['-', '.']) && !text.contains("..") && text.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::definition::tests::volume;

    fn refusal(volume: Option<&Volume>, key: &str, value: &str) -> String {
        fits(volume, key, value).map_or_else(|refused| refused.to_string(), |_| "fine".into())
    }

    /// What is refused by the kind of volume, in the real tool's words.
    #[test]
    fn volumes_decide_what_may_be_set() {
        let (plain, three) = (volume(1, 0, 2), volume(3, 0, 3));
        assert_eq!(
            refusal(Some(&plain), "data-self-heal", "on"),
            "Cannot set cluster.data-self-heal for a non-replicate volume."
        );
        assert_eq!(refusal(Some(&plain), "cluster.self-heal-daemon", "off"), "Volume gv0 is not of replicate type");
        assert_eq!(
            refusal(Some(&three), "cluster.quorum-count", "5"),
            "5 in cluster.quorum-count 5 is out of range [1 - 3]"
        );
        assert_eq!(refusal(Some(&three), "cluster.quorum-count", "2"), "fine");
        assert_eq!(
            refusal(Some(&plain), "subvols-per-directory", "3"),
            "subvols-per-directory(3) is greater than the number of subvolumes(2)."
        );
        assert_eq!(
            refusal(Some(&three), "auth.allow", "50%"),
            "option auth.addr./data/b.allow 50%: '50%' is not a valid internet-address-list"
        );
        assert_eq!(refusal(Some(&three), "auth.allow", "192.168.1.*,server2"), "fine");
        assert_ne!(refusal(Some(&three), "auth.allow", "example..org"), "fine");
        assert_eq!(refusal(Some(&three), "cluster.read-subvolume", "gv0-client-1"), "fine");
    }

    /// What belongs to the pool is set for the pool, and nothing else is.
    #[test]
    fn the_pool_has_its_own_options() {
        let three = volume(3, 0, 3);
        assert_eq!(refusal(None, "ping-timeout", "5"), "Not a valid option for all volumes");
        assert_eq!(refusal(Some(&three), "cluster.server-quorum-ratio", "5"), "Not a valid option for single volume");
        assert_eq!(refusal(None, "cluster.server-quorum-ratio", "51%"), "fine");
        assert!(
            refusal(None, "cluster.op-version", "100000").starts_with("Required op-version (100000) should not be")
        );
    }
}
