//! `cargo xtask vulkan`: the GPU kernels on a Vulkan device. Without a GPU that is Mesa's lavapipe, a device of the CPU's: the
//! very kernels that run on CUDA are tested on any machine.

use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::Result;
use crate::process::{as_root, cargo, output, run as run_command, which};

#[derive(Args)]
pub struct Options {
    /// Install nothing: without a Vulkan device the tests are skipped, and say so
    #[arg(long)]
    no_install: bool,
}

/// Debian's names of the loader, and of Mesa's devices with lavapipe among them.
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// Where the loader looks for descriptions of devices.
const DEVICES: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let required = if has_device() || !options.no_install { "1" } else { "0" };
    if !has_device() && !options.no_install {
        install()?;
    }
    let tests = |package: &str, arguments: &[&str]| {
        let mut command = cargo();
        command.args(["test", "--package", package, "--features", "vulkan"]).args(arguments);
        run_command(command.env("EMBERLOOP_REQUIRE_VULKAN", required))
    };
    tests("emberloop-gpu", &[])?;
    // How core uses them; everything else of core is tested on the CPU.
    tests("emberloop-core", &["--lib", "vulkan"])
}

/// The loader, and lavapipe's description: a driver without its GPU would be described, too.
fn has_device() -> bool {
    let described = DEVICES.iter().any(|folder| {
        let entries = Path::new(folder).read_dir();
        entries
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("lvp_icd")))
    });
    let loader =
        output(Command::new("ldconfig").arg("-p")).or_else(|_| output(Command::new("/sbin/ldconfig").arg("-p")));
    described && loader.is_ok_and(|libraries| libraries.contains("libvulkan.so.1"))
}

fn install() -> Result {
    let by_hand = format!("install {} (Debian's names), or pass --no-install", PACKAGES.join(" and "));
    let apt = || as_root("apt-get").filter(|_| which("apt-get").is_some());
    let Some(update) = apt() else { return Err(format!("no Vulkan device: {by_hand}").into()) };
    let quietly = |mut command: Command, arguments: &[&str]| {
        command.args(["-o", "DPkg::Lock::Timeout=600", "-qq"]).args(arguments);
        run_command(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    quietly(update, &["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(PACKAGES);
    match apt() {
        Some(install) => quietly(install, &arguments),
        None => Err(by_hand.into()),
    }
}
