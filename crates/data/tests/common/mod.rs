//! Files made for a test, in a folder that goes away with it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};

use emberloop_data::{DataConfig, DataError, Splits, load};
use npyz::WriterBuilder;

/// A temporary folder of data files.
pub struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn with(self, name: &str, contents: impl AsRef<[u8]>) -> Folder {
        std::fs::write(self.path().join(name), contents).unwrap();
        self
    }

    /// Loads a `[data]` table.
    pub fn load(&self, table: &str) -> Result<Splits, DataError> {
        load(&config(table), self.path(), 1)
    }

    /// The one line that loading a `[data]` table fails with, the folder cut off.
    pub fn error(&self, table: &str) -> String {
        self.shorten(&self.load(table).expect_err("loading it should fail"))
    }

    pub fn shorten(&self, error: &DataError) -> String {
        let message = error.to_string();
        assert!(!message.contains('\n'), "more than one line: {message}");
        message.replace(&format!("{}/", self.path().display()), "")
    }
}

pub fn config(table: &str) -> DataConfig {
    toml::from_str(table).unwrap()
}

/// The data of the worked example.
pub fn vowels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/japanese-vowels")
}

/// An NPZ under construction.
pub struct Npz {
    archive: zip::ZipWriter<std::io::Cursor<Vec<u8>>>,
}

impl Npz {
    pub fn new() -> Npz {
        Npz { archive: zip::ZipWriter::new(std::io::Cursor::new(Vec::new())) }
    }

    pub fn with<T: npyz::AutoSerialize + Clone>(self, name: &str, shape: &[u64], items: &[T]) -> Npz {
        self.with_bytes(name, &npy(shape, items), zip::CompressionMethod::Deflated)
    }

    /// As `numpy.savez` writes it: not compressed.
    pub fn stored<T: npyz::AutoSerialize + Clone>(self, name: &str, shape: &[u64], items: &[T]) -> Npz {
        self.with_bytes(name, &npy(shape, items), zip::CompressionMethod::Stored)
    }

    /// A member, which need not be an array.
    pub fn with_bytes(mut self, name: &str, bytes: &[u8], compression: zip::CompressionMethod) -> Npz {
        let options = zip::write::SimpleFileOptions::default().compression_method(compression);
        self.archive.start_file(format!("{name}.npy"), options).unwrap();
        self.archive.write_all(bytes).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.archive.finish().unwrap().into_inner()
    }
}

/// The bytes of a `.npy` file in Fortran order, of items that are in that order.
pub fn fortran_npy<T: npyz::AutoSerialize + Clone>(shape: &[u64], items: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(npyz::Order::Fortran);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(items.iter().cloned()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The bytes of a `.npy` file.
pub fn npy<T: npyz::AutoSerialize + Clone>(shape: &[u64], items: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(items.iter().cloned()).unwrap();
    writer.finish().unwrap();
    bytes
}
