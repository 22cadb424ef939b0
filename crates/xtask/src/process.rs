//! Running other programs: shown before they run, checked after.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Result;

/// The workspace's root.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub fn target_folder() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let folder = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(folder))
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Shows and runs a command with this terminal.
pub fn run(command: &mut Command) -> Result {
    eprintln!("$ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command)).into()) }
}

/// Runs a command without showing it and returns what it printed; its last error line if it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&stderr);
    let last = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("`{}` ended with {status}: {}", shown(command), last.trim()).into())
}

/// Where a program is, if it is installed.
pub fn which(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A program as root: directly, or by a sudo that asks for no password; `None` where this user may do neither.
pub fn as_root(program: &str) -> Option<Command> {
    let user = output(Command::new("id").arg("-u")).ok()?;
    if user.trim() == "0" {
        return Some(Command::new(program));
    }
    output(Command::new("sudo").args(["-n", "true"])).ok()?;
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    Some(command)
}

/// The command as one would type it elsewhere: `--data FOLDER`, and without the options in `left_out`, of which those in
/// `with_value` take the next argument.
pub fn typed(arguments: impl Iterator<Item = String>, left_out: &[&str], with_value: &[&str]) -> String {
    let mut typed = String::from("cargo xtask");
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(name, _)| (name, Some(())));
        match name {
            "--data" => typed += " --data FOLDER",
            name if left_out.contains(&name) => (),
            _ => typed = typed + " " + &argument,
        }
        if (name == "--data" || with_value.contains(&name)) && value.is_none() {
            arguments.next();
        }
    }
    typed
}
