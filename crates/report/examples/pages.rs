//! Writes pages of every kind to look at: `cargo run -p emberloop-report --example pages -- FOLDER`.

#[path = "../tests/samples/mod.rs"]
mod samples;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    std::fs::create_dir_all(&folder)?;
    for (name, report) in samples::all() {
        let file = folder.join(format!("{}.html", name.replace(' ', "-")));
        let page = emberloop_report::html(&report);
        println!("{}: {} bytes", file.display(), page.len());
        std::fs::write(file, page)?;
    }
    Ok(())
}
