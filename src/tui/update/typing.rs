//! Keys for what lies on top: prompts, the palette, questions, texts that scroll.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::action::{Effect, Wish};
use crate::tui::overlay::{self, Entry};
use crate::tui::panes::Scene;
use crate::tui::ui::{Ask, Overlay, Place, Prompt, Ui};
use crate::world::{Command, World};

use super::verbs;

/// Pasted text goes where typed text would.
pub fn paste(ui: &mut Ui, text: &str) -> Vec<Effect> {
    let line = || text.chars().filter(|c| !c.is_control());
    let shell = ui.in_shell() && !ui.shell.ended();
    match &mut ui.overlay {
        Some(Overlay::Prompt(_, input) | Overlay::Palette { input, .. }) => input.extend(line()),
        None if shell => return vec![Effect::Type(ui.shell.pasted(text))],
        _ => {}
    }
    vec![]
}

/// A key while something lies on top.
pub fn key(ui: &mut Ui, world: &World, key: KeyEvent) -> Vec<Effect> {
    let Some(overlay) = ui.overlay.take() else { return vec![] };
    if key.code == KeyCode::Esc {
        return vec![];
    }
    match overlay {
        Overlay::Prompt(prompt, input) => self::prompt(ui, world, prompt, input, key),
        Overlay::Palette { input, row, .. } => palette(ui, world, input, row, key),
        Overlay::Ask(ask) => self::ask(ui, ask, key),
        Overlay::Question(question, choice) => self::question(ui, question, choice, key),
        Overlay::Help(_) | Overlay::Why(..) | Overlay::Text(..) => scroll(ui, world, overlay, key),
    }
}

/// Edits a line as a shell would. Tells whether the key was an edit.
fn edit(input: &mut String, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Backspace => drop(input.pop()),
        KeyCode::Char('u') if control => input.clear(),
        KeyCode::Char('w') if control => {
            let kept = input.trim_end().rfind(' ').map_or(0, |at| at + 1);
            input.truncate(kept);
        }
        KeyCode::Char(c) if !control && !c.is_control() => input.push(c),
        _ => return false,
    }
    true
}

fn prompt(ui: &mut Ui, world: &World, prompt: Prompt, mut input: String, key: KeyEvent) -> Vec<Effect> {
    if key.code == KeyCode::Enter {
        match prompt {
            Prompt::Search => {
                (ui.search, ui.matched) = (input, None);
                return verbs::find_match(ui, world, true, true);
            }
            Prompt::Filter => ui.output.filter = input,
        }
        return vec![];
    }
    edit(&mut input, key);
    ui.overlay = Some(Overlay::Prompt(prompt, input));
    vec![]
}

fn palette(ui: &mut Ui, world: &World, mut input: String, mut row: usize, key: KeyEvent) -> Vec<Effect> {
    let entries = overlay::entries(ui, &input);
    let last = entries.len().saturating_sub(1);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => return choose(ui, world, input, row, &entries),
        KeyCode::Up | KeyCode::BackTab => row = row.min(last).saturating_sub(1),
        KeyCode::Char('p') if control => row = row.min(last).saturating_sub(1),
        KeyCode::Down => row = (row + 1).min(last),
        KeyCode::Char('n') if control => row = (row + 1).min(last),
        KeyCode::Tab => {
            if let Some(Entry::Command(verb, _)) = entries.get(row.min(last)) {
                input = format!("{verb} ");
                row = 0;
            }
        }
        _ => {
            if edit(&mut input, key) {
                row = 0;
            }
        }
    }
    ui.overlay = Some(Overlay::Palette { input, row, wrong: String::new() });
    vec![]
}

/// Does the chosen row, or what was typed if it is a whole command.
fn choose(ui: &mut Ui, world: &World, input: String, row: usize, entries: &[Entry]) -> Vec<Effect> {
    let chosen = entries.get(row.min(entries.len().saturating_sub(1)));
    if let Some(Entry::Verb(verb, _)) = chosen {
        return verbs::act(ui, world, *verb);
    }
    let lab = matches!(ui.place, Place::Lab(_));
    match input.trim().parse::<Command>() {
        Ok(command) if lab => vec![Effect::Send(command)],
        Ok(_) => vec![],
        Err(wrong) => {
            ui.overlay = Some(match chosen {
                Some(Entry::Command(verb, "")) => return vec![Effect::Send(verb.parse().unwrap_or(Command::Status))],
                Some(Entry::Command(verb, _)) if !input.trim().contains(' ') && input.trim() != *verb => {
                    Overlay::Palette { input: format!("{verb} "), row: 0, wrong: String::new() }
                }
                _ => Overlay::Palette { input, row, wrong: wrong.to_string() },
            });
            vec![]
        }
    }
}

fn ask(ui: &mut Ui, ask: Ask, key: KeyEvent) -> Vec<Effect> {
    if !matches!(key.code, KeyCode::Char('y' | 'Y')) {
        if !matches!(key.code, KeyCode::Char('n' | 'N' | 'q')) {
            ui.overlay = Some(Overlay::Ask(ask));
        }
        return vec![];
    }
    match ask {
        Ask::Reset => vec![Effect::Tutor(Wish::Reset)],
        Ask::Undo => vec![Effect::Tutor(Wish::Undo)],
        Ask::Solve => vec![Effect::Tutor(Wish::Solve)],
        Ask::Leave(_) => vec![Effect::Leave { sure: true }],
    }
}

fn question(ui: &mut Ui, question: usize, choice: usize, key: KeyEvent) -> Vec<Effect> {
    let choices = ui.guide.questions.get(question).map_or(0, |q| q.choices.len());
    let answer = |choice| vec![Effect::Tutor(Wish::Answer(question, choice))];
    let choice = match key.code {
        _ if choices == 0 => return vec![],
        KeyCode::Enter => return answer(choice.min(choices - 1)),
        KeyCode::Up | KeyCode::Char('k') => choice.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => (choice + 1).min(choices - 1),
        KeyCode::Char('q') => return vec![],
        KeyCode::Char(c) if c.is_ascii_lowercase() && usize::from(c as u8 - b'a') < choices => {
            usize::from(c as u8 - b'a')
        }
        _ => choice,
    };
    ui.overlay = Some(Overlay::Question(question, choice));
    vec![]
}

fn scroll(ui: &mut Ui, world: &World, overlay: Overlay, key: KeyEvent) -> Vec<Effect> {
    let (total, height) = overlay::extent(&Scene { world, ui }, &overlay);
    let last = total.saturating_sub(height);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let to = |at: usize| match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(at.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => Some(at + 1),
        KeyCode::PageUp => Some(at.saturating_sub(height / 2)),
        KeyCode::PageDown => Some(at + height / 2),
        KeyCode::Char('u') if control => Some(at.saturating_sub(height / 2)),
        KeyCode::Char('d') if control => Some(at + height / 2),
        KeyCode::Char('g') | KeyCode::Home => Some(0),
        KeyCode::Char('G') | KeyCode::End => Some(last),
        _ => None,
    };
    let closes = matches!(key.code, KeyCode::Enter | KeyCode::Char('q' | '?'));
    let moved = |at: usize| to(at).unwrap_or(at).min(last);
    ui.overlay = (!closes).then_some(match overlay {
        Overlay::Help(at) => Overlay::Help(moved(at)),
        Overlay::Why(id, at) => Overlay::Why(id, moved(at)),
        Overlay::Text(text, at) => Overlay::Text(text, moved(at)),
        other => other,
    });
    vec![]
}
