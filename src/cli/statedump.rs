//! What a process of a volume writes when it gets SIGUSR1: `glusterdump.PID.dump.TIME` (a brick's: `data-brick1-gv0.PID.dump.TIME`)
//! in the folder that `gluster --print-statedumpdir` names, or in that of the volume's `server.statedump-path`. GlusterFS dumps all of its memory; here it is what scripts look for: which bricks are up.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal};

use crate::volume::dump;
use crate::volume::manager::Place;

/// From now on the signal makes a file. To be called before the process has threads.
pub fn on_signal() {
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGUSR1);
    // Every later thread has it blocked too, so that it ends at the one that waits for it.
    if wanted.thread_block().is_err() {
        return;
    }
    let body = move || {
        while wanted.wait().is_ok() {
            let (folder, prefix) = dump::place();
            if let Err(error) = write(&folder.unwrap_or_else(|| Place::here().run), &prefix) {
                eprintln!("the state could not be dumped: {error}");
            }
        }
    };
    // Without the thread there are no dumps.
    let _ = std::thread::Builder::new().name("statedump".into()).spawn(body);
}

fn write(dir: &Path, prefix: &str) -> std::io::Result<()> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let began = now();
    let text = format!("DUMP-START-TIME: {began}\n\n{}\nDUMP-END-TIME: {}\n", dump::text(), now());
    let file = format!("{prefix}.{}.dump.{began}", std::process::id());
    // Readers look for the name: it appears when the file is whole.
    let beside = dir.join(format!(".{file}"));
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, dir.join(file))
}
