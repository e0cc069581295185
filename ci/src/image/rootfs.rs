//! A package list → a tar of an installed Debian, by mmdebstrap.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::LabError;
use crate::event::{Event, Listener};

use super::recipe::Recipe;
use super::tool;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Makes `rootfs.tar` in a directory.
pub(crate) fn build(recipe: &Recipe, into: &Path, on: Listener<'_>) -> Result<(), LabError> {
    let guest = recipe.guest;
    let customize = into.join("customize.sh");
    fs::write(&customize, recipe.customize).map_err(LabError::file("write", &customize))?;
    let mut command = Command::new("mmdebstrap");
    command.args(arguments(recipe, &customize, &into.join("rootfs.tar"), &sources(recipe)));
    on(Event::ImageBuild { guest, step: "packages", line: "" });
    tool::run("mmdebstrap", "packages", &mut command, |line| {
        on(Event::ImageBuild { guest, step: "packages", line });
    })
}

fn arguments(recipe: &Recipe, customize: &Path, tar: &Path, sources: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--variant=minbase",
        "--format=tar",
        // The bare hook script is a file name with arguments of its own.
        &format!("--customize-hook=sh {} \"$1\"", customize.display()),
        &format!("--include={}", recipe.packages.join(",")),
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        // The kernel package would build an initrd, which takes longer than the whole rest of its installation.
        "--essential-hook=mkdir -p \"$1/etc/initramfs-tools\" && echo update_initramfs=no >\"$1/etc/initramfs-tools/update-initramfs.conf\"",
        "--dpkgopt=force-confold",
    ]
    .map(str::to_owned)
    .into();
    if Path::new(KEYRING).exists() {
        arguments.push(format!("--keyring={KEYRING}"));
    }
    arguments.push(recipe.guest.suite().to_owned());
    arguments.push(tar.display().to_string());
    arguments.extend_from_slice(sources);
    arguments
}

/// The machine's own mirrors, when it is a Debian; none means mmdebstrap's default.
fn sources(recipe: &Recipe) -> Vec<String> {
    let is_debian =
        fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"));
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"])
        .output();
    match targets {
        Ok(targets) if is_debian => derive_sources(recipe, &String::from_utf8_lossy(&targets.stdout)),
        _ => Vec::new(),
    }
}

/// One source line for each of the recipe's suites, if the machine has the same for its own release.
fn derive_sources(recipe: &Recipe, targets: &str) -> Vec<String> {
    let uri_of = |archive: &str| {
        targets.lines().find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [kind, uri, release, component] = fields[..] else { return None };
            // bookworm → "", bookworm-security → "-security", bookworm/updates (before Debian 11) → neither
            let suffix = release.find(['-', '/']).map_or("", |at| &release[at..]);
            (kind == "Packages" && component == "main" && suffix == archive).then(|| uri.to_owned())
        })
    };
    let Some(release) = uri_of("") else { return Vec::new() };
    let Some(security) = uri_of("-security") else { return Vec::new() };
    let updates = uri_of("-updates").unwrap_or_else(|| release.clone());
    let uris = [release, updates, security];
    recipe.suites().iter().zip(uris).map(|(suite, uri)| format!("deb {uri} {suite} main")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Guest;

    #[test]
    fn a_guest_comes_from_the_mirrors_that_the_machine_itself_uses() {
        let targets = "Packages http://mirror/debian/ bookworm-updates main\n\
                       DEP-11 http://mirror/debian/ bookworm main\n\
                       Packages http://extra/ stable main extra\n\
                       Packages http://mirror/debian/ bookworm main\n\
                       Packages http://security/ bookworm-security main\n";
        assert_eq!(
            derive_sources(&Recipe::of(Guest::Trixie), targets),
            [
                "deb http://mirror/debian/ trixie main",
                "deb http://mirror/debian/ trixie-updates main",
                "deb http://security/ trixie-security main",
            ]
        );
    }

    #[test]
    fn without_a_mirror_for_every_suite_the_default_is_used_for_all() {
        let targets = "Packages http://mirror/debian/ bookworm main\n";
        assert_eq!(derive_sources(&Recipe::of(Guest::Trixie), targets), Vec::<String>::new());
    }

    #[test]
    fn the_archive_arguments_come_last() {
        let recipe = Recipe::of(Guest::Bookworm);
        let arguments =
            arguments(&recipe, Path::new("/c"), Path::new("/t.tar"), &["deb u bookworm main".into()]);
        assert_eq!(arguments[arguments.len() - 3..], ["bookworm", "/t.tar", "deb u bookworm main"]);
        assert!(arguments.iter().any(|argument| argument.starts_with("--include=linux-image-cloud-amd64,")));
    }
}
