//! A screen on a stage: the synthetic world, a guide, and what would be seen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use terrarium::tui::guide::{Card, Check, Guide, Probe, Question};
use terrarium::tui::text::Texts;
use terrarium::tui::theme::Theme;
use terrarium::tui::{Action, Effect, Place, Ui, demo, update, view};
use terrarium::world::World;

/// A screen, its world, and what it asked for.
pub struct Stage {
    /// What the person looks at.
    pub ui: Ui,
    /// The world.
    pub world: World,
    /// Everything that was asked of the driver.
    pub effects: Vec<Effect>,
}

impl Stage {
    /// The list of labs.
    pub fn list(language: &str, width: u16, height: u16) -> Self {
        let story = demo::story();
        let world = story.world();
        let mut ui = Ui::new(Texts::new(language), Theme::new("dark", false), (width, height), world.at);
        ui.cards = cards(language);
        story.events.iter().for_each(|e| ui.pulse.see(e));
        Self { ui, world, effects: Vec::new() }
    }

    /// The lab's screen, its step just checked.
    pub fn lab(language: &str, width: u16, height: u16) -> Self {
        let mut stage = Self::list(language, width, height);
        stage.ui.place = Place::Lab("raft-election".into());
        stage.ui.guide = guide(language);
        stage
    }

    /// The lab's screen over a union, a volume and containers.
    pub fn storage(language: &str, width: u16, height: u16) -> Self {
        let mut stage = Self::lab(language, width, height);
        stage.world = demo::storage().world();
        stage
    }

    /// Something comes in.
    pub fn act(&mut self, action: Action) -> &mut Self {
        let effects = update(&mut self.ui, &self.world, action);
        self.effects.extend(effects);
        self
    }

    /// Keys are pressed: characters one by one, or a name in `<>`.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let (key, used) = match rest.strip_prefix('<').and_then(|r| r.split_once('>')) {
                Some((name, _)) => (named(name), name.len() + 2),
                None => (KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), c.len_utf8()),
            };
            self.act(Action::Key(key));
            rest = &rest[used..];
        }
        self
    }

    /// The cells.
    pub fn buffer(&self) -> Buffer {
        self.on(self.ui.size)
    }

    /// The cells of a terminal of this size, which the screen may not know of yet.
    pub fn on(&self, (width, height): (u16, u16)) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test backend never fails");
        terminal.draw(|frame| view(&self.world, &self.ui, frame)).expect("a test backend never fails");
        terminal.backend().buffer().clone()
    }

    /// What is seen, as text.
    pub fn draw(&self) -> String {
        let buffer = self.buffer();
        let mut text = String::new();
        for y in 0..buffer.area.height {
            let mut row = String::new();
            let mut x = 0;
            while x < buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                row.push_str(symbol);
                x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).unwrap_or(1).max(1);
            }
            text += row.trim_end();
            text.push('\n');
        }
        text
    }
}

fn named(name: &str) -> KeyEvent {
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "down" => KeyCode::Down,
        "up" => KeyCode::Up,
        "right" => KeyCode::Right,
        "left" => KeyCode::Left,
        "bs" => KeyCode::Backspace,
        _ => return control(name.chars().last().expect("a key's name ends in its character")),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

/// Cards in a language.
pub fn cards(language: &str) -> Vec<Card> {
    let zh = language == "zh-CN";
    let card = |id: &str, title: &str, about: &str, done, steps| Card {
        id: id.into(),
        title: title.into(),
        about: about.into(),
        done,
        steps,
    };
    if zh {
        vec![
            card(
                "raft-election",
                "Raft：选举与复制",
                "三个真实的进程选出领导者，一次写入被复制、提交、应用。杀死领导者，看新任期如何开始。",
                3,
                11,
            ),
            card("raft-safety", "Raft：分区与日志冲突", "二比三的分区，少数派的条目不会提交；恢复后被覆盖。", 0, 8),
            card("union", "AUFS：联合挂载", "用一条 mount 命令为容器提供镜像。", 6, 6),
        ]
    } else {
        vec![
            card(
                "raft-election",
                "Raft: election and replication",
                "Real processes elect a leader; a write is replicated, committed and applied. Kill the leader and watch a new term begin.",
                3,
                11,
            ),
            card(
                "raft-safety",
                "Raft: partition and log conflict",
                "A minority's entry is never committed, and is overwritten after healing.",
                0,
                8,
            ),
            card("union", "AUFS: a union mount", "Serve a container's image with one mount command.", 6, 6),
        ]
    }
}

/// A guide in a language.
pub fn guide(language: &str) -> Guide {
    let zh = language == "zh-CN";
    let pick = |en: &str, chinese: &str| (if zh { chinese } else { en }).to_owned();
    let probe = |hope: String, saw: String, held| Probe { hope, saw, look: String::new(), held };
    Guide {
        lab: pick("Raft: election and replication", "Raft：选举与复制"),
        step: 4,
        steps: 11,
        done: 3,
        title: pick("Kill the leader", "杀死领导者"),
        text: pick(
            "A leader sends **heartbeats**. When they stop, a follower's *election timer* runs out and it becomes a candidate.\n\n- Find the leader in the cluster pane.\n- Kill its process, in the shell or with `K`:\n\n```\nlab kill n1\n```",
            "领导者周期性地发送**心跳**。心跳停下后，跟随者的*选举定时器*到点，它就成为候选者。\n\n- 在集群窗格里找到领导者。\n- 在命令行里或用 `K` 键杀死它的进程：\n\n```\nlab kill n1\n```",
        ),
        goal: pick("A new leader in a higher term.", "出现任期更高的新领导者。"),
        hints: vec![pick("The leader's shape is a triangle.", "领导者的形状是三角形。")],
        hints_left: 2,
        questions: vec![Question {
            ask: pick("Who sends RequestVote first?", "谁最先发送 RequestVote？"),
            choices: vec![
                pick("the node whose timer is shortest", "定时器最短的节点"),
                pick("the old leader", "原来的领导者"),
                pick("the client", "客户端"),
            ],
            chosen: Some(0),
            right: None,
            ..Question::default()
        }],
        check: Check::Ended {
            passed: false,
            probes: vec![
                probe(
                    pick("n1 does not run", "n1 没有在运行"),
                    pick("n1 runs, process 20", "n1 在运行，进程 20"),
                    Some(false),
                ),
                probe(pick("exactly one leader", "恰有一个领导者"), String::new(), Some(true)),
            ],
            say: pick(
                "You paused the process. A paused process still holds its port; kill it.",
                "你只是暂停了进程。暂停的进程仍占着端口；请杀死它。",
            ),
        },
        passed: false,
        ..Guide::default()
    }
}
