//! Fetches peers by package name, each with its own ordinary client, below `$TMPDIR`.
//!
//! ```text
//! apt-get   mosquitto nats-server redis-server libuv1        for root only
//! npm       ws, socket.io                                    $TMPDIR/tickwire-peers/node
//! pip       socketify, which carries uWebSockets             $TMPDIR/tickwire-peers/venv
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::scratch;

/// Installs what is missing. What cannot be installed is said, and is no error: the others are measured without it.
pub(crate) fn run() -> io::Result<()> {
    let folder = scratch::installed();
    std::fs::create_dir_all(&folder)?;
    if root() && has("apt-get") {
        install_servers()?;
    } else {
        eprintln!("not root, or no apt-get: install {} yourself", SERVERS.join(", "));
    }
    let node = folder.join("node");
    std::fs::create_dir_all(&node)?;
    std::fs::write(node.join("package.json"), include_str!("servers/package.json"))?;
    let npm = ["install", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"];
    told("npm install", Command::new("npm").args(npm).current_dir(&node));
    let venv = folder.join("venv");
    if told("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
        let pip = ["install", "--quiet", "--no-deps", SOCKETIFY];
        told("pip install", Command::new(venv.join("bin/pip")).args(pip));
    }
    Ok(())
}

fn install_servers() -> io::Result<()> {
    told("apt-get update", Command::new("apt-get").args(["-qq", "update"]));
    // Without it a package would start its service, on the port that it likes.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let made = !policy.exists() && write_policy(policy).is_ok();
    // One by one: a name that a distribution does not have must not keep the others away.
    for package in SERVERS {
        let mut apt = Command::new("apt-get");
        apt.args(["-qq", "install", "-y", "--no-install-recommends", package]);
        told(&format!("apt-get install {package}"), apt.env("DEBIAN_FRONTEND", "noninteractive"));
    }
    if made { std::fs::remove_file(policy) } else { Ok(()) }
}

/// Whether a program is in the path.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    // Where Debian puts servers, for those whose path has only programs for users.
    beside || Path::new("/usr/sbin").join(program).is_file()
}

/// Where an npm package is, if it is.
pub(crate) fn node_package(name: &str) -> Option<PathBuf> {
    Some(scratch::installed().join("node/node_modules").join(name)).filter(|folder| folder.is_dir())
}

/// The library with uWebSockets in it, if it is there.
pub(crate) fn uwebsockets() -> Option<PathBuf> {
    let library = match std::env::consts::ARCH {
        "x86_64" => "libsocketify_linux_amd64.so",
        "aarch64" => "libsocketify_linux_arm64.so",
        _ => return None,
    };
    let versions = std::fs::read_dir(scratch::installed().join("venv/lib")).ok()?;
    let inside = |version: std::fs::DirEntry| version.path().join("site-packages/socketify").join(library);
    versions.flatten().map(inside).find(|path| path.is_file())
}

/// The package, with its version, that `pip` installs.
pub(crate) const SOCKETIFY: &str = "socketify==0.0.31";

fn root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

fn write_policy(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, "#!/bin/sh\nexit 101\n")?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}

/// Runs a command, and says how it ended; whether well.
fn told(name: &str, command: &mut Command) -> bool {
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match &ended {
        Ok(status) if status.success() => eprintln!("{name}: done"),
        Ok(status) => eprintln!("{name}: {status}"),
        Err(error) => eprintln!("{name}: {error}"),
    }
    ended.is_ok_and(|status| status.success())
}

/// Debian's packages; the last is what uWebSockets runs on.
const SERVERS: [&str; 4] = ["mosquitto", "nats-server", "redis-server", "libuv1"];
