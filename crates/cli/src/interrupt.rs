//! Ctrl-C: the first one asks the training to stop at the next batch, the second one stops at once.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result};
use indicatif::ProgressBar;

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// What is on the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The flag that Ctrl-C sets; the first call installs the handler.
pub fn flag() -> Result<Arc<AtomicBool>> {
    if let Some(flag) = FLAG.get() {
        return Ok(flag.clone());
    }
    let flag = FLAG.get_or_init(Default::default).clone();
    let seen = flag.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            if let Some(bar) = BAR.lock().ok().and_then(|mut bar| bar.take()) {
                bar.finish_and_clear();
            }
            std::process::exit(130);
        }
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(flag)
}

/// Sets the flag when standard input ends: a sweep holds the other end, and whatever ends it ends its trainings too.
pub fn at_end_of_input() -> Result<()> {
    let flag = flag()?;
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut [0; 64]), Ok(1..)) {}
        flag.store(true, Ordering::SeqCst);
    });
    Ok(())
}

/// Has a bar removed from the terminal when the second Ctrl-C stops the program.
pub fn clears(bar: &ProgressBar) {
    if let Ok(mut place) = BAR.lock() {
        *place = Some(bar.clone());
    }
}

/// Whether Ctrl-C was pressed.
pub fn happened() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::SeqCst))
}
