//! What a firmware takes of the chip's memories, and what it calls, read from its ELF file.

use std::fs;
use std::path::Path;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile32, ProgramHeader as _};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::{BoardError, Memory};

/// Bytes that a firmware takes before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Flash: code, constants, models, and the initial values of variables.
    pub flash: u64,
    /// RAM of variables; the stack comes on top.
    pub ram: u64,
}

/// Reads the footprint of the ELF file at `path` on a board with this memory.
///
/// # Errors
/// [`BoardError::File`] or [`BoardError::Elf`].
pub fn footprint(path: &Path, memory: &Memory) -> Result<Footprint, BoardError> {
    read(path, |elf| {
        let endian = elf.endian();
        // What is loaded has bytes in the file; variables without an initial value have none.
        let loaded = elf.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
        let flash = loaded.map(|header| u64::from(header.p_filesz(endian))).sum();

        let ram = memory.ram.origin..memory.ram.origin + memory.ram.length;
        // riscv-rt marks the rest of the RAM as sections of their own, for the heap and the stack.
        let is_rest = |name: &str| matches!(name, ".heap" | ".stack");
        let variables = elf.sections().filter(|section| ram.contains(&section.address()));
        let variables = variables.filter(|section| !section.name().is_ok_and(is_rest));
        Ok(Footprint { flash, ram: variables.map(|section| section.size()).sum() })
    })
}

/// The functions of the ELF file at `path` that a panic goes through, demangled and sorted; none where nothing that is
/// linked can panic.
///
/// Every panic of Rust calls `core::panicking`, whose functions are never inlined, and that calls the panic handler.
///
/// # Errors
/// [`BoardError::File`]; [`BoardError::Elf`] too if the file has no symbols of functions, which would hide them.
pub fn panic_paths(path: &Path) -> Result<Vec<String>, BoardError> {
    read(path, |elf| {
        let functions = elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        let names: Vec<String> = functions
            .filter_map(|symbol| Some(format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?))))
            .collect();
        if names.is_empty() {
            return Err("expected symbols of functions, found none".into());
        }
        let is_panic = |name: &String| name.contains("core::panicking::") || name.contains("rust_begin_unwind");
        let mut panics: Vec<String> = names.into_iter().filter(is_panic).collect();
        panics.sort();
        panics.dedup();
        Ok(panics)
    })
}

/// Reads something of an ELF file.
fn read<T>(path: &Path, what: impl FnOnce(&ElfFile32<'_, Endianness>) -> Result<T, String>) -> Result<T, BoardError> {
    let bytes = fs::read(path).map_err(|source| BoardError::File { path: path.into(), source })?;
    let elf = ElfFile32::<Endianness>::parse(&*bytes).map_err(|error| error.to_string());
    elf.and_then(|elf| what(&elf)).map_err(|message| BoardError::Elf { path: path.into(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Region;

    #[test]
    fn a_file_that_is_no_elf_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"no ELF").unwrap();
        let region = Region { origin: 0x2000_0000, length: 1024 };
        let error = footprint(file.path(), &Memory { flash: region, ram: region }).unwrap_err();
        assert!(matches!(error, BoardError::Elf { .. }), "{error}");
    }
}
