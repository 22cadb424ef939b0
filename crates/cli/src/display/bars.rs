//! The live display: two lines that are drawn anew a few times a second, whatever the training does meanwhile.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::numbers::Numbers;
use super::{number, rough, time};

const FRAMES_PER_SECOND: u8 = 10;
/// Where the terminal does not say how wide it is.
const WIDTH: usize = 80;

/// A bar on stderr; `None` where that is no terminal.
pub fn bar() -> Option<ProgressBar> {
    if !Term::stderr().features().is_attended() {
        return None;
    }
    let screen = ProgressDrawTarget::term_like_with_hz(Box::new(Screen(Term::buffered_stderr())), FRAMES_PER_SECOND);
    Some(ProgressBar::with_draw_target(None, screen))
}

/// Draws `numbers` on stderr until it is cleared. `None` where stderr is no terminal.
///
/// A thread of indicatif's asks for each frame; who trains only leaves numbers behind.
pub fn draw(numbers: &Arc<Mutex<Option<Numbers>>>) -> Option<ProgressBar> {
    let bar = bar()?;
    let line = |index: usize| {
        let numbers = numbers.clone();
        move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let width = Term::stderr().size_checked().map_or(WIDTH, |(_, columns)| columns.into());
            let numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(numbers) = numbers.as_ref() {
                let _ = out.write_str(&frame(numbers, Instant::now(), width)[index]);
            }
        }
    };
    let style = ProgressStyle::with_template("{epochs}\n{batches}").expect("the template is a constant");
    bar.set_style(style.with_key("epochs", line(0)).with_key("batches", line(1)));
    Some(bar)
}

/// Begins to draw.
pub fn start(bar: &ProgressBar) {
    bar.enable_steady_tick(Duration::from_secs(1) / u32::from(FRAMES_PER_SECOND));
}

/// The terminal, with the cursor at the start of a line between two frames. indicatif leaves it at the right edge, where the
/// `^C` that a terminal shows for Ctrl-C wraps, so that indicatif then clears the wrong lines.
#[derive(Debug)]
struct Screen(Term);

impl TermLike for Screen {
    fn width(&self) -> u16 {
        TermLike::width(&self.0)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.0.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
    }
}

/// The display's two lines, none wider than the terminal.
pub fn frame(numbers: &Numbers, now: Instant, width: usize) -> [String; 2] {
    let epochs = numbers.start.epochs;
    // After the last epoch there is no next one.
    let (epoch, batch) = (numbers.epoch.min(epochs), numbers.batch);
    let heads = [counter("epoch", epoch, epochs), counter("batch", batch, numbers.batches)];
    let monitor = &numbers.start.monitor;
    let metric = match (numbers.monitored, numbers.best) {
        (Some(value), Some((epoch, best))) if value != best => {
            format!("{monitor} {} (best {}, {epoch})", number(value), number(best))
        }
        (Some(value), Some((epoch, _))) => format!("{monitor} {} (best, {epoch})", number(value)),
        (Some(value), None) => format!("{monitor} {}", number(value)),
        (None, _) => String::new(),
    };
    let mut parts = Vec::new();
    if let Some(loss) = numbers.loss() {
        parts.push(format!("loss {}", number(loss)));
        parts.push(format!("lr {:.1e}", numbers.learning_rate));
        parts.extend(numbers.sequences_per_second(now).map(|rate| format!("{rate:.0} seq/s")));
        parts.push(format!("|g| {}", rough(numbers.gradient_norm)));
    }
    let left = |left: Option<Duration>| left.map(|left| format!("{} left", time(left))).unwrap_or_default();
    let epoch_tail = if batch == numbers.batches { "validating".into() } else { left(numbers.epoch_left(now)) };
    let head = heads.iter().map(String::len).max().unwrap_or(0);
    [
        line(&heads[0], head, numbers.share(), &[metric], &left(numbers.left(now)), width),
        line(&heads[1], head, numbers.epoch_share(), &parts, &epoch_tail, width),
    ]
}

/// `epoch   7/120`
fn counter(what: &str, done: usize, of: usize) -> String {
    let digits = of.to_string().len();
    format!("{what} {done:>digits$}/{of}")
}

/// A head, a bar, as many of the parts as fit, and at the right edge how long it takes.
fn line(head: &str, head_width: usize, share: f64, parts: &[String], tail: &str, width: usize) -> String {
    let bar = (8 + width.saturating_sub(80) / 2).min(24);
    let filled = ((share.clamp(0.0, 1.0) * bar as f64) as usize).min(bar);
    let mut line = format!("{head:<head_width$} [");
    (0..bar).for_each(|cell| {
        line.push(match cell.cmp(&filled) {
            std::cmp::Ordering::Less => '=',
            std::cmp::Ordering::Equal if filled > 0 => '>',
            _ => ' ',
        });
    });
    line.push(']');
    let mut separator = " ";
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if line.len() + separator.len() + part.len() + 2 + tail.len() > width {
            break;
        }
        line += separator;
        line += part;
        separator = "  ";
    }
    let room = width.saturating_sub(line.len());
    if tail.len() < room {
        let _ = write!(line, "{tail:>room$}");
    }
    // All of it is ASCII but for the names of metrics, which are ASCII too.
    line.truncate(width);
    line
}

#[cfg(test)]
mod tests {
    use super::super::numbers::tests::{batch, epoch, start};
    use super::*;

    fn numbers() -> (Numbers, Instant) {
        let began = Instant::now();
        let mut numbers = Numbers::new(start(60, 400), began);
        (1..12).for_each(|index| numbers.epoch_ended(&epoch(index, 60, 0.12 + 0.01 * index as f64, index == 1), began));
        (1..=120).for_each(|index| numbers.batch_ended(&batch(12, index, 400, 0.1432)));
        (numbers, began + Duration::from_secs(3))
    }

    #[test]
    fn eighty_columns_hold_all_of_it() {
        let (numbers, now) = numbers();
        let lines = frame(&numbers, now, 80);
        assert_eq!(lines[0], "epoch 12/60   [=>      ] val_loss 0.2300 (best 0.1300, 1)              8:07 left");
        assert_eq!(lines[1], "batch 120/400 [==>     ] loss 0.1432  lr 2.0e-3  1280 seq/s  |g| 0.52  0:07 left");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let (numbers, now) = numbers();
        for width in 0..200 {
            let lines = frame(&numbers, now, width);
            assert!(lines.iter().all(|line| line.len() <= width), "{width}: {lines:?}");
        }
        let wide = frame(&numbers, now, 120);
        assert!(wide.iter().all(|line| line.len() == 120 && line.ends_with(" left")), "{wide:?}");
        // The gradient's norm is the first to go, the loss the last.
        assert!(!frame(&numbers, now, 70)[1].contains("|g|") && frame(&numbers, now, 70)[1].contains("seq/s"));
        assert!(frame(&numbers, now, 50)[1].contains("loss 0.1432"));
    }

    #[test]
    fn before_the_first_batch_and_after_the_last() {
        let began = Instant::now();
        let mut numbers = Numbers::new(start(2, 3), began);
        let lines = frame(&numbers, began, 80);
        assert_eq!(lines.map(|line| line.trim_end().to_string()), ["epoch 1/2 [        ]", "batch 0/3 [        ]"]);
        (1..=3).for_each(|index| numbers.batch_ended(&batch(1, index, 3, 1.0)));
        let now = began + Duration::from_secs(1);
        assert!(frame(&numbers, now, 80)[1].ends_with(" validating"));
        (1..=2).for_each(|index| numbers.epoch_ended(&epoch(index, 2, 0.5, true), now));
        assert!(frame(&numbers, now, 80)[0].starts_with("epoch 2/2 [========] val_loss 0.5000 (best, 2)"));
    }
}
