//! A guest with something installed → a template of its own: files and commands first, then a boot from cold with them, as a
//! machine in life comes up with what an administrator left on its disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BOOT_PATIENCE, CloneOptions, Lab, boot_and_freeze, template_key, twice};
use crate::LabError;
use crate::cache::Found;
use crate::digest::Digest;
use crate::event::{Event, Listener};
use crate::qemu::{Hardware, Root};
use crate::snapshot::Template;
use crate::vm::{Command, Vm, VmError};

/// Kept of what a command of an installation wrote.
const SAID_LINES: usize = 40;
/// Changes when the way something is installed does.
const INSTALLATION: &str = "1";

/// What is installed into a guest. The cache knows it by its content.
#[derive(Debug, Clone)]
pub struct Installation {
    /// For people, the process list and the cache: letters, digits, `-` and `_`.
    pub name: String,
    /// A tar that is unpacked at `/`; at most 256 MiB.
    pub files: PathBuf,
    /// Run in the guest one after the other, as root, once the files are there and before the boot that counts.
    pub commands: Vec<Command>,
    /// How long each of the commands may take.
    pub patience: Duration,
    /// RAM of the guest, bytes, in whole MiB; none for as much as every guest has.
    pub memory: Option<u64>,
}

impl Lab {
    /// The lab whose machines have this installed and were booted with it. What fails after that boot (units, services) is for
    /// whoever uses it to find: it is frozen as it came up.
    ///
    /// # Errors
    /// A command failed or took too long, the tar is too large, or the guest did not boot, twice in a row. Nothing of it stays in
    /// the cache then.
    pub fn install(&self, installation: &Installation, on: Listener<'_>) -> Result<Self, LabError> {
        let start = Instant::now();
        let hardware =
            Hardware { memory: installation.memory.unwrap_or(self.hardware.memory), ..self.hardware.clone() };
        let key = self.installation_key(installation, &hardware)?;
        let kind = format!("policy-{}-{}", self.guest, installation.name);
        let (template, found) = self.cache.obtain(&kind, &key, on, |directory| {
            let template = Template::at(directory);
            twice(on, || {
                template.clear();
                on(Event::InstallStart { guest: self.guest, name: &installation.name });
                template.make_disk_on(&Template::at(self.template.path()))?;
                self.put_in(installation, &template, on)?;
                template.stand_alone(&self.image)?;
                boot_and_freeze(&self.cache, self.guest, &self.image, &hardware, &template, UP, on)
            })
        })?;
        on(Event::TemplateReady { guest: self.guest, cached: found == Found::Cached, took: start.elapsed() });
        Ok(Self {
            guest: self.guest,
            cache: self.cache.clone(),
            image: Arc::clone(&self.image),
            hardware,
            verdict: self.verdict.clone(),
            template,
        })
    }

    fn installation_key(&self, installation: &Installation, hardware: &Hardware) -> Result<String, LabError> {
        let digest = Digest::new().field(INSTALLATION).field(template_key(&self.image, hardware));
        let digest = digest.fields(installation.commands.iter().map(|command| format!("{command:?}")));
        let file = &installation.files;
        Ok(digest.file(file).map_err(LabError::file("read", file))?.to_string())
    }

    /// Unpacks the files and runs the commands in a clone that writes to the disk of the template.
    fn put_in(
        &self,
        installation: &Installation,
        template: &Template,
        on: Listener<'_>,
    ) -> Result<(), LabError> {
        let options = CloneOptions {
            files: Some(installation.files.clone()),
            ..CloneOptions::new(format!("{}-install", installation.name))
        };
        let vm = self.clone_onto(&options, Root::Kept(&template.disk()))?;
        for command in &installation.commands {
            run(&vm, installation, command, on)?;
        }
        // The machine is switched off behind it: nothing may be left to write.
        let off = Command::sh("sync && echo u > /proc/sysrq-trigger && sync").timeout(BOOT_PATIENCE);
        run(&vm, installation, &off, on)
    }
}

fn run(vm: &Vm, installation: &Installation, command: &Command, on: Listener<'_>) -> Result<(), LabError> {
    let failed = |exit: String, output: &str| {
        let lines: Vec<&str> = output.lines().collect();
        let output = lines[lines.len().saturating_sub(SAID_LINES)..].join("\n");
        LabError::Install { name: installation.name.clone(), command: command.to_string(), exit, output }
    };
    let mut said = Vec::new();
    let exit = vm.exec(&command.clone().within(installation.patience), &mut |_, bytes| {
        for line in String::from_utf8_lossy(bytes).lines() {
            on(Event::Install { line });
        }
        said.extend_from_slice(bytes);
    });
    let said = String::from_utf8_lossy(&said);
    match exit {
        Ok(exit) if exit.success() => Ok(()),
        Ok(exit) => Err(failed(exit.to_string(), &said)),
        Err(VmError::Timeout { after, .. }) => {
            Err(failed(format!("killed after {} s", after.as_secs()), &said))
        }
        Err(error) => Err(LabError::vm("installation")(error)),
    }
}

/// The boot is over, whatever came of it, and nothing waits to be written.
const UP: &[(&str, &str)] = &[
    ("the boot does not end", "timeout 100 systemctl is-system-running --wait; test $? -ne 124"),
    ("the disk cannot be synced", "tar --version >/dev/null; sync"),
];
