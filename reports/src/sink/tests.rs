//! Its tests: files, links, devices, FIFOs and sockets that stay what they were, and disks that are full.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{geteuid, mkfifo};
use rstest::rstest;
use tempfile::TempDir;

use super::place::stream;
use super::*;
use crate::{samples, terminal};

fn scene() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    (directory, path)
}

fn json(path: &Path) -> Target {
    Target { kind: Kind::Json, path: Some(path.to_owned()) }
}

fn report() -> String {
    render(&samples::mixed(), Kind::Json, Options::default())
}

fn written(path: &Path) -> Result<(), WriteError> {
    let mut stdout = Vec::new();
    let ended = write(&samples::mixed(), &json(path), &mut stdout, Options::default());
    assert!(stdout.is_empty());
    ended
}

fn refused(path: &Path) -> String {
    let error = open(&[json(path)]).unwrap_err();
    error.to_string().replace(&path.display().to_string(), "PATH")
}

fn names(directory: &TempDir) -> usize {
    fs::read_dir(directory.path()).unwrap().count()
}

#[rstest]
fn standard_output_gets_exactly_the_report(
    #[values(Kind::Terminal, Kind::Markdown, Kind::Json, Kind::Junit)] kind: Kind,
) {
    let report = samples::mixed();
    let mut stdout = Vec::new();
    write(&report, &Target { kind, path: None }, &mut stdout, Options::default()).unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), render(&report, kind, Options::default()));
}

#[test]
fn a_file_is_replaced_whole_plain_and_alone() {
    let (directory, path) = scene();
    fs::write(&path, "old").unwrap();
    let target = Target { kind: Kind::Terminal, path: Some(path.clone()) };
    let coloured = Options { width: 80, color: Color::Ansi };
    write(&samples::mixed(), &target, &mut Vec::new(), coloured).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, terminal::render(&samples::mixed(), Options::default()));
    assert_eq!(names(&directory), 1);
}

#[test]
fn a_replaced_file_keeps_its_owner_and_mode() {
    let (_directory, path) = scene();
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let owner = if geteuid().is_root() { 1234 } else { geteuid().as_raw() };
    std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
    let old = fs::metadata(&path).unwrap();
    written(&path).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode()), (owner, old.gid(), old.mode()));
    assert_ne!(found.ino(), old.ino(), "in one step: another file took its place");
    assert_eq!(fs::read_to_string(&path).unwrap(), report());
}

#[rstest]
#[case::to_a_file(true)]
#[case::to_nothing_yet(false)]
fn a_link_stays_and_what_it_points_to_is_written(#[case] there: bool) {
    let (directory, path) = scene();
    let real = directory.path().join("real");
    if there {
        fs::write(&real, "old").unwrap();
    }
    symlink("real", &path).unwrap();
    written(&path).unwrap();
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("real"));
    assert_eq!(fs::read_to_string(&real).unwrap(), report());
    assert_eq!(names(&directory), 2);
}

#[rstest]
#[case::shorter("x")]
#[case::longer(&"x".repeat(1 << 20))]
fn a_file_with_two_names_keeps_both(#[case] old: &str) {
    let (directory, path) = scene();
    let other = directory.path().join("other");
    fs::write(&path, old).unwrap();
    fs::hard_link(&path, &other).unwrap();
    written(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), fs::metadata(&other).unwrap().ino());
    assert_eq!(fs::read_to_string(&other).unwrap(), report());
    assert_eq!(names(&directory), 2);
}

#[test]
fn a_device_is_written_into_and_stays() {
    let (directory, path) = scene();
    // The numbers of /dev/null and /dev/full.
    let made = |path: &Path, minor| {
        mknod(path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, nix::sys::stat::makedev(1, minor))
    };
    let full = directory.path().join("full");
    let own = made(&path, 3).and_then(|()| made(&full, 7)).is_ok() && stream(&path).is_ok();
    let (null, full) = match own {
        true => (path, full),
        // Who may not make devices may not replace those of the machine either.
        false if !geteuid().is_root() => ("/dev/null".into(), "/dev/full".into()),
        false => return eprintln!("skipped: devices in {} cannot be used", path.display()),
    };
    written(&null).unwrap();
    let error = written(&full).unwrap_err();
    assert!(matches!(error, WriteError::File { .. }), "{error}");
    for device in [null, full] {
        assert!(fs::symlink_metadata(device).unwrap().file_type().is_char_device());
    }
}

#[test]
fn a_fifo_is_written_into_where_somebody_reads_and_refused_where_nobody_does() {
    let (_directory, path) = scene();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    insta::assert_snapshot!(refused(&path), @"report PATH cannot be written: it is a FIFO without a reader; start the reader first");
    let from = path.clone();
    let reader = thread::spawn(move || fs::read_to_string(from).unwrap());
    let mut sinks = loop {
        if let Ok(sinks) = open(&[json(&path)]) {
            break sinks;
        }
        thread::yield_now();
    };
    sinks[0].write(&samples::mixed(), &mut Vec::new(), Options::default()).unwrap();
    drop(sinks);
    assert_eq!(reader.join().unwrap(), report());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
}

#[test]
fn a_socket_gets_the_report() {
    let (_directory, path) = scene();
    let listener = UnixListener::bind(&path).unwrap();
    let reader = thread::spawn(move || io::read_to_string(listener.accept().unwrap().0).unwrap());
    written(&path).unwrap();
    assert_eq!(reader.join().unwrap(), report());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let (directory, _) = scene();
    let missing = directory.path().join("reports");
    let error = open(&[json(&missing.join("r.json"))]).unwrap_err();
    assert!(matches!(&error, OpenError::NoDirectory { directory, .. } if *directory == missing));
    assert!(error.to_string().ends_with("cannot be written: create it first"), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_directory_is_no_place_for_a_report() {
    let (directory, path) = scene();
    fs::create_dir(&path).unwrap();
    insta::assert_snapshot!(refused(&path), @"report PATH cannot be written: it is a directory; name a file in it");
    assert_eq!(names(&directory), 1);
}

#[test]
fn what_may_not_be_written_is_known_before() {
    // No one may make files there.
    let error = open(&[json(Path::new("/proc/no-report"))]).unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
    if geteuid().is_root() {
        return eprintln!("partly skipped: root may write what nobody may");
    }
    let (_directory, path) = scene();
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let error = open(&[json(&path)]).unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
}

#[test]
fn two_reports_never_share_a_file_by_whatever_names() {
    let (directory, path) = scene();
    let link = directory.path().join("link");
    symlink("report", &link).unwrap();
    for there in [false, true] {
        if there {
            fs::write(&path, "old").unwrap();
        }
        for second in [&path, &link, &directory.path().join(".").join("report")] {
            let error = open(&[json(&path), json(second)]).unwrap_err();
            assert!(matches!(error, OpenError::Twice { .. }), "{error}");
        }
    }
    assert_eq!(open(&[json(&path), json(&directory.path().join("other"))]).unwrap().len(), 2);
}

#[test]
fn looking_at_a_place_changes_nothing() {
    let (directory, path) = scene();
    fs::write(&path, "old").unwrap();
    let other = directory.path().join("other");
    drop(open(&[json(&path), json(&other)]).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(&directory), 1);
}

/// A file system of one page that is full: old content outlives what does not fit.
#[test]
fn a_full_disk_leaves_the_old_content() {
    let (directory, _) = scene();
    let small = directory.path().join("small");
    fs::create_dir(&small).unwrap();
    let flags = nix::mount::MsFlags::empty();
    let mounted = nix::mount::mount(Some("bulkhead"), &small, Some("tmpfs"), flags, Some("size=8k"));
    if mounted.is_err() {
        eprintln!("skipped: only root can mount a small file system");
        return;
    }
    let (path, twice) = (small.join("report"), small.join("twice"));
    fs::write(&path, "old").unwrap();
    fs::write(&twice, "old").unwrap();
    fs::hard_link(&twice, small.join("name")).unwrap();
    let outcomes = [written(&path), written(&twice), written(&small.join("new"))];
    let contents = [fs::read_to_string(&path).unwrap(), fs::read_to_string(&twice).unwrap()];
    let left = fs::read_dir(&small).unwrap().count();
    nix::mount::umount(&small).unwrap();
    assert!(outcomes.iter().all(|ended| matches!(ended, Err(WriteError::File { .. }))), "{outcomes:?}");
    assert_eq!(contents, ["old", "old"]);
    assert_eq!(left, 3);
}
