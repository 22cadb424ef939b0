//! QEMU: the emulators of the boards.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::process::{as_root, output, run, which};

/// The emulators that the boards need.
pub const PROGRAMS: [&str; 2] = ["qemu-system-arm", "qemu-system-riscv32"];

/// From this version on the plugin that counts instructions sees all of them.
const COUNTING: Version = Version { major: 9, minor: 1 };

/// An emulator's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Whether its instruction counts can be trusted.
    pub fn counts_instructions(self) -> bool {
        self >= COUNTING
    }

    /// Reads the first line of `qemu-system-arm --version`.
    fn parse(text: &str) -> Option<Self> {
        let number = text.split_once("version ")?.1;
        let mut parts = number.split(|c: char| !c.is_ascii_digit());
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QEMU {}.{}", self.major, self.minor)?;
        if !self.counts_instructions() {
            write!(f, " (too old to count instructions: that takes {}.{})", COUNTING.major, COUNTING.minor)?;
        }
        Ok(())
    }
}

/// The version of an emulator, if it is installed.
pub fn version(program: &str) -> Option<Version> {
    which(program)?;
    Version::parse(&output(Command::new(program).arg("--version")).ok()?)
}

/// Installs the emulators that are missing, where this user may; else the error says how.
pub fn install_missing() -> Result {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| version(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("to install: {}", missing.join(", "));
    if which("apt-get").is_none() || as_root("apt-get").is_none() {
        return Err(format!("{} not installed: {}", missing.join(", "), how_to_install()).into());
    }
    Apt::new()?.install()?;
    match PROGRAMS.into_iter().find(|program| version(program).is_none()) {
        None => Ok(()),
        Some(program) => Err(format!("`{program}` is still not there: {}", how_to_install()).into()),
    }
}

/// The command that a person types.
pub fn how_to_install() -> String {
    let managers = [
        ("apt-get", "sudo apt-get install qemu-system-arm qemu-system-misc"),
        ("dnf", "sudo dnf install qemu-system-arm qemu-system-riscv"),
        ("pacman", "sudo pacman -S qemu-system-arm qemu-system-riscv"),
        ("brew", "brew install qemu"),
    ];
    let found = managers.into_iter().find(|(program, _)| which(program).is_some());
    found.map_or_else(|| "install QEMU from qemu.org".into(), |(_, command)| format!("`{command}`"))
}

/// apt-get with the options for this system.
struct Apt {
    options: Vec<String>,
    release: Option<&'static str>,
    /// Holds the sources with the backports until the installation is through.
    _sources: Option<tempfile::TempDir>,
}

impl Apt {
    /// Debian 12's own QEMU is 7.2, which loses instructions that straddle a page, and replaces newer packages; there
    /// the backports of the same archive are used. `/etc/apt` stays as it is.
    fn new() -> Result<Self> {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mut apt = Self { options: vec!["DPkg::Lock::Timeout=600".into()], release: None, _sources: None };
        if release.contains("VERSION_CODENAME=bookworm") && release.contains("\nID=debian") {
            let folder = tempfile::tempdir()?;
            apt.options.extend(backports(folder.path())?);
            apt.release = Some("bookworm-backports");
            apt._sources = Some(folder);
        }
        Ok(apt)
    }

    fn install(&self) -> Result {
        run(self.command(&["-qq", "update"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
        // Older systems keep the RISC-V emulator among the miscellaneous ones.
        let known = output(Command::new("apt-cache").args(["show", "qemu-system-riscv"])).is_ok();
        let riscv = if known || self.release.is_some() { "qemu-system-riscv" } else { "qemu-system-misc" };
        let mut arguments = vec!["-qq", "install", "-y", "--no-install-recommends"];
        if let Some(release) = self.release {
            arguments.extend(["-t", release]);
        }
        arguments.extend(["qemu-system-arm", riscv]);
        run(self.command(&arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = as_root("apt-get").unwrap_or_else(|| Command::new("apt-get"));
        for option in &self.options {
            command.args(["-o", option]);
        }
        command.args(arguments);
        command
    }
}

/// Copies the system's sources with the backports added, and returns the options that make apt use them.
fn backports(folder: &Path) -> Result<Vec<String>> {
    let parts = folder.join("parts");
    fs::create_dir_all(folder.join("lists/partial"))?;
    fs::create_dir_all(&parts)?;
    for entry in fs::read_dir("/etc/apt/sources.list.d")?.flatten() {
        if let Ok(text) = fs::read_to_string(entry.path()) {
            fs::write(parts.join(entry.file_name()), with_backports(&text))?;
        }
    }
    if let Ok(text) = fs::read_to_string("/etc/apt/sources.list") {
        fs::write(parts.join("system.list"), with_backports(&text))?;
    }
    open_to_apt(folder)?;
    Ok(vec![
        "Dir::Etc::sourcelist=/dev/null".into(),
        format!("Dir::Etc::sourceparts={}", parts.display()),
        format!("Dir::State::lists={}", folder.join("lists").display()),
        "Dir::Cache::pkgcache=".into(),
        "Dir::Cache::srcpkgcache=".into(),
    ])
}

/// Adds the backports to every source of the release itself, in both of apt's notations.
fn with_backports(text: &str) -> String {
    let mut result = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first() {
            Some(&"Suites:") if words.contains(&"bookworm") && !words.contains(&"bookworm-backports") => {
                result.push_str(&format!("{line} bookworm-backports\n"));
            }
            Some(&"deb") if words.contains(&"bookworm") => {
                result.push_str(&format!("{line}\n{}\n", line.replace(" bookworm ", " bookworm-backports ")));
            }
            _ => result.push_str(&format!("{line}\n")),
        }
    }
    result
}

/// apt reads its sources as a user of its own, and a temporary folder is closed to others.
#[cfg(unix)]
fn open_to_apt(folder: &Path) -> Result {
    use std::os::unix::fs::PermissionsExt;
    for path in [folder.to_path_buf(), folder.join("parts"), folder.join("lists")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// There is no apt elsewhere.
#[cfg(not(unix))]
fn open_to_apt(_: &Path) -> Result {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let version = Version::parse("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n").unwrap();
        assert_eq!(version, Version { major: 10, minor: 0 });
        assert!(version.counts_instructions());
        assert!(!Version::parse("QEMU emulator version 9.0.4").unwrap().counts_instructions());
        assert!(Version::parse("QEMU emulator version 9.1.0").unwrap().counts_instructions());
        assert_eq!(Version::parse("something else"), None);
    }

    #[test]
    fn backports_are_added_to_both_notations() {
        let text = "Types: deb\nSuites: bookworm bookworm-updates\nSuites: bookworm-security\n";
        let expected = "Types: deb\nSuites: bookworm bookworm-updates bookworm-backports\nSuites: bookworm-security\n";
        assert_eq!(with_backports(text), expected);
        let line = "deb http://mirror bookworm main";
        assert_eq!(with_backports(line), format!("{line}\ndeb http://mirror bookworm-backports main\n"));
    }
}
