//! The files of `ci/image` → what a guest is made of, and the keys that change with it.

use crate::Guest;
use crate::digest::Digest;

/// Changes when the code that turns packages into a tar does.
const BOOTSTRAP: &str = "1";
/// Changes when the code that turns the tar and our files into a disk does.
const DISK: &str = "2";

const PACKAGES: &str = include_str!("../../image/packages");
const CUSTOMIZE: &str = include_str!("../../image/customize.sh");
const MASKS: &str = include_str!("../../image/masks");
const GENERATORS_OFF: &str = include_str!("../../image/generators-off");
const KERNEL_ARGUMENTS: &str = include_str!("../../image/kernel-arguments");

/// A file and the path in the guest where it goes.
pub(crate) type Placed = (&'static str, &'static str);

macro_rules! placed {
    ($tree:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../image/", $tree, "/", $path)))),*]
    };
}

const EVERYWHERE: &[Placed] = placed!("root":
    "etc/bulkhead/host.toml",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/systemd/journald.conf.d/50-bulkhead.conf",
    "etc/systemd/system/bulkhead-agent.service",
);

const TRIXIE: &[Placed] = placed!("trixie":
    "etc/ssh/sshd_config.d/50-bulkhead.conf",
);

/// What a guest is made of.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) guest: Guest,
    pub(crate) packages: Vec<&'static str>,
    pub(crate) customize: &'static str,
    pub(crate) masks: Vec<&'static str>,
    pub(crate) generators_off: Vec<&'static str>,
    pub(crate) files: Vec<Placed>,
}

impl Recipe {
    pub(crate) fn of(guest: Guest) -> Self {
        let own: &[Placed] = match guest {
            Guest::Bookworm => &[],
            Guest::Trixie => TRIXIE,
        };
        Self {
            guest,
            packages: packages(PACKAGES, guest).collect(),
            customize: CUSTOMIZE,
            masks: entries(MASKS).collect(),
            generators_off: entries(GENERATORS_OFF).collect(),
            files: [EVERYWHERE, own].concat(),
        }
    }

    /// The archives the packages come from, in the distribution's words: the release, its updates, its security fixes.
    /// All three are part of the key: with and without the security archive it is a different kernel.
    pub(crate) fn suites(&self) -> [String; 3] {
        ["", "-updates", "-security"].map(|archive| format!("{}{archive}", self.guest.suite()))
    }

    /// Changes when other packages are to be installed.
    pub(crate) fn packages_key(&self) -> String {
        let digest = Digest::new().field(BOOTSTRAP).fields(self.suites()).fields(&self.packages);
        digest.field(self.customize).to_string()
    }

    /// Changes when the disk would.
    pub(crate) fn key(&self) -> String {
        let digest = Digest::new().field(DISK).field(self.packages_key());
        let digest =
            digest.field("masks").fields(&self.masks).field("generators").fields(&self.generators_off);
        self.files.iter().fold(digest, |digest, (path, text)| digest.field(path).field(text)).to_string()
    }
}

/// The kernel command line: what follows the image into every boot, and is not on the disk.
pub(crate) fn kernel_arguments() -> String {
    entries(KERNEL_ARGUMENTS).collect::<Vec<_>>().join(" ")
}

/// The packages of a guest: a line is `NAME`, or `NAME [GUEST]`.
fn packages(list: &'static str, guest: Guest) -> impl Iterator<Item = &'static str> {
    entries(list).filter_map(move |line| match line.split_once(' ') {
        None => Some(line),
        Some((name, only)) => (only.trim() == format!("[{guest}]")).then_some(name),
    })
}

/// The lines of a list without comments and blank lines.
fn entries(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn guests_do_not_share_a_key() {
        let (bookworm, trixie) = (Recipe::of(Guest::Bookworm), Recipe::of(Guest::Trixie));
        assert_ne!(bookworm.packages_key(), trixie.packages_key());
        assert_ne!(bookworm.key(), trixie.key());
    }

    #[rstest]
    #[case::mask(|recipe: &mut Recipe| recipe.masks.push("cron.service"))]
    #[case::generator(|recipe: &mut Recipe| recipe.generators_off.push("another-generator"))]
    #[case::file(|recipe: &mut Recipe| recipe.files.push(("etc/new", "")))]
    #[case::text(|recipe: &mut Recipe| recipe.files[0].1 = "schema = 2\n")]
    fn a_changed_file_changes_the_disk_but_not_the_packages(#[case] change: fn(&mut Recipe)) {
        let before = Recipe::of(Guest::Trixie);
        let mut after = before.clone();
        change(&mut after);
        assert_ne!(before.key(), after.key());
        assert_eq!(before.packages_key(), after.packages_key());
    }

    #[rstest]
    #[case::package(|recipe: &mut Recipe| recipe.packages.push("strace"))]
    #[case::script(|recipe: &mut Recipe| recipe.customize = "true")]
    #[case::suite(|recipe: &mut Recipe| recipe.guest = Guest::Bookworm)]
    fn a_changed_package_list_changes_both(#[case] change: fn(&mut Recipe)) {
        let before = Recipe::of(Guest::Trixie);
        let mut after = before.clone();
        change(&mut after);
        assert_ne!(before.key(), after.key());
        assert_ne!(before.packages_key(), after.packages_key());
    }

    #[test]
    fn comments_are_not_part_of_a_list() {
        assert_eq!(entries("# what\na # why\n\n b\n").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_package_can_be_for_one_guest_only() {
        let list = "a\nb [trixie] # why\n";
        assert_eq!(packages(list, Guest::Trixie).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(packages(list, Guest::Bookworm).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_root_prober_is_exempt_from_ssh_penalties_only_where_sshd_knows_the_word() {
        let has = |guest| {
            Recipe::of(guest).files.iter().any(|(_, text)| text.contains("PerSourcePenaltyExemptList"))
        };
        assert!(has(Guest::Trixie) && !has(Guest::Bookworm));
    }
}
