//! The screen, drawn without a terminal: what a student sees of a synthetic world, in both languages, and what each key
//! asks of the world.

mod keys;
mod storm;
mod support;

use insta::assert_snapshot;
use ratatui::style::Color;
use support::Stage;
use terrarium::tui::panes::PANES;
use terrarium::tui::theme::Theme;
use unicode_width::UnicodeWidthStr;

const LANGUAGES: [&str; 2] = ["en", "zh-CN"];

/// The list of labs: progress, what the selected lab is about, the keys.
#[test]
fn the_list() {
    for language in LANGUAGES {
        assert_snapshot!(format!("list-{language}"), Stage::list(language, 80, 24).draw());
    }
}

/// 80x24: the guide over the cluster.
#[test]
fn a_lab_on_a_small_terminal() {
    for language in LANGUAGES {
        assert_snapshot!(format!("small-{language}"), Stage::lab(language, 80, 24).draw());
    }
}

/// 120x40: guide, cluster, log and shell.
#[test]
fn a_lab_on_a_larger_terminal() {
    for language in LANGUAGES {
        assert_snapshot!(format!("large-{language}"), Stage::lab(language, 120, 40).draw());
    }
}

/// 200x50: five panes.
#[test]
fn a_lab_on_a_wall() {
    assert_snapshot!("wall", Stage::lab("zh-CN", 200, 50).draw());
}

/// Each pane alone.
#[test]
fn each_pane() {
    for pane in PANES {
        let mut stage = Stage::lab("zh-CN", 80, 24);
        (stage.ui.zoom, stage.ui.focus) = (true, pane.id);
        assert_snapshot!(format!("zoom-{}", pane.name), stage.draw());
    }
}

/// The other half of the homework: a union, a volume, containers, each alone and together.
#[test]
fn storage() {
    for (name, key) in [("union", "8z"), ("volume", "9z"), ("container", "0z"), ("storage-events", "5z")] {
        for language in LANGUAGES {
            let mut stage = Stage::storage(language, 80, 24);
            assert_snapshot!(format!("{name}-{language}"), stage.press(key).draw());
        }
    }
    assert_snapshot!("storage", Stage::storage("en", 120, 40).draw());
    let mut stage = Stage::storage("zh-CN", 80, 24);
    assert_snapshot!("union-story", stage.press("8jjj<enter>").draw());
}

/// What lies over the panes: help, palette, a search, a question, the chain of causes, a confirmation.
#[test]
fn each_overlay() {
    for language in LANGUAGES {
        for (name, keys) in [("help", "2?"), ("palette", ":cut"), ("why", "5kkkk<enter>"), ("reset", "x")] {
            let mut stage = Stage::lab(language, 80, 24);
            assert_snapshot!(format!("{name}-{language}"), stage.press(keys).draw());
        }
        let mut stage = Stage::lab(language, 80, 24);
        stage.ui.guide.questions[0].chosen = None;
        assert_snapshot!(format!("question-{language}"), stage.press("<enter>j").draw());
    }
}

/// With NO_COLOR there is no colour at all, and the letters still tell every role.
#[test]
fn without_colours() {
    let mut stage = Stage::lab("en", 120, 40);
    let coloured = stage.draw();
    stage.ui.theme = Theme::new("dark", true);
    let buffer = stage.buffer();
    assert!(buffer.content.iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset));
    let text = stage.draw();
    assert_eq!(text, coloured);
    for role in ["▴ L  n1", "▪ F  n2", "◊ C  n4", "✗ -  n5"] {
        assert!(text.contains(role), "{role}");
    }
}

/// No glyph of the screen's own is of ambiguous width, so that columns stand in every East Asian terminal.
#[test]
fn no_ambiguous_glyphs() {
    for (width, height) in [(80, 24), (120, 40), (200, 50)] {
        for keys in ["", "2?", ":", "5", "7", "8", "9", "0"] {
            let text = Stage::storage("zh-CN", width, height).press(keys).draw()
                + &Stage::lab("zh-CN", width, height).press(keys).draw();
            for line in text.lines().filter(|l| !l.contains('“')) {
                assert_eq!(line.width(), line.width_cjk(), "{line}");
            }
        }
    }
}

/// Below 60x20 one line says what is needed, and at 1x1 nothing breaks.
#[test]
fn too_small_a_terminal() {
    let text = Stage::lab("en", 59, 24).draw();
    assert_eq!(text.trim(), "The terminal is 59x24; at least 60x20 is needed.");
    assert!(Stage::lab("en", 60, 20).draw().contains("Cluster"));
    assert_eq!(Stage::lab("zh-CN", 1, 1).draw().trim(), "");
}

/// The terminal became smaller, and the news of it has not come yet.
#[test]
fn a_terminal_that_is_smaller_than_known() {
    let stage = Stage::lab("en", 200, 50);
    [(80, 24), (199, 50), (200, 49)].into_iter().for_each(|size| drop(stage.on(size)));
}
