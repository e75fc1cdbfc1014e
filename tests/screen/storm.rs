//! Whatever a person and a world do, and however small the terminal becomes, the screen is drawn.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use terrarium::tui::{Action, demo};

use super::support::Stage;

/// Something that may come in.
#[derive(Debug, Clone)]
enum Gust {
    Key(KeyEvent),
    Size(u16, u16),
    Shell(Vec<u8>),
    Paste(String),
    World(usize),
    Wait(u64),
    Reply(String),
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let codes = prop_oneof![
        6 => prop::sample::select("?:qjklhcnuxzvLTGgN/.[]-+=>AHKsprtmodDwfyWW1234567 中ab".chars().collect::<Vec<_>>())
            .prop_map(KeyCode::Char),
        2 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down, KeyCode::Left,
            KeyCode::Right, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace,
            KeyCode::F(3), KeyCode::Delete,
        ]),
    ];
    let modifiers = prop_oneof![4 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL)];
    (codes, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

fn gust() -> impl Strategy<Value = Gust> {
    prop_oneof![
        8 => key().prop_map(Gust::Key),
        2 => (1..210u16, 1..60u16).prop_map(|(w, h)| Gust::Size(w, h)),
        1 => (1..4u16, 1..4u16).prop_map(|(w, h)| Gust::Size(w, h)),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Gust::Shell),
        1 => "(中|文|\\x1b\\[[0-9;]{0,5}[A-Zmhl]|[a-z ]){0,30}".prop_map(|s| Gust::Shell(s.into_bytes())),
        1 => "[a-z中\\n]{0,20}".prop_map(Gust::Paste),
        1 => (0..400usize).prop_map(Gust::World),
        1 => (0..3_000_000u64).prop_map(Gust::Wait),
        1 => "[a-z\\n]{0,200}".prop_map(Gust::Reply),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// No sequence of keys, sizes, output and events makes the screen fail to draw.
    #[test]
    fn the_screen_stands_any_weather(gusts in prop::collection::vec(gust(), 1..60), chinese in any::<bool>()) {
        let mut stage = Stage::lab(if chinese { "zh-CN" } else { "en" }, 80, 24);
        let events = [demo::play().events, demo::storage().events].concat();
        for gust in gusts {
            match gust {
                Gust::Key(key) => stage.act(Action::Key(key)),
                Gust::Size(width, height) => stage.act(Action::Resize(width, height)),
                Gust::Shell(bytes) => stage.act(Action::Shell(bytes)),
                Gust::Paste(text) => stage.act(Action::Paste(text)),
                Gust::Wait(us) => {
                    let now = stage.ui.now + us;
                    stage.act(Action::Time(now))
                }
                Gust::Reply(text) => stage.act(Action::Replied(Ok(text))),
                Gust::World(at) => {
                    let event = &events[at % events.len()];
                    stage.world.apply(event);
                    stage.act(Action::Event(Arc::new(event.clone())))
                }
            };
            stage.buffer();
        }
    }
}
