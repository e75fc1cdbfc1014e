//! The screen, drawn without a terminal: what a student sees of a synthetic world, in both languages.

mod support;

use insta::assert_snapshot;
use support::Stage;
use terrarium::tui::panes::PaneId;

/// The list of labs: progress, what the selected lab is about, the keys.
#[test]
fn the_list() {
    for language in ["en", "zh-CN"] {
        assert_snapshot!(format!("list-{language}"), Stage::list(language, 80, 24).draw());
    }
}

/// 80x24: the guide over the cluster.
#[test]
fn a_lab_on_a_small_terminal() {
    for language in ["en", "zh-CN"] {
        assert_snapshot!(format!("small-{language}"), Stage::lab(language, 80, 24).draw());
    }
}

/// 120x40: guide, cluster, log and shell.
#[test]
fn a_lab_on_a_larger_terminal() {
    for language in ["en", "zh-CN"] {
        assert_snapshot!(format!("large-{language}"), Stage::lab(language, 120, 40).draw());
    }
}

/// Each pane alone.
#[test]
fn each_pane() {
    for pane in [PaneId::Guide, PaneId::Log, PaneId::Events, PaneId::Output] {
        let mut stage = Stage::lab("zh-CN", 80, 24);
        stage.ui.zoom = true;
        stage.ui.focus = pane;
        assert_snapshot!(format!("zoom-{}", pane.name()), stage.draw());
    }
}
