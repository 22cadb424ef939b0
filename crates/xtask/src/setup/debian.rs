//! The way to a bare-metal target where rustup can fetch nothing but Debian's packages can be had: the compiler of
//! `rustc-web`, and `core` and `alloc` built from `rust-web-src`, which is of the same version. (The compiler in use and
//! that source are not: `core` compiles with its own version of the compiler only.)
//!
//! Everything goes into the cache folder; nothing is installed system-wide.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use emberloop_boards::Toolchain;

use crate::Result;
use crate::process::{as_root, cargo, output, run, which};

/// Builds a toolchain with these targets in the cache folder, or adds the missing ones to the one that is there.
pub fn install(targets: &[String]) -> Result {
    if which("apt-get").is_none() || which("dpkg-deb").is_none() {
        let targets = targets.join(" ");
        return Err(
            format!("this machine has neither a rustup that works nor apt: `rustup target add {targets}`").into()
        );
    }
    let begin = Instant::now();
    let usr = Toolchain::cached_folder();
    if rustc_works(&usr) {
        println!("Debian's compiler is in {}", usr.display());
    } else {
        fetch(&usr)?;
    }
    refresh_links()?;
    if !rustc_works(&usr) {
        install_what_it_needs()?;
    }
    println!("building core and alloc for {} (about a minute each)", targets.join(", "));
    build_libraries(&usr, targets)?;
    println!("{} is ready after {} s", usr.display(), begin.elapsed().as_secs());
    Ok(())
}

/// Makes the cached toolchain, if there is one, point to the linker of the toolchain in use: Debian's has none.
pub fn refresh_links() -> Result {
    let usr = Toolchain::cached_folder();
    if !usr.join("bin/rustc").is_file() {
        return Ok(());
    }
    let host = host()?;
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let programs = PathBuf::from("lib/rustlib").join(&host).join("bin");
    link(&Path::new(sysroot.trim()).join(&programs).join("rust-lld"), &usr.join(&programs).join("rust-lld"))?;
    // The compiler looks for its libraries in `lib`; Debian keeps them one level deeper.
    for entry in fs::read_dir(libraries(&usr)?)?.flatten() {
        if entry.file_name().to_string_lossy().contains(".so") {
            link(&entry.path(), &usr.join("lib").join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Unpacks the packages into the folder.
fn fetch(usr: &Path) -> Result {
    let folder = usr.parent().ok_or("the cache folder has no parent")?;
    println!("fetching Debian's rustc-web into {} (about 700 MB)", folder.display());
    if folder.exists() {
        // Half-unpacked by a run that was ended.
        fs::remove_dir_all(folder)?;
    }
    let packages_folder = folder.join("packages");
    fs::create_dir_all(&packages_folder)?;
    let packages = packages()?;
    let mut download = Command::new("apt-get");
    // apt would drop its privileges to a user that may not write here.
    download.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(&packages);
    run(download.current_dir(&packages_folder))?;
    for entry in fs::read_dir(&packages_folder)?.flatten() {
        unpack(&entry.path(), folder)?;
    }
    fs::remove_dir_all(&packages_folder)?;
    Ok(())
}

/// The packages to download; two of them carry their version in the name, which the others' dependencies tell.
fn packages() -> Result<Vec<String>> {
    let depends = |packages: &[&str]| output(Command::new("apt-cache").arg("depends").args(packages));
    let mut tree = depends(&["rustc-web", "libstd-rust-web-dev"]);
    if !tree.as_ref().is_ok_and(|tree| tree.contains("libstd-rust-web")) {
        // A new machine knows no packages yet.
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        tree = depends(&["rustc-web", "libstd-rust-web-dev"]);
    }
    let standard_library = dependency(&tree?, |name| is_versioned(name, "libstd-rust-web-"))?;
    let llvm = dependency(&depends(&[&standard_library])?, |name| is_versioned(name, "libllvm"))?;
    let fixed = ["rustc-web", "rust-web-src", "libstd-rust-web-dev"].map(String::from);
    Ok(fixed.into_iter().chain([standard_library, llvm]).collect())
}

/// The first package in `apt-cache depends`'s answer that fits.
fn dependency(tree: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
    let names = tree.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let found = names.map(str::trim).find(|name| fits(name));
    found.map(String::from).ok_or_else(|| "this Debian has no package rustc-web; rustup is the only way here".into())
}

fn is_versioned(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Of the sources, only the library and what it vendors; of the others, everything.
fn unpack(package: &Path, folder: &Path) -> Result {
    let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.starts_with("rust-web-src_") {
        return run(Command::new("dpkg-deb").arg("-x").arg(package).arg(folder));
    }
    let mut archive =
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(std::process::Stdio::piped()).spawn()?;
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(folder).args(["--wildcards", "./usr/src/rustc-*/library", "./usr/lib/rustlib/src*"]);
    if let Some(stdout) = archive.stdout.take() {
        tar.stdin(stdout);
    }
    let unpacked = tar.status()?;
    let read = archive.wait()?;
    if unpacked.success() && read.success() { Ok(()) } else { Err(format!("{name} cannot be unpacked").into()) }
}

/// Builds `core`, `alloc` and `compiler_builtins` and puts them where the compiler looks for a target's libraries.
fn build_libraries(usr: &Path, targets: &[String]) -> Result {
    let source = usr.join("lib/rustlib/src/rust/library");
    let work = tempfile::tempdir_in(usr)?;
    fs::create_dir(work.path().join("src"))?;
    fs::write(work.path().join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(
        work.path().join("Cargo.toml"),
        "[package]\nname = \"libraries\"\nversion = \"0.0.0\"\nedition = \"2021\"\n",
    )?;

    let mut command = cargo();
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PROFILE")) {
        command.env_remove(name);
    }
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET").env_remove("RUSTC_WRAPPER");
    command.current_dir(work.path()).args(["build", "--quiet", "--release"]);
    // `core`'s own dependencies come with the sources, so that nothing is downloaded.
    command.args(["--config", "source.crates-io.replace-with=\"vendor\"", "--config"]);
    command.arg(format!("source.vendor.directory={:?}", source.join("vendor")));
    command.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
    for target in targets {
        command.args(["--target", target]);
    }
    command.env("RUSTC", usr.join("bin/rustc")).env("LD_LIBRARY_PATH", usr.join("lib"));
    // Building the standard library is an unstable feature of cargo; the firmware itself uses none.
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", work.path().join("target"));
    // With its bitcode, or a firmware with link-time optimisation could not take it in.
    let remap = format!("--remap-path-prefix={}=/rustc/src", usr.join("lib/rustlib/src/rust").display());
    command.env("RUSTFLAGS", format!("-Cembed-bitcode=yes {remap}"));
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "0").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3");
    run(&mut command)?;

    for target in targets {
        let built = work.path().join("target").join(target).join("release/deps");
        let destination = usr.join("lib/rustlib").join(target).join("lib");
        fs::create_dir_all(&destination)?;
        // `core` last: it is what tells that the target is there.
        for library in ["libcompiler_builtins-", "liballoc-", "libcore-"] {
            copy_libraries(&built, &destination, library)?;
        }
    }
    Ok(())
}

fn copy_libraries(from: &Path, to: &Path, prefix: &str) -> Result {
    let mut copied = 0;
    for entry in fs::read_dir(from)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) && name.ends_with(".rlib") {
            let temporary = to.join(format!("{name}.tmp"));
            fs::copy(entry.path(), &temporary)?;
            fs::rename(temporary, to.join(name))?;
            copied += 1;
        }
    }
    if copied == 1 {
        Ok(())
    } else {
        Err(format!("{}: expected one {prefix}*.rlib, found {copied}", from.display()).into())
    }
}

/// What the unpacked compiler needs of the system; there on most machines.
fn install_what_it_needs() -> Result {
    const LIBRARIES: [&str; 6] = ["libedit2", "libffi8", "libxml2", "libz3-4", "libzstd1", "zlib1g"];
    let arguments = ["-qq", "install", "-y", "--no-install-recommends"];
    let Some(mut command) = as_root("apt-get") else {
        return Err(format!("the compiler lacks libraries: `sudo apt-get install {}`", LIBRARIES.join(" ")).into());
    };
    run(command.args(arguments).args(LIBRARIES).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn rustc_works(usr: &Path) -> bool {
    let mut command = Command::new(usr.join("bin/rustc"));
    let source = usr.join("lib/rustlib/src/rust/library/core");
    source.exists() && output(command.arg("--version").env("LD_LIBRARY_PATH", usr.join("lib"))).is_ok()
}

/// The folder with the compiler's shared libraries, named after the machine's architecture.
fn libraries(usr: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(usr.join("lib"))?.flatten().map(|entry| entry.path());
    let mut folders = entries.filter(|path| path.is_dir());
    let found = folders.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-gnu")));
    found.ok_or_else(|| format!("{}: the compiler's libraries are not there", usr.display()).into())
}

/// The triple of this machine.
fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).ok_or_else(|| "`rustc -vV` names no host".into())
}

fn link(original: &Path, link: &Path) -> Result {
    if fs::read_link(link).is_ok_and(|found| found == original) {
        return Ok(());
    }
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder)?;
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link)?;
    }
    symlink(original, link).map_err(|error| format!("{}: {error}", link.display()).into())
}

#[cfg(unix)]
fn symlink(original: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

/// Never reached: without apt there is nothing to link.
#[cfg(not(unix))]
fn symlink(original: &Path, link: &Path) -> std::io::Result<()> {
    fs::copy(original, link).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_with_a_version_in_its_name_is_found() {
        let tree = "rustc-web\n  Depends: libc6\n |Depends: libstd-rust-web-dev\n  Depends: libstd-rust-web-1.96\n";
        assert_eq!(dependency(tree, |name| is_versioned(name, "libstd-rust-web-")).unwrap(), "libstd-rust-web-1.96");
        assert!(dependency(tree, |name| is_versioned(name, "libllvm")).is_err());
    }

    #[test]
    fn a_link_is_replaced_and_then_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("bin/linker");
        for original in ["first", "second", "second"] {
            let original = folder.path().join(original);
            link(&original, &place).unwrap();
            assert_eq!(fs::read_link(&place).unwrap(), original);
        }
    }
}
