//! The driver: terminal, keyboard, signals, the keeper's client, the shell's PTY, around [`update`] and [`view`].
//!
//! One thread, one loop: wait until something comes, fold everything that has come into the world and the screen, draw
//! once. What the person does is drawn at once; what the world does at most eight times a second; when nothing comes and
//! nothing moves, nothing is drawn and nothing wakes. Whatever takes time (opening a world, resetting it) is done on a
//! thread of its own, which tells its outcome through the inbox like everything else.

mod open;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use futures::StreamExt;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

use crate::world::World;
use crate::world::client::{Client, Update};
use crate::world::reporter::now;

use super::action::{Action, Effect, Wish};
use super::host::Host;
use super::pty::{self, Pty};
use super::settings::Settings;
use super::terminal::Screen;
use super::tutor::Tutor;
use super::ui::{FRAME, Place, Ui};
use super::{update, view};

/// Why the screen ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The person left.
    Left,
    /// This signal came.
    Signal(i32),
}

/// What comes to the loop from other threads. The number is that of the opening: what belongs to a lab that was left
/// in the meantime is dropped.
enum Mail {
    Act(Action),
    Tutor(Result<Arc<dyn Tutor>, String>),
    Opened(u64, Result<open::Lab, String>),
    World(u64, Update),
    Lesson(u64),
}

/// Hangs up when the terminal does. The kernel's own SIGHUP goes to the terminal's session alone, and the screen may live
/// in another one (`su -c`); waits on a thread of its own, which costs nothing.
fn hang_up_with_the_terminal() {
    std::thread::spawn(|| {
        let stdin = std::io::stdin();
        let mut terminal = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
        while poll(&mut terminal, PollTimeout::NONE).is_err() {}
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGHUP);
    });
}

/// Runs the screen until the person leaves. `tutor` makes the course; it is called after the first frame, on a thread
/// of its own.
///
/// # Errors
/// As of the terminal.
pub fn run(
    host: Arc<dyn Host>,
    tutor: impl FnOnce() -> Result<Arc<dyn Tutor>, String> + Send + 'static,
) -> io::Result<Gone> {
    let (mail, inbox) = mpsc::unbounded_channel();
    let panics = mail.clone();
    let told = move |panic| drop(panics.send(Mail::Act(Action::Replied(Err(panic)))));
    let mut screen = Screen::take(told)?;
    hang_up_with_the_terminal();
    let size = screen.terminal.size()?;
    let settings = Settings::load();
    let ui = Ui::new(settings.texts(), settings.theme(), (size.width, size.height), now());
    let world = World::default();
    screen.terminal.draw(|frame| view(&world, &ui, frame))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (shell, shelled) = mpsc::channel(16);
    let told = mail.clone();
    std::thread::spawn(move || told.send(Mail::Tutor(open::caught(tutor))));
    let loop_ = Loop {
        screen,
        ui,
        settings,
        world,
        host,
        tutor: None,
        mail,
        shell,
        lab: None,
        pty: None,
        opening: 0,
        gone: None,
        due: Due::Now,
    };
    runtime.block_on(loop_.live(inbox, shelled))
}

/// When the next frame is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Never,
    Soon,
    Now,
}

struct Loop {
    screen: Screen,
    ui: Ui,
    settings: Settings,
    world: World,
    host: Arc<dyn Host>,
    tutor: Option<Arc<dyn Tutor>>,
    mail: UnboundedSender<Mail>,
    shell: mpsc::Sender<(u64, pty::Output)>,
    lab: Option<open::Lab>,
    pty: Option<Pty>,
    opening: u64,
    gone: Option<Gone>,
    due: Due,
}

/// The signals that the loop listens to.
struct Signals {
    end: [(Signal, i32); 3],
    cont: Signal,
    stop: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let on = |kind: SignalKind| Ok::<_, io::Error>((signal(kind)?, kind.as_raw_value()));
        let end = [on(SignalKind::terminate())?, on(SignalKind::hangup())?, on(SignalKind::interrupt())?];
        let (cont, stop) = (SignalKind::from_raw(libc::SIGCONT), SignalKind::from_raw(libc::SIGTSTP));
        Ok(Self { end, cont: signal(cont)?, stop: signal(stop)? })
    }

    /// The next signal that ends the program.
    async fn ended(end: &mut [(Signal, i32); 3]) -> i32 {
        let [a, b, c] = end;
        tokio::select! {
            _ = a.0.recv() => a.1,
            _ = b.0.recv() => b.1,
            _ = c.0.recv() => c.1,
        }
    }
}

impl Loop {
    async fn live(
        mut self,
        mut inbox: UnboundedReceiver<Mail>,
        mut shelled: mpsc::Receiver<(u64, pty::Output)>,
    ) -> io::Result<Gone> {
        let mut signals = Signals::listen()?;
        let mut keys = EventStream::new();
        let mut drawn = Instant::now();
        loop {
            if let Some(gone) = self.gone {
                return Ok(gone);
            }
            let wake = self.wake(drawn);
            let idle = wake.is_none();
            tokio::select! {
                biased;
                number = Signals::ended(&mut signals.end) => self.gone = Some(Gone::Signal(number)),
                _ = signals.cont.recv() => self.retake()?,
                _ = signals.stop.recv() => self.suspend()?,
                input = keys.next() => self.input(input)?,
                mail = inbox.recv() => {
                    mail.into_iter().try_for_each(|m| self.take(m))?;
                    while let Ok(mail) = inbox.try_recv() {
                        self.take(mail)?;
                    }
                }
                output = shelled.recv() => {
                    output.into_iter().try_for_each(|o| self.shelled(o))?;
                    for _ in 0..32 {
                        let Ok(output) = shelled.try_recv() else { break };
                        self.shelled(output)?;
                    }
                }
                () = sleep_until(wake.unwrap_or_else(far)), if !idle => self.due = self.due.max(Due::Soon),
            }
            self.act(Action::Time(now()))?;
            if self.due == Due::Now || (self.due == Due::Soon && drawn.elapsed() >= frame()) {
                self.draw()?;
                drawn = Instant::now();
            }
        }
    }

    /// When to wake though nothing comes: for a frame that is due, or for what moves by itself.
    fn wake(&self, drawn: Instant) -> Option<Instant> {
        if self.due == Due::Soon {
            return Some(drawn + frame());
        }
        let at = self.ui.wakes(&self.world)?;
        Some(Instant::now() + Duration::from_micros(at.saturating_sub(now()).max(1000)))
    }

    fn draw(&mut self) -> io::Result<()> {
        self.due = Due::Never;
        let Self { screen, ui, world, .. } = self;
        screen.terminal.draw(|frame| view(world, ui, frame)).map(drop)
    }

    /// Something happens on the screen; what it asks for is carried out.
    fn act(&mut self, action: Action) -> io::Result<()> {
        let effects = update(&mut self.ui, &self.world, action);
        effects.into_iter().try_for_each(|effect| self.carry_out(effect))
    }

    fn input(&mut self, input: Option<io::Result<Input>>) -> io::Result<()> {
        self.due = Due::Now;
        match input {
            Some(Ok(Input::Key(key))) if key.kind != KeyEventKind::Release => self.act(Action::Key(key)),
            Some(Ok(Input::Paste(text))) => self.act(Action::Paste(text)),
            Some(Ok(Input::Resize(width, height))) => self.act(Action::Resize(width, height)),
            Some(Ok(_)) => Ok(()),
            // The terminal is gone.
            Some(Err(_)) | None => {
                self.gone = Some(Gone::Signal(libc::SIGHUP));
                Ok(())
            }
        }
    }

    fn take(&mut self, mail: Mail) -> io::Result<()> {
        match mail {
            Mail::Act(action) => {
                self.due = Due::Now;
                self.act(action)
            }
            Mail::Tutor(Ok(tutor)) => {
                self.tutor = Some(tutor);
                self.speak()
            }
            Mail::Tutor(Err(why)) => {
                self.act(Action::NoCards(why.clone()))?;
                self.take(Mail::Act(Action::Replied(Err(why))))
            }
            Mail::Opened(opening, outcome) if opening == self.opening => self.opened(outcome),
            Mail::World(opening, seen) if opening == self.opening => self.see(seen),
            Mail::Lesson(opening) if opening == self.opening => self.speak(),
            Mail::Opened(..) | Mail::World(..) | Mail::Lesson(..) => Ok(()),
        }
    }

    /// The world's news are folded into it, and told to the screen.
    fn see(&mut self, seen: Update) -> io::Result<()> {
        self.due = self.due.max(Due::Soon);
        match seen {
            Update::Snapshot(world) => {
                self.world = *world;
                self.act(Action::Snapshot)
            }
            Update::Event(event) => {
                self.world.apply(&event);
                self.act(Action::Event(event))
            }
            Update::Gone => {
                self.due = Due::Now;
                let why = self.ui.tr("world-ended");
                self.close();
                self.act(Action::Closed(why))
            }
        }
    }

    fn shelled(&mut self, (opening, output): (u64, pty::Output)) -> io::Result<()> {
        if opening != self.opening {
            return Ok(());
        }
        self.due = Due::Now;
        match output {
            pty::Output::Wrote(bytes) => self.act(Action::Shell(bytes)),
            pty::Output::Ended => {
                self.pty = None;
                self.act(Action::ShellEnded)
            }
        }
    }

    /// Everything of the course in the person's language.
    fn speak(&mut self) -> io::Result<()> {
        self.due = Due::Now;
        let language = self.ui.texts.tag();
        if let Some(tutor) = &self.tutor {
            let cards = tutor.cards(language);
            self.act(Action::Cards(cards))?;
        }
        match self.lab.as_ref().map(|lab| lab.lesson.guide(language)) {
            Some(guide) => self.act(Action::Guide(Box::new(guide))),
            None => Ok(()),
        }
    }

    fn carry_out(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Send(command) => self.send(command),
            Effect::Open(lab) => self.open(lab),
            Effect::Leave { sure } => return self.leave(sure),
            Effect::Quit => self.gone = Some(Gone::Left),
            Effect::Tutor(Wish::Reset) => self.reset(),
            Effect::Tutor(wish) => self.lab.iter().for_each(|lab| lab.lesson.wish(wish)),
            Effect::Speak(_) => return self.speak(),
            Effect::Type(bytes) => self.pty.iter().for_each(|pty| pty.write(bytes.clone())),
            Effect::Shell(columns, rows) => return self.size_shell(columns, rows),
            Effect::Copy(text) => return self.copy(&text),
            Effect::Suspend => return self.suspend(),
            Effect::Keep => self.settings.keep(&self.ui.texts, &self.ui.theme),
            Effect::Redraw => self.screen.forget()?,
        }
        Ok(())
    }

    fn send(&self, command: crate::world::Command) {
        let Some(lab) = &self.lab else { return };
        let mail = self.mail.clone();
        lab.client.send("screen", command, move |outcome| {
            let _ = mail.send(Mail::Act(Action::Replied(outcome.map(|value| open::words(&value)))));
        });
    }

    /// The shell's terminal has a size: the shell is started, or told.
    fn size_shell(&mut self, columns: u16, rows: u16) -> io::Result<()> {
        if let Some(pty) = &self.pty {
            pty.resize(columns, rows);
            return Ok(());
        }
        let Place::Lab(lab) = &self.ui.place else { return Ok(()) };
        let (out, opening) = (self.shell.clone(), self.opening);
        let wrote = move |output| out.blocking_send((opening, output)).is_ok();
        match Pty::start(self.host.shell(lab), (columns, rows), wrote) {
            Ok(pty) => self.pty = Some(pty),
            Err(why) => {
                self.act(Action::ShellEnded)?;
                return self.act(Action::Replied(Err(why)));
            }
        }
        Ok(())
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        self.screen.tell(&open::osc52(text))?;
        let outcome = open::keep(text).map(|path| path.display().to_string()).map_err(|e| e.to_string());
        self.act(Action::Copied(outcome))
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.screen.suspend()?;
        self.retake()
    }

    /// The terminal may have been used by others, and may have another size.
    fn retake(&mut self) -> io::Result<()> {
        self.screen.retake()?;
        let size = self.screen.terminal.size()?;
        self.due = Due::Now;
        self.act(Action::Resize(size.width, size.height))
    }
}

fn frame() -> Duration {
    Duration::from_micros(FRAME)
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// What the loop needs of a client besides.
fn watch(client: &Client, opening: u64, mail: UnboundedSender<Mail>) -> io::Result<()> {
    client.watch(move |seen| drop(mail.send(Mail::World(opening, seen))))
}
