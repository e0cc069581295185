//! systemd on the system bus of this machine.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use zbus::{OwnedObjectPath, OwnedVariant, Variant, block_on};

use super::jobs::{End, Jobs};
use super::proxy::{PropertiesProxy, SystemdProxy};
use super::unit::NOT_FOUND;
use super::{Error, Manager, Property, PropertyValue, Unit, UnitStatus};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// A connection to PID 1.
#[derive(Debug)]
pub struct Bus {
    connection: zbus::Connection,
    systemd: SystemdProxy<'static>,
    jobs: Jobs,
    patience: Duration,
}

impl Bus {
    /// Connects to systemd. Each call, and each job it starts, is given `patience`: under memory pressure PID 1 can take
    /// seconds to answer.
    ///
    /// # Errors
    /// When the system bus or systemd on it cannot be reached.
    pub fn connect(patience: Duration) -> Result<Self, Error> {
        let connected = block_on(async {
            let connection = zbus::connection::Builder::system().method_timeout(patience).build().await?;
            let systemd = SystemdProxy::new(&connection).await?;
            // The match before the subscription and both before any job, so that no end of a job is missed.
            let stream = systemd.receive_job_removed().await?;
            systemd.subscribe().await?;
            Ok((connection, systemd, stream))
        });
        let (connection, systemd, stream) = connected.map_err(Error::Connect)?;
        let jobs = Jobs::follow(stream).map_err(|error| Error::Connect(error.into()))?;
        Ok(Self { connection, systemd, jobs, patience })
    }

    fn transient(&self, name: &str, properties: &[(&str, Variant<'_>)]) -> Result<(), Error> {
        self.job(
            name,
            format!("start {name}"),
            self.systemd.start_transient_unit(name, "fail", properties, &[]),
        )
    }

    /// Asks for a job and waits for its end.
    fn job(
        &self,
        unit: &str,
        action: String,
        call: impl Future<Output = zbus::Result<OwnedObjectPath>>,
    ) -> Result<(), Error> {
        let job = match block_on(call) {
            Ok(job) => job,
            Err(source) => return Err(Error::Refused { action, source }),
        };
        match self.jobs.wait(job.as_str(), self.patience) {
            End::Announced(result) if result == "done" => Ok(()),
            End::Announced(result) => Err(Error::Job { action, unit: unit.to_owned(), result }),
            End::Late => Err(Error::Deadline { action, waited: self.patience }),
            End::Disconnected => {
                Err(Error::Unexpected { action, answer: "the end of the connection".to_owned() })
            }
        }
    }

    fn call<T>(
        &self,
        action: impl FnOnce() -> String,
        call: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, Error> {
        block_on(call).map_err(|source| Error::Refused { action: action(), source })
    }

    /// The properties object of a unit. Loads the unit: `GetUnit` would not know one that exists but is not in memory.
    async fn object(&self, name: &str) -> zbus::Result<PropertiesProxy<'static>> {
        let path = self.systemd.load_unit(name).await?;
        PropertiesProxy::builder(&self.connection)
            .path(path)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Ends the thread that follows the jobs, which holds the connection too. At this point nobody can be told.
        let _ = block_on(self.connection.clone().close());
    }
}

impl Manager for Bus {
    fn version(&self) -> Result<u32, Error> {
        let text = self.call(|| "tell its version".to_owned(), self.systemd.version())?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| Error::Unexpected { action: "tell its version".to_owned(), answer: text.clone() })
    }

    fn start_slice(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let pairs: Vec<_> = properties.iter().map(Property::pair).collect();
        self.transient(name, &pairs)
    }

    fn start_scope(
        &self,
        name: &str,
        slice: &str,
        pids: &[u32],
        properties: &[Property],
    ) -> Result<(), Error> {
        let mut pairs: Vec<_> = properties.iter().map(Property::pair).collect();
        pairs.push(("Slice", Variant::from(slice)));
        pairs.push(("PIDs", Variant::from(pids.to_vec())));
        self.transient(name, &pairs)
    }

    fn start_service(
        &self,
        name: &str,
        slice: &str,
        argv: &[String],
        env: &[String],
        properties: &[Property],
    ) -> Result<(), Error> {
        let path = argv.first().cloned().unwrap_or_default();
        let mut pairs: Vec<_> = properties.iter().map(Property::pair).collect();
        pairs.push(("Slice", Variant::from(slice)));
        pairs.push(("Type", Variant::from("exec")));
        pairs.push(("Environment", Variant::from(env.to_vec())));
        // Path, argv, whether failure is to be ignored.
        pairs.push(("ExecStart", Variant::from(vec![(path, argv.to_vec(), false)])));
        self.transient(name, &pairs)
    }

    fn start(&self, name: &str) -> Result<(), Error> {
        self.job(name, format!("start {name}"), self.systemd.start_unit(name, "replace"))
    }

    fn stop(&self, name: &str) -> Result<(), Error> {
        let stopped = self.job(name, format!("stop {name}"), self.systemd.stop_unit(name, "replace"));
        unless_unknown(stopped)
    }

    fn kill(&self, name: &str, signal: i32) -> Result<(), Error> {
        self.call(|| format!("send signal {signal} to {name}"), self.systemd.kill_unit(name, "all", signal))
    }

    fn reset_failed(&self, name: &str) -> Result<(), Error> {
        unless_unknown(self.call(|| format!("reset {name}"), self.systemd.reset_failed_unit(name)))
    }

    fn set_properties(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let pairs: Vec<_> = properties.iter().map(Property::pair).collect();
        self.call(|| format!("change {name}"), self.systemd.set_unit_properties(name, true, &pairs))
    }

    fn list(&self, prefix: &str) -> Result<Vec<UnitStatus>, Error> {
        let listed = self.call(|| "list its units".to_owned(), self.systemd.list_units())?;
        Ok(listed
            .into_iter()
            .filter(|unit| unit.0.starts_with(prefix))
            .map(|(name, _, load, active, sub, ..)| UnitStatus { name, load, active, sub })
            .collect())
    }

    fn unit(&self, name: &str) -> Result<Unit, Error> {
        let action = || format!("show {name}");
        let properties = self.call(action, async {
            let object = self.object(name).await?;
            let mut properties = object.get_all(UNIT).await?;
            if let Some(interface) = interface(name) {
                properties.extend(object.get_all(&interface).await?);
            }
            Ok(properties)
        })?;
        Ok(unit(name, &properties))
    }

    fn property(&self, unit: &str, property: &str) -> Result<Option<PropertyValue>, Error> {
        let action = || format!("show {property} of {unit}");
        self.call(action, async {
            let object = self.object(unit).await?;
            if text(&object.get(UNIT, "LoadState").await?).as_deref() == Some(NOT_FOUND) {
                return Ok(None);
            }
            for interface in [Some(UNIT.to_owned()), interface(unit)].into_iter().flatten() {
                match object.get(&interface, property).await {
                    Ok(value) => return Ok(Some(PropertyValue::from_variant(&value))),
                    Err(zbus::Error::FDO(error))
                        if matches!(*error, zbus::fdo::Error::UnknownProperty(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        })
    }
}

/// The interface of the unit's own type: `org.freedesktop.systemd1.Scope` for `x.scope`.
fn interface(name: &str) -> Option<String> {
    let (first, rest) = name.rsplit_once('.')?.1.split_at_checked(1)?;
    Some(format!("org.freedesktop.systemd1.{}{rest}", first.to_ascii_uppercase()))
}

fn text(value: &OwnedVariant) -> Option<String> {
    PropertyValue::from_variant(value).as_str().map(str::to_owned)
}

/// Facts from properties; none but the load state when the unit does not exist.
fn unit(name: &str, properties: &HashMap<String, OwnedVariant>) -> Unit {
    let value = |property: &str| properties.get(property).map(|value| PropertyValue::from_variant(value));
    let string = |property: &str| properties.get(property).and_then(text).filter(|text| !text.is_empty());
    let signed = |property: &str| {
        if let Some(PropertyValue::I32(number)) = value(property) { Some(number) } else { None }
    };
    let unsigned = |property: &str| {
        if let Some(PropertyValue::U32(number)) = value(property) { Some(number) } else { None }
    };
    let load_state = string("LoadState").unwrap_or_else(|| NOT_FOUND.to_owned());
    if load_state == NOT_FOUND {
        return Unit::absent(name);
    }
    let exec_main_code = signed("ExecMainCode").filter(|code| *code != 0);
    Unit {
        name: name.to_owned(),
        load_state,
        active_state: string("ActiveState"),
        sub_state: string("SubState"),
        result: string("Result"),
        invocation_id: match value("InvocationID") {
            Some(PropertyValue::Bytes(bytes)) if !bytes.is_empty() => {
                Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            _ => None,
        },
        main_pid: unsigned("MainPID").filter(|pid| *pid != 0),
        n_restarts: unsigned("NRestarts"),
        exec_main_status: exec_main_code.and_then(|_| signed("ExecMainStatus")),
        exec_main_code,
        control_group: string("ControlGroup").and_then(|path| path.parse().ok()),
        slice: string("Slice"),
        oom_policy: string("OOMPolicy"),
        description: string("Description"),
        fragment_path: string("FragmentPath"),
        transient: value("Transient") == Some(PropertyValue::Bool(true)),
    }
}

/// A unit that systemd does not know needs no stopping and no forgetting.
fn unless_unknown(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Refused { source: zbus::Error::MethodError(name, ..), .. })
            if name.as_str() == NO_SUCH_UNIT =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(variant: &Variant<'_>) -> OwnedVariant {
        variant.try_to_owned().expect("no descriptors")
    }

    #[test]
    fn the_interface_follows_from_the_type_of_the_unit() {
        assert_eq!(interface("a.b.scope").as_deref(), Some("org.freedesktop.systemd1.Scope"));
        assert_eq!(interface("nonsense"), None);
    }

    #[test]
    fn the_defaults_of_a_unit_that_does_not_exist_are_no_facts() {
        let properties = HashMap::from([
            ("LoadState".to_owned(), owned(&Variant::from("not-found"))),
            ("ActiveState".to_owned(), owned(&Variant::from("inactive"))),
            ("Result".to_owned(), owned(&Variant::from("success"))),
        ]);
        assert_eq!(unit("x.scope", &properties), Unit::absent("x.scope"));
    }

    #[test]
    fn zero_and_empty_mean_not_there() {
        let properties = HashMap::from([
            ("LoadState".to_owned(), owned(&Variant::from("loaded"))),
            ("ActiveState".to_owned(), owned(&Variant::from("failed"))),
            ("Result".to_owned(), owned(&Variant::from("oom-kill"))),
            ("MainPID".to_owned(), owned(&Variant::from(0u32))),
            ("NRestarts".to_owned(), owned(&Variant::from(0u32))),
            ("InvocationID".to_owned(), owned(&Variant::from(vec![0x0au8, 0xff]))),
            ("ControlGroup".to_owned(), owned(&Variant::from(""))),
            ("ExecMainCode".to_owned(), owned(&Variant::from(2i32))),
            ("ExecMainStatus".to_owned(), owned(&Variant::from(9i32))),
        ]);
        let unit = unit("x.service", &properties);
        assert_eq!((unit.main_pid, unit.n_restarts, unit.control_group), (None, Some(0), None));
        assert_eq!((unit.exec_main_code, unit.exec_main_status), (Some(2), Some(9)));
        assert_eq!(unit.invocation_id.as_deref(), Some("0aff"));
        assert_eq!(unit.result.as_deref(), Some("oom-kill"));
    }
}
