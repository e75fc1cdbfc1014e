//! What each verb does. The focused pane is asked first; what it leaves is done here.

use crate::tui::action::{Effect, Verb, Wish};
use crate::tui::guide::{Check, Guide};
use crate::tui::panes::{Go, PaneId, Scene, plain, worthwhile};
use crate::tui::theme::Paint;
use crate::tui::ui::{Ask, Overlay, Place, Prompt, Ui};
use crate::world::command::Step;
use crate::world::{Command, World};

/// Does a verb.
pub fn act(ui: &mut Ui, world: &World, verb: Verb) -> Vec<Effect> {
    let lab = matches!(ui.place, Place::Lab(_));
    if lab {
        let own = (ui.focus.pane().act)(ui, world, verb).or_else(|| by_name(ui, world, verb));
        if let Some(effects) = own.or_else(|| in_lab(ui, world, verb)) {
            return effects;
        }
    }
    everywhere(ui, world, verb, lab)
}

/// From the palette a verb of another pane is meant too, if only one pane knows it.
fn by_name(ui: &mut Ui, world: &World, verb: Verb) -> Option<Vec<Effect>> {
    use crate::tui::keys::{TABLE, Where};
    let pane = TABLE.iter().find_map(|r| match r.place {
        Where::Pane(pane) if r.verb == verb && pane != ui.focus => Some(pane),
        _ => None,
    })?;
    if TABLE.iter().any(|r| r.verb == verb && !matches!(r.place, Where::Pane(_))) {
        return None;
    }
    focus(ui, pane);
    (pane.pane().act)(ui, world, verb)
}

fn everywhere(ui: &mut Ui, world: &World, verb: Verb, lab: bool) -> Vec<Effect> {
    match verb {
        Verb::Help => ui.overlay = Some(Overlay::Help(0)),
        Verb::Palette => {
            ui.overlay = Some(Overlay::Palette { input: String::new(), row: 0, wrong: String::new() });
        }
        Verb::Back => return back(ui),
        Verb::Cancel => return cancel(ui),
        Verb::Language => return language(ui),
        Verb::Theme => {
            ui.theme = ui.theme.next();
            let name = ui.tr(&format!("theme-{}", ui.theme.name()));
            ui.tell(Paint::Dim, name);
            return vec![Effect::Keep];
        }
        Verb::Suspend => return vec![Effect::Suspend],
        Verb::Redraw => return vec![Effect::Redraw],
        Verb::Enter if ui.place == Place::List => return open(ui),
        _ if lab => scroll(ui, world, verb),
        _ => select_card(ui, verb),
    }
    vec![]
}

/// The next language. The course is told, and tells everything anew.
fn language(ui: &mut Ui) -> Vec<Effect> {
    ui.texts = ui.texts.next();
    vec![Effect::Speak(ui.texts.tag()), Effect::Keep]
}

fn in_lab(ui: &mut Ui, world: &World, verb: Verb) -> Option<Vec<Effect>> {
    match verb {
        Verb::Check => return Some(check(ui)),
        Verb::Hint => return Some(vec![Effect::Tutor(Wish::Hint)]),
        Verb::Next => return Some(next(ui)),
        Verb::Undo => ui.overlay = Some(Overlay::Ask(Ask::Undo)),
        Verb::Reset => ui.overlay = Some(Overlay::Ask(Ask::Reset)),
        Verb::Solve => ui.overlay = Some(Overlay::Ask(Ask::Solve)),
        Verb::NextPane => turn(ui, world, 1),
        Verb::PrevPane => turn(ui, world, -1),
        Verb::Focus(pane) => focus(ui, pane),
        Verb::Zoom => ui.zoom = !ui.zoom,
        Verb::Freeze => return Some(vec![Effect::Send(if world.frozen { Command::Thaw } else { Command::Freeze })]),
        Verb::Step => return Some(vec![Effect::Send(step(ui, world)?)]),
        Verb::Slower | Verb::Faster => {
            return Some(Ui::speed(world, verb == Verb::Faster).map(Effect::Send).into_iter().collect());
        }
        Verb::Search => {
            if ui.focus.pane().lines.is_none() {
                let text = ui.tr("search-where");
                ui.tell(Paint::Dim, text);
            } else {
                ui.overlay = Some(Overlay::Prompt(Prompt::Search, String::new()));
            }
        }
        Verb::NextMatch => return Some(find_match(ui, world, true, false)),
        Verb::PrevMatch => return Some(find_match(ui, world, false, false)),
        Verb::Copy => return Some(vec![Effect::Copy(copy(ui, world))]),
        _ => return None,
    }
    Some(vec![])
}

/// One tick of the selected machine; a running world is frozen first.
fn step(ui: &Ui, world: &World) -> Option<Command> {
    if !world.frozen {
        return Some(Command::Freeze);
    }
    let node = crate::tui::panes::cluster::selected(&Scene { world, ui })?;
    Some(Command::Step(node, Step::Tick))
}

/// Checks the step; a question that is still open is asked first, for afterwards it is no prediction.
fn check(ui: &mut Ui) -> Vec<Effect> {
    match ui.guide.open_question() {
        Some(question) => {
            ui.overlay = Some(Overlay::Question(question, 0));
            vec![]
        }
        None => vec![Effect::Tutor(Wish::Check)],
    }
}

fn next(ui: &mut Ui) -> Vec<Effect> {
    if ui.guide.passed {
        return vec![Effect::Tutor(Wish::Next)];
    }
    let text = ui.tr("next-not-yet");
    ui.tell(Paint::Warn, text);
    vec![]
}

/// Focuses a pane; it is the one beside the guide where there is room for one.
pub fn focus(ui: &mut Ui, pane: PaneId) {
    ui.focus = pane;
    ui.matched = None;
    if pane != PaneId::Guide {
        ui.wanted = Some(pane);
    }
}

/// The next pane: of those that are seen where there are more than two, else of all that have something to show.
fn turn(ui: &mut Ui, world: &World, by: isize) {
    let seen: Vec<PaneId> = ui.layout(world).panes.iter().map(|p| p.0).collect();
    let all: Vec<PaneId> = if seen.len() > 2 { seen } else { worthwhile(world, ui.guide.picture) };
    let at = all.iter().position(|p| *p == ui.focus).unwrap_or(0);
    let at = (at + all.len()).saturating_add_signed(by) % all.len();
    focus(ui, all[at]);
}

fn back(ui: &mut Ui) -> Vec<Effect> {
    if ui.zoom && matches!(ui.place, Place::Lab(_)) {
        ui.zoom = false;
        return vec![];
    }
    match ui.place {
        Place::List => vec![Effect::Quit],
        Place::Opening(_) => vec![Effect::Leave { sure: true }],
        Place::Lab(_) => vec![Effect::Leave { sure: false }],
    }
}

/// The list again, with nothing of the lab left over.
pub fn left(ui: &mut Ui) {
    ui.place = Place::List;
    ui.guide = Guide::default();
    ui.overlay = None;
    ui.search.clear();
    ui.shell.reset();
    (ui.zoom, ui.leader) = (false, false);
    (ui.focus, ui.wanted) = (PaneId::Guide, None);
    (ui.cluster, ui.output, ui.events, ui.pulse, ui.union) = Default::default();
}

/// Closes what is open, the innermost first: a check that runs, a search, a selection.
fn cancel(ui: &mut Ui) -> Vec<Effect> {
    if matches!(ui.guide.check, Check::Running(_)) {
        return vec![Effect::Tutor(Wish::Cancel)];
    }
    ui.notice = None;
    if !ui.search.is_empty() {
        ui.search.clear();
    } else if ui.focus == PaneId::Cluster {
        (ui.cluster.message, ui.cluster.mark, ui.cluster.one_way) = (None, None, false);
    } else {
        ui.output.filter.clear();
    }
    if matches!(ui.place, Place::Opening(_)) { vec![Effect::Leave { sure: true }] } else { vec![] }
}

fn open(ui: &mut Ui) -> Vec<Effect> {
    let Some(card) = ui.cards.get(ui.card) else { return vec![] };
    ui.place = Place::Opening(card.id.clone());
    ui.guide.lab = card.title.clone();
    vec![Effect::Open(card.id.clone())]
}

fn select_card(ui: &mut Ui, verb: Verb) {
    let last = ui.cards.len().saturating_sub(1);
    ui.card = match verb {
        Verb::Up => ui.card.saturating_sub(1),
        Verb::Down => (ui.card + 1).min(last),
        Verb::Top | Verb::HalfUp => 0,
        Verb::Bottom | Verb::HalfDown => last,
        _ => ui.card,
    };
}

/// Whether a verb only moves in a pane.
pub fn scrolls(verb: Verb) -> bool {
    matches!(verb, Verb::Up | Verb::Down | Verb::Top | Verb::Bottom | Verb::HalfUp | Verb::HalfDown)
}

fn scroll(ui: &mut Ui, world: &World, verb: Verb) {
    let Some((lines, total, height)) = super::lines_of(ui, world) else { return };
    let half = (height / 2).max(1).cast_signed();
    let go = match verb {
        Verb::Up => Go::By(-1),
        Verb::Down => Go::By(1),
        Verb::HalfUp => Go::By(-half),
        Verb::HalfDown => Go::By(half),
        Verb::Top => Go::Top,
        Verb::Bottom => Go::Bottom,
        _ => return,
    };
    (lines.go)(ui, world, go, total, height);
}

/// Goes to the next (or the one before) line of the focused pane that holds what is searched for; with `here` the
/// present line counts. Around the end it begins anew.
pub fn find_match(ui: &mut Ui, world: &World, forward: bool, here: bool) -> Vec<Effect> {
    let Some((lines, total, height)) = super::lines_of(ui, world).filter(|_| !ui.search.is_empty()) else {
        return vec![];
    };
    let scene = Scene { world, ui };
    let width = ui.room(world, ui.focus).0;
    let holds = |line: &usize| {
        let lines = (lines.some)(&scene, width, *line, 1);
        lines.first().is_some_and(|l| plain(l).contains(&ui.search))
    };
    let now = ui.matched.unwrap_or_else(|| (lines.at)(&scene, total, height)).min(total.saturating_sub(1));
    let nth = |i: usize| if forward { (now + i) % total } else { (now + total - i) % total };
    let found = (usize::from(!here)..=total).filter(|_| total > 0).map(nth).find(holds);
    match found {
        Some(line) => {
            ui.matched = Some(line);
            (lines.go)(ui, world, Go::Line(line), total, height);
        }
        None => {
            let text = ui.texts.with("search-nothing", &[("what", ui.search.as_str().into())]);
            ui.tell(Paint::Warn, text);
            ui.search.clear();
        }
    }
    vec![]
}

/// What is copied: the lines of the focused pane, or what of the shell is seen, or the cluster as a table.
fn copy(ui: &Ui, world: &World) -> String {
    let scene = Scene { world, ui };
    if let Some((lines, total, _)) = super::lines_of(ui, world) {
        let width = ui.room(world, ui.focus).0;
        let some = (lines.some)(&scene, width, 0, total);
        return some.iter().map(|l| plain(l).trim_end().to_owned() + "\n").collect();
    }
    match ui.focus {
        PaneId::Shell => ui.shell.screen().map(vt100::Screen::contents).unwrap_or_default(),
        _ => crate::tui::panes::cluster::text(&scene),
    }
}
