//! The terminal of the shell pane: what the shell wrote, as cells; what was typed, as bytes. The PTY itself is the driver's.

use std::num::NonZeroU16;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Lines that are kept after they scrolled away.
const SCROLLBACK: usize = 2000;

/// The shell's terminal.
#[derive(Default)]
pub struct Shell {
    parser: Option<vt100::Parser<Answers>>,
    ended: bool,
}

/// What a terminal answers when it is asked who and where it is.
#[derive(Default)]
struct Answers(Vec<u8>);

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        first: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        c: char,
    ) {
        match (first, c, params) {
            (None, 'n', [[6]]) => {
                let (row, column) = screen.cursor_position();
                self.0.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            (None, 'n', [[5]]) => self.0.extend(b"\x1b[0n"),
            (None, 'c', [[0]] | []) => self.0.extend(b"\x1b[?6c"),
            _ => {}
        }
    }
}

impl Shell {
    /// The cells; none before the shell was started.
    pub fn screen(&self) -> Option<&vt100::Screen> {
        self.parser.as_ref().map(vt100::Parser::screen)
    }

    /// Whether the shell has ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Columns and rows; zeros before it was started.
    pub fn size(&self) -> (u16, u16) {
        self.screen().map_or((0, 0), |s| (s.size().1.get(), s.size().0.get()))
    }

    /// Gives the terminal this size, and a shell if there is none. Tells whether that was news.
    pub fn fit(&mut self, columns: u16, rows: u16) -> bool {
        let (Some(c), Some(r)) = (NonZeroU16::new(columns), NonZeroU16::new(rows)) else { return false };
        if self.size() == (columns, rows) {
            return false;
        }
        match &mut self.parser {
            Some(parser) => parser.set_size(r, c),
            None => self.parser = Some(vt100::Parser::new_with_callbacks(r, c, SCROLLBACK, Answers::default())),
        }
        true
    }

    /// The shell wrote this. Gives what the terminal answers.
    pub fn wrote(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(parser) = &mut self.parser else { return Vec::new() };
        parser.process(bytes);
        std::mem::take(&mut parser.callbacks_mut().0)
    }

    /// The shell has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Forgets everything; the next fit starts anew.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Shows what scrolled away, so many lines up (or down, if negative).
    pub fn scroll(&mut self, lines: isize) {
        if let Some(parser) = &mut self.parser {
            let at = parser.screen().scrollback().saturating_add_signed(lines).min(SCROLLBACK);
            parser.screen_mut().set_scrollback(at);
        }
    }

    /// The bytes that a terminal sends for a key; what scrolled away is left.
    pub fn typed(&mut self, key: KeyEvent) -> Vec<u8> {
        self.scroll(isize::MIN);
        encode(key, self.screen().is_some_and(vt100::Screen::application_cursor))
    }

    /// The bytes for pasted text.
    pub fn pasted(&mut self, text: &str) -> Vec<u8> {
        if self.screen().is_some_and(vt100::Screen::bracketed_paste) {
            let clean = text.replace("\x1b[201~", "");
            return [b"\x1b[200~", clean.as_bytes(), b"\x1b[201~"].concat();
        }
        text.replace("\r\n", "\r").replace('\n', "\r").into_bytes()
    }
}

/// A key as xterm sends it.
fn encode(key: KeyEvent, application: bool) -> Vec<u8> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let bytes = match key.code {
        KeyCode::Char(c) if control => vec![control_byte(c)],
        KeyCode::Char(c) => c.to_string().into_bytes(),
        KeyCode::Enter => b"\r".to_vec(),
        KeyCode::Tab => b"\t".to_vec(),
        KeyCode::BackTab => b"\x1b[Z".to_vec(),
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Esc => vec![0x1b],
        KeyCode::F(n) => function(n),
        code => return special(code, key.modifiers, application),
    };
    if key.modifiers.contains(KeyModifiers::ALT) { [vec![0x1b], bytes].concat() } else { bytes }
}

fn control_byte(c: char) -> u8 {
    match c {
        '4'..='7' => c as u8 - b'4' + 0x1c,
        ' ' | '2' | '@' => 0,
        '?' | '8' => 0x7f,
        c if c.is_ascii() => (c.to_ascii_uppercase() as u8) & 0x1f,
        _ => 0,
    }
}

fn function(n: u8) -> Vec<u8> {
    match n {
        1..=4 => vec![0x1b, b'O', b'P' + n - 1],
        5 => b"\x1b[15~".to_vec(),
        6..=10 => format!("\x1b[{}~", n + 11).into_bytes(),
        11 | 12 => format!("\x1b[{}~", n + 12).into_bytes(),
        _ => Vec::new(),
    }
}

/// Arrows and their neighbours, with modifiers as xterm counts them.
fn special(code: KeyCode, modifiers: KeyModifiers, application: bool) -> Vec<u8> {
    let held = |m, n: u8| if modifiers.contains(m) { n } else { 0 };
    let modifier = 1 + held(KeyModifiers::SHIFT, 1) + held(KeyModifiers::ALT, 2) + held(KeyModifiers::CONTROL, 4);
    let letter = match code {
        KeyCode::Up => 'A',
        KeyCode::Down => 'B',
        KeyCode::Right => 'C',
        KeyCode::Left => 'D',
        KeyCode::Home => 'H',
        KeyCode::End => 'F',
        _ => {
            let number = match code {
                KeyCode::Insert => 2,
                KeyCode::Delete => 3,
                KeyCode::PageUp => 5,
                KeyCode::PageDown => 6,
                _ => return Vec::new(),
            };
            return format!("\x1b[{number}~").into_bytes();
        }
    };
    match (modifier, application) {
        (1, true) => format!("\x1bO{letter}").into_bytes(),
        (1, false) => format!("\x1b[{letter}").into_bytes(),
        _ => format!("\x1b[1;{modifier}{letter}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyCode, KeyEvent, KeyModifiers, Shell, encode};

    fn bytes(code: KeyCode, modifiers: KeyModifiers) -> Vec<u8> {
        encode(KeyEvent::new(code, modifiers), false)
    }

    /// Keys reach a program as xterm would send them.
    #[test]
    fn keys_are_xterms() {
        assert_eq!(bytes(KeyCode::Char('c'), KeyModifiers::CONTROL), [3]);
        assert_eq!(bytes(KeyCode::Char('中'), KeyModifiers::NONE), "中".as_bytes());
        assert_eq!(bytes(KeyCode::Char('b'), KeyModifiers::ALT), [0x1b, b'b']);
        assert_eq!(bytes(KeyCode::Left, KeyModifiers::CONTROL), b"\x1b[1;5D");
        assert_eq!(bytes(KeyCode::F(5), KeyModifiers::NONE), b"\x1b[15~");
    }

    /// A program that asks where the cursor is gets its answer.
    #[test]
    fn the_terminal_answers() {
        let mut shell = Shell::default();
        assert!(shell.fit(20, 5));
        assert_eq!(shell.wrote("中文\x1b[6n".as_bytes()), b"\x1b[1;5R");
        assert!(!shell.fit(20, 5));
    }
}
