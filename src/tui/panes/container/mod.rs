//! The containers: state, what their room is made of, what is mounted in it, who is in it; for one on a union also who
//! has what ([`columns`]).

mod columns;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::container::Room;
use crate::tui::theme::Paint;
use crate::tui::width::{clip, left};
use crate::world::container::Container;

use super::{Lines, Pane, PaneId, Scene, empty, size, view_lines};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Container,
    name: "container",
    matters: |world| !world.container.containers.is_empty(),
    status: |scene| if on_a_union(scene) { scene.tr("union-legend") } else { String::new() },
    view,
    lines: Some(Lines {
        count: |scene, width| lines(scene, width.into()).len(),
        some: |scene, width, first, most| lines(scene, width.into()).into_iter().skip(first).take(most).collect(),
        at: |scene, total, height| scene.ui.container_scroll.first(total, height),
        go: |ui, _, go, total, height| ui.container_scroll.go(go, total, height, false),
        fixed: 0,
    }),
    act: super::no_verbs,
};

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    if scene.world.container.containers.is_empty() {
        return empty(scene, area, buffer, "container-empty");
    }
    let total = lines(scene, area.width.into()).len();
    view_lines(scene, &PANE, scene.ui.container_scroll.first(total, area.height.into()), area, buffer);
}

/// Whether a container's root is a union.
fn on_a_union(scene: &Scene<'_>) -> bool {
    let mut rooms = scene.world.container.containers.values().filter_map(|container| container.room.as_ref());
    rooms.any(|room| scene.world.union.mounts.contains_key(&room.rootfs))
}

/// The whole pane.
fn lines(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let containers = scene.world.container.containers.iter();
    containers.flat_map(|(name, container)| one(scene, name, container, width)).collect()
}

fn one(scene: &Scene<'_>, name: &str, container: &Container, width: usize) -> Vec<Line<'static>> {
    let (mark, paint) = match container.state.as_str() {
        "RUNNING" => ("▪ R", Paint::Good),
        "FROZEN" => ("= F", Paint::Paused),
        "STOPPED" => ("✗ S", Paint::Down),
        _ => ("◊ ~", Paint::Warn),
    };
    let pid = if container.pid > 0 { format!("  {} {}", scene.tr("volume-pid"), container.pid) } else { String::new() };
    let template = container.template.as_deref().unwrap_or_default();
    let of = if template.is_empty() { String::new() } else { format!("  {template} {}", size(container.bytes)) };
    let mut lines = vec![Line::from(vec![
        scene.span(paint, format!("{mark} ")),
        scene.span(Paint::Title, format!(" {name} ")),
        scene.span(paint, format!(" {}", container.state)),
        scene.span(Paint::Dim, format!("{pid}{of}")),
    ])];
    let mut row = |id: &str, paint, text: String| {
        if !text.is_empty() {
            let head = scene.span(Paint::Dim, format!("    {} ", left(&scene.tr(id), 12)));
            lines.push(Line::from(vec![head, scene.span(paint, clip(&text, width.saturating_sub(17)))]));
        }
    };
    if let Some(room) = &container.room {
        room_rows(room, container.wrote.as_ref(), scene, &mut row);
    }
    let process = |(pid, command): &(i32, String)| format!("{pid} {command}");
    let list = container.processes.iter().map(process).collect::<Vec<_>>().join("   ");
    let more = container.process_count.saturating_sub(container.processes.len());
    let list = if more > 0 { format!("{list}   +{more}") } else { list };
    row("container-processes", Paint::Text, list);
    let attached = container.attached.iter().map(|(pid, command)| format!("{pid} {}", command.join(" ")));
    row("container-attached", Paint::Accent, attached.collect::<Vec<_>>().join("   "));
    let union = container.room.as_ref().and_then(|room| scene.world.union.mounts.get(&room.rootfs));
    lines.extend(union.map_or_else(Vec::new, |mount| columns::lines(scene, name, mount, width)));
    lines.push(Line::default());
    lines
}

/// What the room is made of. What lies under a mount is told by the type that is really there.
fn room_rows(
    room: &Room,
    wrote: Option<&(String, u64, u64)>,
    scene: &Scene<'_>,
    row: &mut dyn FnMut(&str, Paint, String),
) {
    let layered = room.fstype.starts_with("fuse.") || room.fstype == "overlay";
    let paint = if layered { Paint::Good } else { Paint::Text };
    row("container-root", paint, format!("{}  {}", room.fstype, room.rootfs));
    for layer in &room.layers {
        let own = wrote.filter(|(branch, ..)| layer.rsplit_once('=').is_some_and(|(path, _)| path == branch));
        let held = own.map(|(_, bytes, names)| {
            let counts = [("bytes", size(*bytes).into()), ("names", (*names).into())];
            format!("  {}", scene.ui.texts.with("container-wrote", &counts))
        });
        row("container-layer", Paint::Text, format!("{layer}{}", held.unwrap_or_default()));
    }
    for mount in &room.mounts {
        let text = format!("{}  {}  <- {}", mount.target, mount.fstype, mount.source);
        let volume = mount.fstype == "fuse.glusterfs";
        row("container-mount", if volume { Paint::Good } else { Paint::Text }, text);
    }
    row("container-host", Paint::Text, format!("{}  {}", room.hostname, room.addresses.join("  ")).trim().into());
    let own: Vec<&str> = room.namespaces.keys().map(String::as_str).collect();
    row("container-own", Paint::Text, own.join("  "));
}
