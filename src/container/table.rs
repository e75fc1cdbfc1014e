//! How `lxc-ls` and `lxc-info` show containers: LXC's own columns, byte for byte.
//!
//! Source: lxc-ls(1), lxc-info(1), and what LXC 5.0 prints.

/// A table with its header: each column as wide as its widest cell, each cell followed by one blank, also the last.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header = header.iter().map(|h| (*h).to_string()).collect::<Vec<_>>();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let shown = |line: &Vec<String>| line.iter().zip(&widths).map(|(c, w)| format!("{c:<w$} ")).collect::<String>();
    lines.into_iter().map(|l| shown(l) + "\n").collect()
}

/// Names side by side in columns, as `lxc-ls` without `-f` shows them on a terminal `width` wide; `None`: one row.
pub fn columns(names: &[String], width: Option<usize>) -> String {
    let widest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0) + 1;
    let each = width.map_or(names.len(), |w| (w / widest).max(1)).max(1);
    names.chunks(each).map(|row| row.iter().map(|n| format!("{n:<widest$}")).collect::<String>() + "\n").collect()
}

/// A line of `lxc-info`: the label padded to 16.
pub fn field(label: &str, value: &str) -> String {
    format!("{:<16}{value}\n", format!("{label}:"))
}

/// Bytes in LXC's form: `0 bytes`, `712.00 KiB`, `1.11 MiB`.
pub fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let scaled = |shift: u32| bytes as f64 / f64::from(1u32 << shift);
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.2} KiB", scaled(10)),
        1_048_576..1_073_741_824 => format!("{:.2} MiB", scaled(20)),
        _ => format!("{:.2} GiB", scaled(30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What LXC 5.0.2 printed for a running container, blank at the end included.
    #[test]
    fn the_table_is_lxcs() {
        let header = ["NAME", "STATE", "AUTOSTART", "GROUPS", "IPV4", "IPV6", "UNPRIVILEGED"];
        let row = ["c1", "RUNNING", "0", "-", "-", "-", "false"].map(String::from).to_vec();
        assert_eq!(
            table(&header, &[row]),
            "NAME STATE   AUTOSTART GROUPS IPV4 IPV6 UNPRIVILEGED \nc1   RUNNING 0         -      -    -    false        \n"
        );
    }

    /// And for `lxc-ls` and `lxc-info`.
    #[test]
    fn names_and_fields_are_lxcs() {
        let names = ["aufstest1", "c2", "d"].map(String::from);
        assert_eq!(columns(&names, None), "aufstest1 c2        d         \n");
        assert_eq!(columns(&names, Some(20)), "aufstest1 c2        \nd         \n");
        assert_eq!(columns(&[], None), "");
        assert_eq!(field("Name", "c1"), "Name:           c1\n");
        assert_eq!(
            (size(0), size(729_088), size(1_163_919)),
            ("0 bytes".into(), "712.00 KiB".into(), "1.11 MiB".into())
        );
    }
}
