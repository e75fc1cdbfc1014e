//! The guide: the step in Markdown, its goal, questions, hints shown so far, and what the last check saw.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use tui_markdown::{Options, StyleSheet};

use crate::tui::action::{Effect, Verb};
use crate::tui::guide::{Busy, Check, Probe, Question};
use crate::tui::theme::{Paint, Theme};
use crate::tui::ui::{Overlay, Ui};
use crate::tui::wrap::wrap;
use crate::world::World;

use super::{Lines, Pane, PaneId, Scene, empty, view_lines};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Guide,
    name: "guide",
    matters: |_| true,
    status,
    view,
    lines: Some(Lines {
        count: |scene, width| lines(scene, width).0.len(),
        some: |scene, width, first, most| lines(scene, width).0.into_iter().skip(first).take(most).collect(),
        at: |scene, total, height| scene.ui.guide_scroll.first(total, height),
        go: |ui, _, go, total, height| ui.guide_scroll.go(go, total, height, false),
        fixed: 0,
    }),
    act,
};

fn status(scene: &Scene<'_>) -> String {
    let guide = &scene.ui.guide;
    if guide.step == 0 {
        return String::new();
    }
    let (step, steps) = (guide.step.into(), guide.steps.into());
    scene.ui.texts.with("guide-step", &[("step", step), ("steps", steps)])
}

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    if scene.ui.guide.step == 0 {
        return empty(scene, area, buffer, "guide-empty");
    }
    let total = lines(scene, area.width).0.len();
    let first = scene.ui.guide_scroll.first(total, area.height.into());
    view_lines(scene, &PANE, first, area, buffer);
    if first + usize::from(area.height) < total && area.height > 1 {
        let more = scene.tr("more");
        let width = u16::try_from(crate::tui::width::columns(&more)).unwrap_or(0) + 1;
        let x = area.right().saturating_sub(width).max(area.x);
        super::put(buffer, area, x, area.bottom() - 1, &format!(" {more}"), scene.of(Paint::Dim));
    }
}

fn act(ui: &mut Ui, _: &World, verb: Verb) -> Option<Vec<Effect>> {
    let question = ui.guide.question_to_answer().filter(|_| verb == Verb::Enter)?;
    let choice = ui.guide.questions[question].chosen.unwrap_or(0);
    ui.overlay = Some(Overlay::Question(question, choice));
    Some(vec![])
}

/// The whole guide at a width, and the line at which the outcome (check, hints) begins.
pub fn lines(scene: &Scene<'_>, width: u16) -> (Vec<Line<'static>>, usize) {
    let guide = &scene.ui.guide;
    let mut page = Page { scene, width: width.into(), lines: Vec::new() };
    page.styled(Paint::Heading, &guide.title);
    page.gap();
    page.markdown(&guide.text);
    page.section("guide-goal", Paint::Accent, &guide.goal);
    guide.questions.iter().enumerate().for_each(|(i, q)| page.question(i, q));
    let outcome = page.lines.len();
    page.hints(&guide.hints);
    page.check(&guide.check);
    if guide.passed {
        page.markdown_after_gap(&guide.debrief);
        page.gap();
        page.styled(Paint::Good, &scene.tr(if guide.step < guide.steps { "guide-go-on" } else { "guide-finished" }));
    }
    page.busy(&guide.busy);
    if !guide.notice.is_empty() {
        page.gap();
        page.styled(Paint::Warn, &guide.notice);
    }
    (page.lines, outcome)
}

/// How many lines the hints take.
pub fn lines_of_hints(scene: &Scene<'_>, width: u16) -> usize {
    let mut page = Page { scene, width: width.into(), lines: Vec::new() };
    page.hints(&scene.ui.guide.hints);
    page.lines.len() + usize::from(!page.lines.is_empty())
}

/// The lines that are written so far.
struct Page<'a> {
    scene: &'a Scene<'a>,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn gap(&mut self) {
        if self.lines.last().is_some_and(|l| l.width() > 0) {
            self.lines.push(Line::default());
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        self.lines.extend(wrap(line, self.width));
    }

    fn styled(&mut self, paint: Paint, text: &str) {
        for line in text.lines() {
            self.line(&Line::from(self.scene.span(paint, line)));
        }
    }

    fn markdown(&mut self, text: &str) {
        for line in markdown(text, &self.scene.ui.theme, self.width) {
            self.line(&line);
        }
    }

    fn markdown_after_gap(&mut self, text: &str) {
        if !text.is_empty() {
            self.gap();
            self.markdown(text);
        }
    }

    fn section(&mut self, title: &str, paint: Paint, text: &str) {
        if !text.is_empty() {
            self.titled(&self.scene.tr(title), paint, text);
        }
    }

    /// A title, and the text behind it on the same line.
    fn titled(&mut self, title: &str, paint: Paint, text: &str) {
        self.gap();
        let style = self.scene.of(paint).add_modifier(Modifier::BOLD);
        for (i, mut line) in markdown(text, &self.scene.ui.theme, self.width).into_iter().enumerate() {
            if i == 0 {
                line.spans.insert(0, Span::styled(format!("{title}  "), style));
            }
            self.line(&line);
        }
    }

    fn hints(&mut self, hints: &[String]) {
        for (i, hint) in hints.iter().enumerate() {
            let title = self.scene.ui.texts.with("guide-hint", &[("n", (i + 1).into())]);
            self.titled(&title, Paint::Warn, hint);
        }
    }

    fn question(&mut self, number: usize, question: &Question) {
        self.gap();
        let title = self.scene.ui.texts.with("guide-predict", &[("n", (number + 1).into())]);
        self.titled(&title, Paint::Accent, &question.ask);
        for (i, choice) in question.choices.iter().enumerate() {
            let (paint, mark) = match (question.chosen == Some(i), question.right) {
                (true, Some(true)) => (Paint::Good, "✓"),
                (true, Some(false)) => (Paint::Bad, "✗"),
                (true, None) if question.missed => (Paint::Bad, "✗"),
                (true, None) => (Paint::Accent, ">"),
                (false, _) => (Paint::Text, " "),
            };
            let line = Line::from(self.scene.span(paint, format!(" {mark} {}) {choice}", letter(i))));
            self.line(&line);
        }
        match question.chosen {
            None => self.styled(Paint::Dim, &self.scene.tr("guide-predict-how")),
            Some(_) if question.missed => self.styled(Paint::Warn, &self.scene.tr("guide-predict-again")),
            Some(_) if question.right.is_none() => self.styled(Paint::Dim, &self.scene.tr("guide-predict-open")),
            Some(_) => {
                if question.right == Some(false) {
                    let truth = self.scene.ui.texts.with("guide-truth", &[("truth", question.truth.as_str().into())]);
                    self.styled(Paint::Warn, &truth);
                }
                self.markdown(&question.because);
            }
        }
    }

    fn check(&mut self, check: &Check) {
        let (title, paint, probes, say) = match check {
            Check::Never => return,
            Check::Running(probes) => ("check-running", Paint::Warn, probes, ""),
            Check::Ended { passed: true, probes, say } => ("check-passed", Paint::Good, probes, say.as_str()),
            Check::Ended { passed: false, probes, say } => ("check-failed", Paint::Bad, probes, say.as_str()),
        };
        self.gap();
        self.styled(paint, &self.scene.tr(title));
        probes.iter().for_each(|probe| self.probe(probe));
        self.markdown_after_gap(say);
    }

    fn busy(&mut self, busy: &Busy) {
        let (paint, text) = match busy {
            Busy::No => return,
            Busy::Preparing => (Paint::Warn, self.scene.tr("guide-preparing")),
            Busy::Showing => (Paint::Warn, self.scene.tr("guide-showing")),
            Busy::Stuck(why) => (Paint::Bad, self.scene.ui.texts.with("guide-stuck", &[("why", why.as_str().into())])),
        };
        self.gap();
        self.styled(paint, &text);
    }

    fn probe(&mut self, probe: &Probe) {
        let (mark, paint) = match probe.held {
            Some(true) => ("✓", Paint::Good),
            Some(false) => ("✗", Paint::Bad),
            None => ("?", Paint::Dim),
        };
        let scene = self.scene;
        self.line(&Line::from(vec![
            scene.span(paint, format!("{mark} ")),
            scene.span(Paint::Text, probe.hope.clone()),
        ]));
        if probe.held == Some(true) {
            return;
        }
        let lead = |lead: &'static str, text: &str| text.lines().map(|l| format!("  {lead}{l}")).collect::<Vec<_>>();
        for line in lead("", &probe.saw).into_iter().chain(lead("→ ", &probe.look)) {
            self.line(&Line::from(scene.span(Paint::Dim, line)));
        }
    }
}

/// The letter of a choice.
pub fn letter(choice: usize) -> char {
    char::from(b'a' + u8::try_from(choice % 26).unwrap_or(0))
}

/// Markdown as lines in the theme's colours.
pub fn markdown(text: &str, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let table = u16::try_from(width).unwrap_or(u16::MAX);
    let options = Options::new(Sheet(theme.clone())).table_width(table);
    let text = commands_apart(text);
    let text = tui_markdown::from_str_with_options(&text, &options);
    let mut block = false;
    let mut lines = Vec::new();
    for line in text.lines {
        if line.spans.iter().any(|s| s.content.starts_with(FENCE)) {
            block = !block;
            lines.push(Line::default());
        } else {
            lines.push(own(line, block));
        }
    }
    lines.dedup_by(|a, b| a.width() == 0 && b.width() == 0);
    lines
}

/// Ends each line that is nothing but code with a hard break, so that two commands in a row stay two lines.
fn commands_apart(text: &str) -> String {
    let is_command =
        |line: &str| line.len() > 2 && line.starts_with('`') && line.ends_with('`') && !line.starts_with("``");
    text.lines().map(|line| if is_command(line.trim()) { format!("{line}  \n") } else { format!("{line}\n") }).collect()
}

/// A line that borrows nothing. One that is nothing but code, a command to type, is indented like a block of code.
fn own(line: Line<'_>, block: bool) -> Line<'static> {
    let mut words = line.spans.iter().filter(|s| !s.content.trim().is_empty()).peekable();
    let code = words.peek().is_some() && words.all(|s| line.style.patch(s.style).add_modifier.contains(CODE));
    let indent = (block || code).then(|| Span::raw("    "));
    let spans = line.spans.into_iter().map(|s| Span::styled(s.content.into_owned(), s.style.remove_modifier(CODE)));
    let style = line.style.remove_modifier(CODE);
    Line { spans: indent.into_iter().chain(spans).collect(), style, alignment: line.alignment }
}

/// Marks code until its lines are made; no theme uses it.
const CODE: Modifier = Modifier::RAPID_BLINK;
/// Stands for a code block's fence until the block is indented.
const FENCE: char = '\u{2}';

/// The theme as Markdown sees it.
#[derive(Clone)]
struct Sheet(Theme);

impl StyleSheet for Sheet {
    fn heading(&self, _: u8) -> Style {
        self.0.of(Paint::Heading)
    }
    fn heading_marker(&self, _: u8) -> &str {
        ""
    }
    fn code(&self) -> Style {
        self.0.of(Paint::Code).add_modifier(CODE)
    }
    fn code_block_fence(&self) -> &str {
        "\u{2}"
    }
    fn link(&self) -> Style {
        self.0.of(Paint::Accent)
    }
    fn blockquote(&self) -> Style {
        self.0.of(Paint::Dim)
    }
    fn heading_meta(&self) -> Style {
        self.0.of(Paint::Dim)
    }
    fn metadata_block(&self) -> Style {
        self.0.of(Paint::Dim)
    }
    fn list_marker(&self) -> Style {
        self.0.of(Paint::Dim)
    }
    fn table_header(&self) -> Style {
        self.0.of(Paint::Title)
    }
    fn table_border(&self) -> Style {
        self.0.of(Paint::Line)
    }
}

#[cfg(test)]
mod tests {
    use super::{CODE, Theme, markdown};

    /// A command stands out, in a block or as a paragraph of its own, with colours and without; a word of code in a
    /// sentence stays in it.
    #[test]
    fn commands_stand_out() {
        for colourless in [false, true] {
            let theme = Theme::new("dark", colourless);
            let lines = markdown("Type `x`:\n\n`redis-cli GET x`\n\n```sh\nlab log n1\n```\n", &theme, 40);
            let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
            assert_eq!(text.join("\n").trim_end(), "Type x:\n\n    redis-cli GET x\n\n    lab log n1");
            assert!(lines.iter().flat_map(|l| &l.spans).all(|s| !s.style.add_modifier.contains(CODE)));
        }
    }
}
