//! What each key asks for.

use terrarium::tui::action::{Effect, Wish};
use terrarium::tui::{Action, Place};
use terrarium::world::Command;

use super::support::Stage;

/// The commands that these keys send, in words.
fn sent(keys: &str) -> Vec<String> {
    let mut stage = Stage::lab("en", 80, 24);
    stage.press(keys);
    let command = |effect: &Effect| match effect {
        Effect::Send(command) => Some(command.to_string()),
        _ => None,
    };
    stage.effects.iter().filter_map(command).collect()
}

/// Everything that the cluster's keys do to the world is a command, on the node, the link or the message that is selected.
#[test]
fn the_clusters_keys_are_commands() {
    for (keys, commands) in [
        ("2K", vec!["kill n1"]),
        ("2<down><down>K", vec!["kill n3"]),
        ("2<up>s", vec!["start n5"]),
        ("2p", vec!["pause n1"]),
        ("2r", vec!["resume n1"]),
        ("2t", vec!["step n1 tick"]),
        ("2m", vec!["step n1 message"]),
        ("2-", vec!["cut n1 n2,n3,n4,n5"]),
        ("2v<down>-", vec!["cut n1 n2"]),
        ("2v<down>>-", vec!["cut n1>n2"]),
        ("2v<down>+", vec!["heal n1 n2"]),
        ("2A", vec!["heal"]),
        ("2v<down>H", vec!["hold n1 n2"]),
        ("2d", vec!["deliver all"]),
        (" ", vec!["freeze"]),
        (".", vec!["freeze"]),
        ("]", vec!["speed 0.2"]),
        ("[", vec!["speed 0.05"]),
        (":kill n2<enter>", vec!["kill n2"]),
        (":deli<down><enter>all<enter>", vec!["deliver all"]),
    ] {
        assert_eq!(sent(keys), commands, "{keys}");
    }
}

/// A held message is selected and delivered by its id, in the cluster and in the list of messages alike.
#[test]
fn a_held_message_is_delivered_by_its_id() {
    let held = |keys| sent(keys).pop().unwrap_or_default();
    assert!(held("2od").starts_with("deliver n3#m"), "{}", held("2od"));
    assert_eq!(held("7gg"), "");
    assert!(held("7ggD").starts_with("drop n3#m"));
    assert!(held("7ggw").starts_with("dup n3#m"));
}

/// In a frozen world the same keys go on: a tick at a time, or all of it.
#[test]
fn a_frozen_world_steps() {
    let mut stage = Stage::lab("en", 80, 24);
    stage.world.frozen = true;
    stage.press(". ");
    assert_eq!(stage.effects, [Effect::Send("step n1 tick".parse().expect("a command")), Effect::Send(Command::Thaw)]);
}

/// The course's keys; what would lose something asks first.
#[test]
fn the_courses_keys() {
    let wished = |keys: &str| {
        let mut stage = Stage::lab("en", 80, 24);
        stage.press(keys);
        stage.effects
    };
    assert_eq!(wished("c"), [Effect::Tutor(Wish::Check)]);
    assert_eq!(wished("h"), [Effect::Tutor(Wish::Hint)]);
    assert_eq!(wished("x"), []);
    assert_eq!(wished("xn"), []);
    assert_eq!(wished("xy"), [Effect::Tutor(Wish::Reset)]);
    assert_eq!(wished("uy"), [Effect::Tutor(Wish::Undo)]);
    assert_eq!(wished("n"), [], "a step that is not passed is not left by accident");
    assert_eq!(wished("q"), [Effect::Leave { sure: false }]);
}

/// A question that is still open is asked before the check; its letter answers it.
#[test]
fn an_open_question_comes_first() {
    let mut stage = Stage::lab("en", 80, 24);
    stage.ui.guide.questions[0].chosen = None;
    stage.press("cjj<enter>");
    assert_eq!(stage.effects, [Effect::Tutor(Wish::Answer(0, 2))]);
    stage.effects.clear();
    stage.press("cb<enter>");
    assert_eq!(stage.effects, [Effect::Tutor(Wish::Answer(0, 1))]);
}

/// A question that came out otherwise is answered anew, beginning at the answer that it has.
#[test]
fn a_missed_question_is_answered_anew() {
    let mut stage = Stage::lab("en", 80, 24);
    stage.press("1<enter>");
    assert_eq!(stage.effects, [], "an answer that may still come true stays");
    stage.ui.guide.questions[0].missed = true;
    stage.press("<enter>j<enter>");
    assert_eq!(stage.effects, [Effect::Tutor(Wish::Answer(0, 1))]);
}

/// In the shell every key is the shell's, but for the leader and the one key after it.
#[test]
fn the_shell_has_the_keys() {
    let mut stage = Stage::lab("zh-CN", 80, 24);
    stage.press("4");
    assert!(matches!(stage.effects[..], [Effect::Shell(78, _)]), "the shell starts when it is seen");
    stage.effects.clear();
    stage.press("cq?中");
    let typed: Vec<u8> =
        stage.effects.drain(..).flat_map(|e| if let Effect::Type(b) = e { b } else { vec![] }).collect();
    assert_eq!(String::from_utf8(typed).expect("what was typed"), "cq?中");
    stage.press("<ctrl-]>:");
    assert!(stage.ui.overlay.is_some());
    stage.press("<esc>x");
    assert_eq!(stage.effects, [Effect::Type(b"x".to_vec())], "after the palette the shell has the keys again");
}

/// Language and theme change at once; the course is told the language.
#[test]
fn language_and_theme_turn() {
    let mut stage = Stage::list("en", 80, 24);
    stage.press("LT");
    assert_eq!(stage.ui.texts.tag(), "zh-CN");
    assert_eq!(stage.ui.theme.name(), "light");
    assert_eq!(stage.effects, [Effect::Speak("zh-CN"), Effect::Keep, Effect::Keep]);
}

/// Opening a lab shows that it is being opened; a failure comes back to the list with its reason.
#[test]
fn a_lab_that_cannot_be_opened_says_why() {
    let mut stage = Stage::list("en", 80, 24);
    stage.press("j<enter>");
    assert_eq!(stage.effects, [Effect::Open("raft-safety".into())]);
    assert!(stage.draw().contains("Opening the lab's world"));
    stage.act(Action::Closed("user namespaces are forbidden; try `terrarium doctor`".into()));
    assert_eq!(stage.ui.place, Place::List);
    assert!(stage.draw().contains("try `terrarium doctor`"));
}

/// A search goes from match to match and around; what is not there is said.
#[test]
fn a_search_goes_around() {
    let mut stage = Stage::lab("zh-CN", 80, 24);
    stage.press("5z/杭州<enter>");
    let first = stage.ui.events.cursor;
    assert!(first.is_some());
    stage.press("n");
    assert_ne!(stage.ui.events.cursor, first);
    stage.press("N");
    assert_eq!(stage.ui.events.cursor, first);
    assert!(stage.press("/no such word<enter>").draw().contains("no such word"));
    assert_eq!(stage.ui.search, "");
}

/// What a key would lose in the shell is asked about.
#[test]
fn a_running_program_is_not_lost() {
    let mut stage = Stage::lab("en", 80, 24);
    stage.press("q").act(Action::Busy("vim".into()));
    assert!(stage.draw().contains("vim still runs in the shell"));
    stage.effects.clear();
    stage.press("y");
    assert_eq!(stage.effects, [Effect::Leave { sure: true }]);
}
