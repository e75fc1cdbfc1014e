//! A container on a union, as the homework's last pictures have it: the image's listing, the container's view and the writable
//! branch side by side. A name that changed is a row; each column says what is there of it.

use std::collections::BTreeSet;

use ratatui::text::Line;

use crate::tui::theme::Paint;
use crate::tui::width::{clip, left};
use crate::union::{BranchInfo, Happening};
use crate::world::union::{Mount, Served};

use super::super::Scene;

/// The least width of a column, and the most columns.
const NARROWEST: usize = 12;
const MOST: usize = 5;
/// Stands where a column has nothing of a name.
const NOTHING: &str = "-";

/// What a column shows: a branch by its index, or the container's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Branch(usize),
    View,
}

/// The lines for the container called `name` whose root is `mount`; none where there is no room for them.
pub fn lines(scene: &Scene<'_>, name: &str, mount: &Mount, width: usize) -> Vec<Line<'static>> {
    let columns = columns(mount);
    let wide = width.saturating_sub(4) / columns.len().max(1);
    if mount.branches.is_empty() || columns.len() > MOST || wide < NARROWEST {
        return Vec::new();
    }
    let row = |cells: Vec<(Paint, String)>| {
        let spans = cells.into_iter().map(|(paint, text)| scene.span(paint, left(&clip(&text, wide - 2), wide)));
        Line::from_iter(std::iter::once(scene.span(Paint::Dim, "    ")).chain(spans))
    };
    let mut lines = vec![row(columns.iter().map(|column| heading(*column, name, mount)).collect())];
    let mut folder = None;
    for (above, last) in changed(mount) {
        let Some(served) = mount.names.get(&format!("{above}/{last}")) else { continue };
        let cells: Vec<_> = columns.iter().map(|column| cell(*column, last, served, mount)).collect();
        if cells.iter().all(|(_, text)| text == NOTHING) {
            continue;
        }
        if folder.replace(above) != Some(above) {
            let shown = if above.is_empty() { "/" } else { above };
            lines.push(Line::from(scene.span(Paint::Dim, format!("    {}:", clip(shown, width.saturating_sub(6))))));
        }
        lines.push(row(cells));
    }
    lines
}

/// The image's branches from the lowest up, the container's view, and the topmost branch where that is writable.
fn columns(mount: &Mount) -> Vec<Column> {
    let own = mount.branches.first().is_some_and(|top| top.permission.starts_with("rw") && mount.branches.len() > 1);
    let image = (usize::from(own)..mount.branches.len()).rev().map(Column::Branch);
    image.chain([Column::View]).chain(own.then_some(Column::Branch(0))).collect()
}

fn heading(column: Column, name: &str, mount: &Mount) -> (Paint, String) {
    match column {
        Column::View => (Paint::Title, name.to_owned()),
        Column::Branch(i) => (Paint::Key, format!("{} ={}", short(&mount.branches[i]), mount.branches[i].permission)),
    }
}

/// What a person calls a branch: `writable`, and `aufstest1` for `/var/lib/lxc/aufstest1/rootfs`.
fn short(branch: &BranchInfo) -> &str {
    let mut parts = branch.path.trim_end_matches('/').rsplit('/').filter(|part| *part != "rootfs");
    parts.next().filter(|part| !part.is_empty()).unwrap_or(&branch.path)
}

/// The names that changed since the mount, as far as they are remembered: (folder, name), sorted.
fn changed(mount: &Mount) -> BTreeSet<(&str, &str)> {
    let names = mount.recent.iter().flat_map(|(_, happening)| match happening {
        Happening::Placed { path, .. }
        | Happening::CopiedUp { path, .. }
        | Happening::WhiteoutMade { path, .. }
        | Happening::Removed { path, .. }
        | Happening::MadeOpaque { path, .. } => vec![path.as_str()],
        Happening::Renamed { from, to, .. } => vec![from.as_str(), to.as_str()],
        _ => Vec::new(),
    });
    names.filter(|path| !is_below_a_gone_one(mount, path)).filter_map(|path| path.rsplit_once('/')).collect()
}

/// Whether a folder above the name is there no more: it was renamed or removed with all that was in it.
fn is_below_a_gone_one(mount: &Mount, path: &str) -> bool {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.filter_map(|folder| mount.names.get(folder)).any(|served| served.branch.is_none())
}

/// What a column shows of a name.
fn cell(column: Column, name: &str, served: &Served, mount: &Mount) -> (Paint, String) {
    let lowest = mount.branches.len() - 1;
    // A whiteout is only made over something: where it is not remembered, that lies in the lowest branch.
    let below = |i: usize| served.others.contains(&i) || (i == lowest && served.whiteouts.iter().any(|w| *w < i));
    match column {
        Column::View => match served.branch {
            Some(_) => (Paint::Good, format!("▪ {name}")),
            None => (Paint::Dim, NOTHING.into()),
        },
        Column::Branch(i) if served.whiteouts.contains(&i) => (Paint::Bad, format!("W .wh.{name}")),
        Column::Branch(i) if served.branch == Some(i) => (Paint::Good, format!("▪ {name}")),
        Column::Branch(i) if below(i) => (Paint::Text, format!("▫ {name}")),
        Column::Branch(_) => (Paint::Dim, NOTHING.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(permissions: &[&str]) -> Mount {
        let branch = |(i, permission): (usize, &&str)| BranchInfo {
            path: ["/var/lib/lxc/aufstest2/writable", "/var/lib/lxc/aufstest1/rootfs", "/layers/abc"][i].into(),
            permission: (*permission).into(),
            free: 0,
            total: 0,
        };
        Mount { branches: permissions.iter().enumerate().map(branch).collect(), ..Mount::default() }
    }

    /// Left is the image, right what the container wrote, between them what it sees; without a writable branch there is none
    /// to show.
    #[test]
    fn the_order_of_columns() {
        use Column::{Branch, View};
        assert_eq!(columns(&mount(&["rw", "ro"])), [Branch(1), View, Branch(0)]);
        assert_eq!(columns(&mount(&["rw", "ro", "ro"])), [Branch(2), Branch(1), View, Branch(0)]);
        assert_eq!(columns(&mount(&["ro"])), [Branch(0), View]);
        let names: Vec<_> = mount(&["rw", "ro", "ro"]).branches.iter().map(|b| short(b).to_string()).collect();
        assert_eq!(names, ["writable", "aufstest1", "abc"]);
    }

    /// Who has a new file, a changed one, a deleted one.
    #[test]
    fn who_has_it() {
        let mount = mount(&["rw", "ro"]);
        let texts =
            |served: Served| columns(&mount).iter().map(|c| cell(*c, "f", &served, &mount).1).collect::<Vec<_>>();
        assert_eq!(texts(Served { branch: Some(0), ..Served::default() }), ["-", "▪ f", "▪ f"], "new");
        assert_eq!(texts(Served { branch: Some(0), others: vec![1], ..Served::default() }), ["▫ f", "▪ f", "▪ f"]);
        assert_eq!(texts(Served { whiteouts: vec![0], ..Served::default() }), ["▫ f", "-", "W .wh.f"], "deleted");
    }
}
