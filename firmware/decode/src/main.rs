//! `emberloop-decode ELF < frames > lines`: decodes the defmt frames that the firmware `ELF` wrote.
//!
//! Each frame becomes one line `LEVEL message`. The program lives in the firmware's workspace because its dependencies
//! switch on features of serde_json that would change how the root workspace reads numbers.

use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;

use defmt_decoder::{DecodeError, Table};

fn main() -> ExitCode {
    match decode() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn decode() -> Result<(), String> {
    let path = std::env::args().nth(1).ok_or("usage: emberloop-decode ELF < frames")?;
    let elf = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let table = Table::parse(&elf)
        .map_err(|error| format!("{path}: {error:#}"))?
        .ok_or_else(|| format!("{path}: expected a `.defmt` section, found none"))?;

    let mut decoder = table.new_stream_decoder();
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut buffer = [0; 4096];
    loop {
        let count = input.read(&mut buffer).map_err(|error| format!("standard input: {error}"))?;
        if count == 0 {
            return output.flush().map_err(|error| format!("standard output: {error}"));
        }
        decoder.received(&buffer[..count]);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let level = frame.level().map_or("print", |level| level.as_str()).to_uppercase();
                    writeln!(output, "{level} {}", frame.display_message())
                        .map_err(|error| format!("standard output: {error}"))?;
                }
                Err(DecodeError::UnexpectedEof) => break,
                // The framing resynchronises at the next frame, but a log that lost a line is not to be trusted.
                Err(DecodeError::Malformed) => return Err("a malformed defmt frame: is this the ELF that ran?".into()),
            }
        }
        output.flush().map_err(|error| format!("standard output: {error}"))?;
    }
}
