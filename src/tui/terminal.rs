//! The person's terminal: taken, and always given back. On a return, a panic, a signal and a stop it is as it was.

use std::io::{self, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken. Dropping it gives it back.
pub struct Screen {
    /// What is drawn on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal, and sees to it that a panic of this thread gives it back before it speaks. What a panic of
    /// another thread says is given to `told`, for it must not be written across the screen.
    ///
    /// # Errors
    /// As of the terminal.
    pub fn take(told: impl Fn(String) + Send + Sync + 'static) -> io::Result<Self> {
        let (main, before) = (std::thread::current().id(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() == main {
                give_back();
                before(panic);
            } else {
                told(panic.to_string().replace('\n', " "));
            }
        }));
        take()?;
        Ok(Self { terminal: Terminal::new(CrosstermBackend::new(stdout()))? })
    }

    /// Gives the terminal back, stops the whole process group as Ctrl-Z would, and takes it again on `fg`.
    ///
    /// # Errors
    /// As of the terminal.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        stop_group();
        self.retake()
    }

    /// Takes the terminal again, whatever happened to it, and forgets what was drawn.
    ///
    /// # Errors
    /// As of the terminal.
    pub fn retake(&mut self) -> io::Result<()> {
        TAKEN.store(false, SeqCst);
        take()?;
        self.forget()
    }

    /// Forgets what was drawn: the next frame is drawn whole. (The library's own `clear` would ask the terminal where
    /// its cursor is, and wait for the answer on the keyboard that the loop reads.)
    ///
    /// # Errors
    /// As of the terminal.
    pub fn forget(&mut self) -> io::Result<()> {
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Writes an escape sequence that draws nothing.
    ///
    /// # Errors
    /// As of the terminal.
    pub fn tell(&mut self, sequence: &str) -> io::Result<()> {
        let mut out = stdout();
        out.write_all(sequence.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    if !TAKEN.swap(true, SeqCst) {
        terminal::enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    }
    Ok(())
}

/// Gives the terminal back; a second time does nothing. Errors are of no use here: the terminal may be gone.
pub fn give_back() {
    if TAKEN.swap(false, SeqCst) {
        let _ = queue!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = stdout().flush();
        let _ = terminal::disable_raw_mode();
    }
}

/// Stops every process of our group, as the terminal's Ctrl-Z does; a shell waits for the whole group. Returns when it
/// goes on, or at once where nobody could ever say so (an orphaned group).
fn stop_group() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action and the action that was there before are both valid.
    let before = unsafe { sigaction(Signal::SIGTSTP, &default) };
    let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
    if let Ok(before) = before {
        // SAFETY: as above.
        let _ = unsafe { sigaction(Signal::SIGTSTP, &before) };
    }
}
