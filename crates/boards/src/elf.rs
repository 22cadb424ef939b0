//! What a firmware takes of the chip's memories, read from its ELF file.

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
    /// The part of the flash that is the engine's and the image reader's functions and tables, where they have a symbol
    /// of their own; what the compiler inlined into the application is not in it.
    pub engine: u64,
    /// RAM of variables; the stack comes on top.
    pub ram: u64,
}

/// The crates that a user's own firmware links; their names are in the mangled symbols.
const ENGINE_CRATES: [&str; 3] = ["emberloop_engine", "emberloop_image", "emberloop_cells"];

/// Reads the footprint of the ELF file at `path` on a board with this memory.
///
/// # Errors
/// [`BoardError::File`] or [`BoardError::Elf`].
pub fn footprint(path: &Path, memory: &Memory) -> Result<Footprint, BoardError> {
    let bytes = fs::read(path).map_err(|source| BoardError::File { path: path.into(), source })?;
    let wrong = |message: String| BoardError::Elf { path: path.into(), message };
    let elf = ElfFile32::<Endianness>::parse(&*bytes).map_err(|error| wrong(error.to_string()))?;
    let endian = elf.endian();

    // What is loaded has bytes in the file; variables without an initial value have none.
    let loaded = elf.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
    let flash = loaded.map(|header| u64::from(header.p_filesz(endian))).sum();

    let ram = memory.ram.origin..memory.ram.origin + memory.ram.length;
    // riscv-rt marks the rest of the RAM as sections of their own, for the heap and the stack.
    let is_rest = |name: &str| matches!(name, ".heap" | ".stack");
    let variables = elf.sections().filter(|section| ram.contains(&section.address()));
    let variables = variables.filter(|section| !section.name().is_ok_and(is_rest)).map(|section| section.size()).sum();

    let engine = elf.symbols().filter(|symbol| {
        matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data)
            && !ram.contains(&symbol.address())
            && symbol.name().is_ok_and(|name| ENGINE_CRATES.iter().any(|engine| name.contains(engine)))
    });
    let engine = engine.map(|symbol| symbol.size()).sum();
    Ok(Footprint { flash, engine, ram: variables })
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
