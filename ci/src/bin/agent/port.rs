//! A virtio-serial port by name → something to read and write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a port may take to appear: its driver may still be on its way.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open port. Reading waits until the host is there and says something.
pub(crate) struct Port(File);

impl Port {
    /// The node is called `/dev/vportNpM`, where the numbers depend on the order of devices; the name is in sysfs.
    /// (udev would make `/dev/virtio-ports/NAME` of it, but there is no udev.)
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let start = Instant::now();
        loop {
            if let Some(node) = find(Path::new("/sys/class/virtio-ports"), name)? {
                return Ok(Self(OpenOptions::new().read(true).write(true).open(node)?));
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("there is no virtio-serial port called {name}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

fn find(class: &Path, wanted: &str) -> io::Result<Option<PathBuf>> {
    let Ok(ports) = fs::read_dir(class) else { return Ok(None) };
    for port in ports {
        let port = port?;
        if fs::read_to_string(port.path().join("name")).is_ok_and(|name| name.trim_end() == wanted) {
            return Ok(Some(Path::new("/dev").join(port.file_name())));
        }
    }
    Ok(None)
}

impl Read for Port {
    /// A port without a host reads as ended (`port_fops_read` in the kernel's `virtio_console.c`), and comes back to
    /// life with the next host.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer)? {
                0 => thread::sleep(Duration::from_millis(10)),
                n => return Ok(n),
            }
        }
    }
}

impl Write for Port {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_its_name_and_not_by_its_number() {
        let class = tempfile::tempdir().unwrap();
        for (node, name) in [("vport2p1", "other\n"), ("vport2p2", "bulkhead.control\n")] {
            fs::create_dir(class.path().join(node)).unwrap();
            fs::write(class.path().join(node).join("name"), name).unwrap();
        }
        fs::create_dir(class.path().join("vport2p3")).unwrap();
        assert_eq!(find(class.path(), "bulkhead.control").unwrap(), Some("/dev/vport2p2".into()));
        assert_eq!(find(class.path(), "bulkhead").unwrap(), None);
        assert_eq!(find(Path::new("/nonexistent"), "bulkhead").unwrap(), None);
    }
}
