//! What an action changes on the screen, and what it asks of the driver. No I/O, no clock.

mod typing;
mod verbs;

use crossterm::event::KeyEvent;

use crate::world::World;

use super::action::{Action, Effect};
use super::guide::{Check, Guide};
use super::keys::{self, Found, Where};
use super::panes::{Lines, PaneId, Scene, guide};
use super::theme::Paint;
use super::ui::{Ask, Overlay, Place, Scroll, Ui};

/// Changes the screen for one action. `world` is the picture with everything folded in.
pub fn update(ui: &mut Ui, world: &World, action: Action) -> Vec<Effect> {
    let mut effects = match action {
        Action::Key(key) => self::key(ui, world, key),
        Action::Do(verb) => verbs::act(ui, world, verb),
        Action::Paste(text) => typing::paste(ui, &text),
        Action::Resize(width, height) => {
            ui.size = (width, height);
            vec![]
        }
        Action::Time(now) => {
            ui.now = ui.now.max(now);
            ui.notice.take_if(|n| n.until <= now);
            vec![]
        }
        Action::Event(event) => {
            ui.pulse.see(&event);
            vec![]
        }
        Action::Snapshot => {
            ui.pulse.begin(world);
            vec![]
        }
        Action::NoCards(why) => {
            ui.no_cards = why;
            vec![]
        }
        Action::Cards(cards) => {
            ui.card = ui.card.min(cards.len().saturating_sub(1));
            ui.cards = cards;
            vec![]
        }
        Action::Guide(guide) => self::guide(ui, world, *guide),
        Action::Opened => opened(ui),
        Action::Closed(why) => closed(ui, &why),
        Action::Replied(reply) => replied(ui, reply),
        Action::Shell(bytes) => {
            let answer = ui.shell.wrote(&bytes);
            if answer.is_empty() { vec![] } else { vec![Effect::Type(answer)] }
        }
        Action::ShellEnded => {
            ui.shell.end();
            vec![]
        }
        Action::Busy(what) => {
            ui.overlay = Some(Overlay::Ask(Ask::Leave(what)));
            vec![]
        }
        Action::Copied(outcome) => copied(ui, outcome),
    };
    effects.extend(fit_shell(ui, world));
    effects
}

/// The shell's terminal follows its pane; it is started when it is first seen.
fn fit_shell(ui: &mut Ui, world: &World) -> Option<Effect> {
    if !matches!(ui.place, Place::Lab(_)) || ui.shell.ended() {
        return None;
    }
    let (columns, rows) = ui.room(world, PaneId::Shell);
    ui.shell.fit(columns, rows).then_some(Effect::Shell(columns, rows))
}

/// A key goes to what lies on top, to the shell, or through the table.
fn key(ui: &mut Ui, world: &World, key: KeyEvent) -> Vec<Effect> {
    if ui.overlay.is_some() {
        return typing::key(ui, world, key);
    }
    if ui.in_shell() {
        return shell_key(ui, key);
    }
    let before = ui.prefix.take();
    match keys::find(&places(ui), before.as_deref(), key) {
        Found::Prefix => {
            ui.prefix = keys::name(key);
            vec![]
        }
        Found::Verb(verb) => {
            let effects = verbs::act(ui, world, verb);
            ui.leader = ui.leader && verbs::scrolls(verb);
            effects
        }
        Found::Nothing => {
            ui.leader = false;
            vec![]
        }
    }
}

fn shell_key(ui: &mut Ui, key: KeyEvent) -> Vec<Effect> {
    if keys::name(key).as_deref() == Some("ctrl-]") {
        ui.leader = true;
        return vec![];
    }
    if ui.shell.ended() {
        if keys::name(key).as_deref() == Some("enter") {
            ui.shell.reset();
        }
        return vec![];
    }
    let bytes = ui.shell.typed(key);
    if bytes.is_empty() { vec![] } else { vec![Effect::Type(bytes)] }
}

/// Where keys are looked up, the narrowest place first.
fn places(ui: &Ui) -> Vec<Where> {
    match ui.place {
        Place::Lab(_) => {
            let searching = (!ui.search.is_empty()).then_some(Where::Searching);
            let pane = [Where::Pane(ui.focus), Where::Lab, Where::Everywhere];
            searching.into_iter().chain(pane).collect()
        }
        _ => vec![Where::Everywhere],
    }
}

fn opened(ui: &mut Ui) -> Vec<Effect> {
    if let Place::Opening(lab) = &ui.place {
        ui.place = Place::Lab(lab.clone());
    }
    vec![]
}

/// The world could not be opened, has ended, or was left: back to the list, with the reason if there is one to tell.
fn closed(ui: &mut Ui, why: &str) -> Vec<Effect> {
    if ui.place == Place::List {
        return vec![];
    }
    verbs::left(ui);
    if !why.is_empty() {
        ui.tell(Paint::Bad, why);
    }
    vec![]
}

/// The step changed, or what is known of it. A new outcome is scrolled to; a new step begins at its top.
fn guide(ui: &mut Ui, world: &World, guide: Guide) -> Vec<Effect> {
    let old = std::mem::replace(&mut ui.guide, guide);
    let new = &ui.guide;
    if (&old.lab, old.step) != (&new.lab, new.step) {
        ui.guide_scroll = Scroll::default();
        return vec![];
    }
    let ended = old.check != new.check && matches!(new.check, Check::Ended { .. });
    if old.hints.len() != new.hints.len() || ended {
        show_outcome(ui, world, ended);
    }
    if ended {
        let passed = matches!(ui.guide.check, Check::Ended { passed: true, .. });
        let (paint, id) = if passed { (Paint::Good, "check-passed") } else { (Paint::Bad, "check-failed") };
        let text = ui.tr(id);
        ui.tell(paint, text);
    }
    vec![]
}

/// Scrolls the guide so that hints, or the check below them, are seen.
fn show_outcome(ui: &mut Ui, world: &World, check: bool) {
    let (width, height) = ui.room(world, PaneId::Guide);
    let (lines, outcome) = guide::lines(&Scene { world, ui }, width);
    let hints = guide::lines_of_hints(&Scene { world, ui }, width);
    let at = if check { outcome + hints } else { outcome + hints.saturating_sub(usize::from(height)) };
    ui.guide_scroll.go(super::panes::Go::Top, lines.len(), height.into(), false);
    ui.guide_scroll.go(super::panes::Go::By(at.cast_signed()), lines.len(), height.into(), false);
}

/// Something of the world answered the screen: short in the footer, long in a box.
fn replied(ui: &mut Ui, reply: Result<String, String>) -> Vec<Effect> {
    match reply {
        Err(why) => ui.tell(Paint::Bad, why),
        Ok(text) if text.is_empty() => {}
        Ok(text) if text.lines().count() > 1 => ui.overlay = Some(Overlay::Text(text, 0)),
        Ok(text) => ui.tell(Paint::Good, text),
    }
    vec![]
}

fn copied(ui: &mut Ui, outcome: Result<String, String>) -> Vec<Effect> {
    match outcome {
        Ok(path) => {
            let text = ui.texts.with("copied", &[("path", path.into())]);
            ui.tell(Paint::Good, text);
        }
        Err(why) => ui.tell(Paint::Bad, why),
    }
    vec![]
}

/// The lines of the focused pane, if it is one of lines, with how many there are and how many fit.
fn lines_of(ui: &Ui, world: &World) -> Option<(&'static Lines, usize, usize)> {
    let lines = ui.focus.pane().lines.as_ref()?;
    let (width, height) = ui.room(world, ui.focus);
    let total = (lines.count)(&Scene { world, ui }, width);
    Some((lines, total, usize::from(height.saturating_sub(lines.fixed))))
}
