//! Writes the table of embedded models: every `NAME.ember` of the folder `EMBERLOOP_MODELS`, with the test sequences
//! `NAME.seq` where there are some, in the order of their names.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The model that is embedded when none is named.
const DEFAULT: &str = "../../models/japanese-vowels";

fn main() {
    println!("cargo:rerun-if-env-changed=EMBERLOOP_MODELS");
    let folder = env::var_os("EMBERLOOP_MODELS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT), PathBuf::from);
    println!("cargo:rerun-if-changed={}", folder.display());
    let text = table(&models(&folder));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("models.rs");
    fs::write(&out, text).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// Every image of the folder, sorted.
fn models(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    let mut models: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|name| name == "ember")).collect();
    models.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    assert!(!models.is_empty(), "{}: expected a file NAME.ember, found none; set EMBERLOOP_MODELS", folder.display());
    models
}

/// The table as Rust. `ram_words` reads each image at compile time, so that the largest sizes the network.
fn table(models: &[PathBuf]) -> String {
    let mut images = String::new();
    let mut entries = String::new();
    for (index, path) in models.iter().enumerate() {
        println!("cargo:rerun-if-changed={}", path.display());
        let length = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len();
        assert!(length >= 32, "{}: {length} bytes are no image", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(name.chars().all(plain), "{}: expected a name of letters, digits and ._-", path.display());
        let sequences = path.with_extension("seq");
        let sequences = match sequences.is_file() {
            true => {
                println!("cargo:rerun-if-changed={}", sequences.display());
                format!("Some(emberloop_image::include_image!({sequences:?}))")
            }
            false => "None".into(),
        };
        writeln!(images, "static IMAGE_{index}: &[u8] = emberloop_image::include_image!({path:?});").unwrap();
        writeln!(entries, "    Model {{ name: {name:?}, image: IMAGE_{index}, sequences: {sequences} }},").unwrap();
    }
    let names: Vec<String> = (0..models.len()).map(|index| format!("IMAGE_{index}")).collect();
    let list = names.join(", ");
    format!(
        "{images}\n\
         /// The embedded models, in the order of their names.\n\
         pub static MODELS: &[Model] = &[\n{entries}];\n\n\
         /// Words of memory that the largest of them needs.\n\
         pub const WORDS: usize = largest(&[{list}]);\n"
    )
}
