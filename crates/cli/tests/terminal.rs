//! The live display on a terminal: what it shows, that it leaves nothing behind, and that it changes nothing.
#![cfg(unix)]

mod common;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use common::data::{LONG_TOML, long_csv, slopes};
use common::{Folder, Ran, assert_says};
use nix::pty::{Winsize, openpty};
use nix::unistd::dup;

/// With a plateau schedule and early stopping that bite, and dropout, which draws its masks batch by batch.
const EVENTFUL: &str = r#"
[data]
train = "train.csv"
sequence = "sequence"
step = "step"
channels = ["level", "noise"]
test_fraction = 0.1

[model]
hidden = [12, 24]
dropout = 0.3

[training]
epochs = 60
batch = 4
optimizer = { kind = "adam", learning_rate = 3e-2 }
clip = { norm = 0.5 }
schedule = { kind = "plateau", patience = 1, factor = 0.5, min_delta = 0.02 }
early_stopping = { patience = 6 }
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(120, 1)));
    folder.write("train.toml", EVENTFUL);
    folder
}

/// The program with its standard error, or all of its streams, on a terminal.
struct Terminal {
    child: Child,
    reader: JoinHandle<Vec<u8>>,
    rows: u16,
    columns: u16,
    /// Kept open: what is written here, the terminal's user types.
    keyboard: File,
}

impl Terminal {
    fn start(folder: &Folder, arguments: &[&str], columns: u16) -> Self {
        let rows = 24;
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let stdio = |fd: &OwnedFd| Stdio::from(dup(fd.as_fd()).unwrap());
        let mut command = folder.command(arguments);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.stdout(stdio(&pty.slave)).stderr(stdio(&pty.slave));
        let child = command.spawn().unwrap();
        drop((command, pty.slave));
        let keyboard = File::from(dup(&pty.master).unwrap());
        let mut master = File::from(pty.master);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 4096];
            // Linux says EIO when the last writer is gone.
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                all.extend_from_slice(&buffer[..count]);
            }
            all
        });
        Self { child, reader, rows, columns, keyboard }
    }

    /// What was on the screen at each time the cursor went back, and the exit status.
    fn watch(self) -> (Vec<Vec<String>>, Option<i32>) {
        let Self { mut child, reader, rows, columns, keyboard } = self;
        let code = child.wait().unwrap().code();
        let bytes = reader.join().unwrap();
        drop(keyboard);
        let mut parser = vt100::Parser::new(rows, columns, 1000);
        let screens = bytes.split_inclusive(|&byte| byte == b'\r').map(|part| {
            parser.process(part);
            let screen = parser.screen().rows(0, columns).map(|row| row.trim_end().to_string());
            screen.filter(|row| !row.is_empty()).collect()
        });
        (screens.collect(), code)
    }

    fn interrupt(&self) {
        let id = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    }
}

fn epochs(folder: &Folder, run: &str) -> usize {
    std::fs::read_to_string(folder.file(format!("{run}/log.jsonl"))).map_or(0, |log| log.lines().count())
}

fn wait_for_epochs(folder: &Folder, run: &str, count: usize) {
    for _ in 0..60_000 {
        if epochs(folder, run) >= count {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    panic!("{run} never had {count} epochs");
}

fn train(run: &str) -> Vec<&str> {
    vec!["train", "train.toml", "--out", run, "--save-every", "0"]
}

#[test]
fn training_gives_the_same_bytes_however_it_is_watched() {
    let folder = folder();
    folder.run(&train("plain")).succeeds();
    let model = folder.read("plain/checkpoint.safetensors");
    let log: Vec<serde_json::Value> = String::from_utf8(folder.read("plain/log.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rate = |epoch: &serde_json::Value| epoch["learning_rate"].as_f64().unwrap();
    assert!(rate(log.last().unwrap()) < 0.6 * rate(&log[0]), "the plateau lowered the rate");
    assert!((10..60).contains(&log.len()), "it stopped early, after {}", log.len());

    for (run, every) in [("each", "0"), ("often", "0.001"), ("seldom", "1e6")] {
        let ran = folder.run(&[&train(run)[..], &["--log-every", every]].concat());
        let lines = ran.stderr.lines().filter(|line| line.contains(": epoch ")).count();
        match run {
            "each" => assert_eq!(lines, log.len(), "{}", ran.stderr),
            // The first line says what is trained, the last epoch is told always.
            "seldom" => assert_eq!(lines, 1, "{}", ran.stderr),
            _ => assert!(lines >= 1),
        }
        ran.succeeds();
    }
    let (screens, code) = Terminal::start(&folder, &train("watched"), 80).watch();
    assert_eq!(code, Some(0), "{:?}", screens.last());

    // Stopped on a terminal, gone on with on none, stopped again, ended on one.
    let resume = |run| [&train(run)[..], &["--resume"]].concat();
    let terminal = Terminal::start(&folder, &train("stopped"), 80);
    wait_for_epochs(&folder, "stopped", 2);
    terminal.interrupt();
    assert_eq!(terminal.watch().1, Some(130));
    let mut command = folder.command(&resume("stopped"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_epochs(&folder, "stopped", 5);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.exists("stopped/checkpoint.safetensors"), "it was stopped in time");
    let (screens, code) = Terminal::start(&folder, &resume("stopped"), 80).watch();
    assert_eq!(code, Some(0));
    assert!(screens.iter().flatten().any(|line| line.contains("going on after epoch ")));

    for run in ["each", "often", "seldom", "watched", "stopped"] {
        assert!(folder.read(format!("{run}/checkpoint.safetensors")) == model, "{run}: the model differs");
        assert_eq!(epochs(&folder, run), log.len(), "{run}: the log has every epoch once");
    }
}

#[test]
fn it_shows_where_the_training_stands_and_cleans_up() {
    let folder = folder();
    // So many units that it lasts for some frames.
    folder.write("train.toml", EVENTFUL.replace("patience = 6", "patience = 60").replace("[12, 24]", "[64]"));
    for columns in [80, 50, 132] {
        let run = format!("run-{columns}");
        let (screens, code) = Terminal::start(&folder, &train(&run), columns).watch();
        assert_eq!(code, Some(0));
        let places = |screen: &[String], head: &str| -> Vec<usize> {
            screen.iter().enumerate().filter(|(_, line)| line.starts_with(head)).map(|(at, _)| at).collect()
        };
        // One of each, the epochs above the batches: frames do not pile up. Between two frames a line may be cleared.
        for screen in &screens {
            assert!(places(screen, "epoch ").len() <= 1 && places(screen, "batch ").len() <= 1, "{screen:?}");
        }
        let whole = |screen: &&Vec<String>| match (&places(screen, "epoch ")[..], &places(screen, "batch ")[..]) {
            ([epochs], [batches]) => epochs + 1 == *batches,
            _ => false,
        };
        let live: Vec<&Vec<String>> = screens.iter().filter(whole).collect();
        assert!(!live.is_empty(), "{screens:?}");
        let seen = |text: &str| live.iter().any(|screen| screen.iter().any(|line| line.contains(text)));
        assert!(seen("/60") && seen("/21 ") && seen("loss "), "{live:?}");
        if columns >= 80 {
            assert!(seen("val_loss ") && seen("best") && seen("lr ") && seen(" seq/s") && seen(" left"), "{live:?}");
        }
        let last = screens.last().unwrap();
        assert!(!last.iter().any(|line| line.contains("[=") || line.starts_with("batch ")), "{last:?}");
        assert!(last.concat().contains("next: emberloop quantize"), "{last:?}");
    }
}

#[test]
fn interrupted_or_failed_it_leaves_a_clean_terminal() {
    let folder = folder();
    let terminal = Terminal::start(&folder, &train("run"), 80);
    wait_for_epochs(&folder, "run", 3);
    terminal.interrupt();
    let (screens, code) = terminal.watch();
    assert_eq!(code, Some(130));
    let last = screens.last().unwrap();
    assert!(!last.iter().any(|line| line.starts_with("epoch ") || line.starts_with("batch ")), "{last:?}");
    assert_says(&last.concat(), &["error: training interrupted in epoch "]);

    folder.write("train.toml", EVENTFUL.replace("learning_rate = 3e-2", "learning_rate = 1e39"));
    let (screens, code) = Terminal::start(&folder, &train("failed"), 80).watch();
    assert_eq!(code, Some(1));
    let last = screens.last().unwrap();
    assert!(!last.iter().any(|line| line.starts_with("epoch ") || line.starts_with("batch ")), "{last:?}");
    assert_says(&last.concat(), &["error: epoch 1, batch "]);
}

#[test]
fn without_a_terminal_long_epochs_have_lines_within() {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(1500, 1)));
    folder.write("train.toml", LONG_TOML.replace("epochs = 25", "epochs = 2").replace("batch = 8", "batch = 1"));
    let ran = folder.run(&[&train("run")[..], &["--log-every", "0.01"]].concat());
    let within =
        ran.stderr.lines().find(|line| line.contains("epoch 1/2, batch ")).unwrap_or_else(|| panic!("{ran:?}"));
    assert_says(
        within,
        &["run: epoch 1/2, batch ", "/900  loss ", "  |g| ", "  lr 2.0e-2  ", " seq/s  ", " left in this epoch, "],
    );
    assert!(ran.stderr.lines().any(|line| line.starts_with("run: epoch 2/2  loss ")), "{ran:?}");
    ran.succeeds();
    for (wrong, says) in [("-1", "expected seconds, from 0"), ("soon", "expected seconds, from 0")] {
        let ran: Ran = folder.run(&["train", "train.toml", &format!("--log-every={wrong}")]);
        assert_eq!(ran.code, Some(2));
        assert_says(&ran.stderr, &["--log-every", says]);
    }
}

#[test]
fn a_sweep_on_a_terminal() {
    let folder = folder();
    folder.write("train.toml", EVENTFUL.replace("epochs = 60", "epochs = 4").replace("batch = 4", "batch = 16"));
    folder.write("s.toml", "config = \"train.toml\"\n[parameters]\nmodel.hidden = { values = [[4], [6], [8]] }\n");
    let (screens, code) = Terminal::start(&folder, &["sweep", "s.toml", "--jobs", "1"], 80).watch();
    assert_eq!(code, Some(0), "{:?}", screens.last());
    let seen = |text: &str| screens.iter().flatten().any(|line| line.contains(text));
    assert!(seen("0/3 runs, 1 running") && seen("1/3 runs, 1 running  best val_loss "), "{screens:?}");
    let last = screens.last().unwrap();
    assert!(last[0].starts_with("run 0001 (1/3): val_loss ") && last[2].ends_with("; hidden [8]"), "{last:?}");
    assert!(!last.iter().any(|line| line.contains(" running")), "{last:?}");
}
