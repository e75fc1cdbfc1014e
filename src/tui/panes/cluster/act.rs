//! What the keys of the cluster pane do. Every change of the world is a [`Command`].

use crate::tui::action::{Effect, Verb};
use crate::tui::theme::Paint;
use crate::tui::ui::Ui;
use crate::world::command::{Links, Step, Which};
use crate::world::{Command, Name, World};

use super::State;

/// Does a verb of the pane.
pub fn act(ui: &mut Ui, world: &World, verb: Verb) -> Option<Vec<Effect>> {
    let names: Vec<Name> = world.raft.nodes.keys().cloned().collect();
    let at = names.iter().position(|n| *n == ui.cluster.node).unwrap_or(0);
    let node = names.get(at)?.clone();
    let one = || vec![node.clone()];
    let command = match verb {
        Verb::Up | Verb::Left => return select(ui, &names, at + names.len() - 1),
        Verb::Down | Verb::Right => return select(ui, &names, at + 1),
        Verb::Top => return select(ui, &names, 0),
        Verb::Bottom => return select(ui, &names, names.len() - 1),
        Verb::Mark => return mark(&mut ui.cluster, node),
        Verb::OneWay => return one_way(ui),
        Verb::Message => return next_message(ui, world),
        Verb::Kill => Command::Kill(one()),
        Verb::Start => Command::Start(one()),
        Verb::Pause => Command::Pause(one()),
        Verb::Resume => Command::Resume(one()),
        Verb::Tick => Command::Step(node, Step::Tick),
        Verb::Receive => Command::Step(node, Step::Message),
        Verb::Cut => Command::Cut(links(&ui.cluster, &node, &names)?),
        Verb::Heal => Command::Heal(links(&ui.cluster, &node, &names)?),
        Verb::HealAll => Command::Heal(Links::All),
        Verb::Hold => Command::Hold(links(&ui.cluster, &node, &names)?),
        _ => held(&ui.cluster, world, verb)?,
    };
    Some(vec![Effect::Send(command)])
}

fn select(ui: &mut Ui, names: &[Name], at: usize) -> Option<Vec<Effect>> {
    ui.cluster.node = names.get(at % names.len().max(1))?.clone();
    ui.cluster.message = None;
    Some(vec![])
}

/// Marks the node as the other end of a link; a second time takes the mark away.
fn mark(state: &mut State, node: Name) -> Option<Vec<Effect>> {
    state.mark = if state.mark.as_ref() == Some(&node) { None } else { Some(node) };
    Some(vec![])
}

fn one_way(ui: &mut Ui) -> Option<Vec<Effect>> {
    if ui.cluster.mark.is_none() {
        let text = ui.tr("cluster-mark-first");
        ui.tell(Paint::Warn, text);
    } else {
        ui.cluster.one_way = !ui.cluster.one_way;
    }
    Some(vec![])
}

/// Selects the next message on its way, held ones first.
fn next_message(ui: &mut Ui, world: &World) -> Option<Vec<Effect>> {
    let ids: Vec<_> = super::waiting(world).into_iter().map(|f| f.message.id.clone()).collect();
    let at = ids.iter().position(|id| Some(id) == ui.cluster.message.as_ref());
    ui.cluster.message = ids.get(at.map_or(0, |i| i + 1)).cloned();
    if ids.is_empty() {
        let text = ui.tr("cluster-no-messages");
        ui.tell(Paint::Dim, text);
    }
    Some(vec![])
}

/// The link from the marked node to the selected one, or all links of the selected one.
fn links(state: &State, node: &Name, names: &[Name]) -> Option<Links> {
    match &state.mark {
        Some(mark) if mark != node && state.one_way => Some(Links::Arrow(mark.clone(), node.clone())),
        Some(mark) if mark != node => Some(Links::Between(vec![mark.clone()], vec![node.clone()])),
        _ => {
            let others: Vec<Name> = names.iter().filter(|n| *n != node).cloned().collect();
            (!others.is_empty()).then(|| Links::Between(vec![node.clone()], others))
        }
    }
}

/// What a verb about held messages asks for; `None` for other verbs.
pub fn held(state: &State, world: &World, verb: Verb) -> Option<Command> {
    Some(match verb {
        Verb::Deliver => Command::Deliver(which(state, world)),
        Verb::Drop => Command::Drop(which(state, world)),
        Verb::Double => Command::Dup(which(state, world)),
        _ => return None,
    })
}

/// The selected message if it is held, else the oldest that is.
fn which(state: &State, world: &World) -> Which {
    match super::message(world, state).filter(|f| f.held) {
        Some(flying) => Which::Id(flying.message.id.clone()),
        None => Which::Oldest(Links::All),
    }
}
