//! systemd on the system bus of this machine.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use zbus::{OwnedObjectPath, OwnedVariant, Variant, block_on};

use super::jobs::{End, Jobs};
use super::manager::{Error, Manager};
use super::property::{Value, sent};
use super::proxy::{PropertiesProxy, SystemdProxy};
use super::renew::{Renewed, is_lost, lost, within};
use super::unit::NOT_FOUND;
use super::unit::{Unit, UnitStatus};
use crate::property::Property;

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
/// How long a lost connection may take to be renewed: a bus that is restarted is back, with PID 1 on it, in less.
const RENEWED_WITHIN: Duration = Duration::from_secs(3);
/// How often that, or whether a unit has started, is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// A connection to PID 1. One that is lost is renewed.
#[derive(Debug)]
pub struct Bus {
    links: Renewed<Link>,
    patience: Duration,
}

/// One connection, and what PID 1 announces on it.
#[derive(Debug)]
struct Link {
    connection: zbus::Connection,
    systemd: SystemdProxy<'static>,
    jobs: Jobs,
}

impl Link {
    fn open(builder: zbus::connection::Builder<'static>, patience: Duration) -> zbus::Result<Self> {
        let connected = block_on(async {
            let connection = builder.method_timeout(patience).build().await?;
            let systemd = SystemdProxy::new(&connection).await?;
            // The match before the subscription and both before any job, so that no end of a job is missed.
            let stream = systemd.receive_job_removed().await?;
            systemd.subscribe().await?;
            Ok::<_, zbus::Error>((connection, systemd, stream))
        });
        let (connection, systemd, stream) = connected?;
        let jobs = Jobs::follow(stream)?;
        Ok(Self { connection, systemd, jobs })
    }

    /// Opens another after one was lost: the bus may be on its way back.
    fn reopen(patience: Duration) -> zbus::Result<Self> {
        let began = Instant::now();
        loop {
            let left = RENEWED_WITHIN.saturating_sub(began.elapsed());
            let open = move || Self::open(zbus::connection::Builder::system(), patience);
            match within(left, open) {
                Err(_) if began.elapsed() + TRY_EVERY < RENEWED_WITHIN => std::thread::sleep(TRY_EVERY),
                opened => return opened,
            }
        }
    }

    /// Asks for a job and waits for its end. The outer error: the connection was lost, or the job was refused.
    fn job(
        &self,
        unit: &str,
        action: &str,
        patience: Duration,
        call: impl Future<Output = zbus::Result<OwnedObjectPath>>,
    ) -> zbus::Result<Result<(), Error>> {
        let job = block_on(call)?;
        let action = action.to_owned();
        Ok(match self.jobs.wait(job.as_str(), patience) {
            End::Announced(result) if result == "done" => Ok(()),
            End::Announced(result) => Err(Error::Job { action, unit: unit.to_owned(), result }),
            End::Late => Err(Error::Deadline { action, waited: patience }),
            End::Disconnected => return Err(lost()),
        })
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

    async fn unit(&self, name: &str) -> zbus::Result<Unit> {
        let object = self.object(name).await?;
        let mut properties = object.get_all(UNIT).await?;
        if let Some(interface) = interface(name) {
            properties.extend(object.get_all(&interface).await?);
        }
        Ok(unit(name, &properties))
    }

    async fn property(&self, unit: &str, property: &str) -> zbus::Result<Option<Value>> {
        let object = self.object(unit).await?;
        if text(&object.get(UNIT, "LoadState").await?).as_deref() == Some(NOT_FOUND) {
            return Ok(None);
        }
        for interface in [Some(UNIT.to_owned()), interface(unit)].into_iter().flatten() {
            match object.get(&interface, property).await {
                Ok(value) => return Ok(Some(Value::from_variant(&value))),
                Err(zbus::Error::FDO(error)) if matches!(*error, zbus::fdo::Error::UnknownProperty(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Ends the thread that follows the jobs, which holds the connection too. At this point nobody can be told.
        let _ = block_on(self.connection.clone().close());
    }
}

impl Bus {
    /// Connects to systemd. Each call, and each job it starts, is given `patience`: under memory pressure PID 1 can take
    /// seconds to answer.
    ///
    /// # Errors
    /// When the system bus or systemd on it cannot be reached.
    pub fn connect(patience: Duration) -> Result<Self, Error> {
        let open = move || Link::open(zbus::connection::Builder::system(), patience);
        let first = within(patience, open).map_err(Error::Connect)?;
        Ok(Self { links: Renewed::new(first, move || Link::reopen(patience)), patience })
    }

    /// Asks what may be asked twice.
    fn call<T>(
        &self,
        action: impl FnOnce() -> String,
        call: impl Fn(&Link) -> zbus::Result<T>,
    ) -> Result<T, Error> {
        self.links.ask(call).map_err(|source| failed(action(), source))
    }

    /// Starts a transient unit. When the connection is lost in the middle, the unit itself tells whether it was started:
    /// it carries the description that it was to get.
    fn transient(&self, name: &str, properties: &[(&str, Variant<'_>)]) -> Result<(), Error> {
        let action = format!("start {name}");
        let start = |link: &Link| {
            let call = link.systemd.start_transient_unit(name, "fail", properties, &[]);
            link.job(name, &action, self.patience, call)
        };
        let source = match self.links.ask_once(start) {
            Ok(ended) => return ended,
            Err(source) => source,
        };
        if !is_lost(&source) {
            return Err(failed(action, source));
        }
        let began = Instant::now();
        loop {
            let unit = self.unit(name)?;
            match fate(&unit, described(properties)) {
                Fate::Started => return Ok(()),
                Fate::NotStarted => {
                    return self
                        .links
                        .ask_once(start)
                        .unwrap_or_else(|source| Err(failed(action.clone(), source)));
                }
                Fate::Starting if began.elapsed() < self.patience => std::thread::sleep(TRY_EVERY),
                Fate::Starting => return Err(Error::Deadline { action, waited: self.patience }),
                Fate::Unknown => return Err(failed(action, source)),
            }
        }
    }
}

/// What became of a start whose end nobody told.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Started,
    Starting,
    NotStarted,
    /// It failed, or the unit is another's.
    Unknown,
}

fn fate(unit: &Unit, description: Option<&str>) -> Fate {
    let ours = description.is_some() && unit.description.as_deref() == description;
    match unit.active_state.as_deref() {
        _ if !unit.is_taken() => Fate::NotStarted,
        Some("active") if ours => Fate::Started,
        // A job that still waits for its turn has made nothing active yet.
        Some("activating" | "inactive") if ours => Fate::Starting,
        _ => Fate::Unknown,
    }
}

fn described<'a>(properties: &'a [(&str, Variant<'_>)]) -> Option<&'a str> {
    let value = properties.iter().find(|(name, _)| *name == "Description").map(|(_, value)| value);
    if let Some(Variant::Str(text)) = value { Some(text.as_str()) } else { None }
}

/// Why systemd did not answer, or what.
fn failed(action: String, source: zbus::Error) -> Error {
    if is_lost(&source) { Error::Lost { action, source } } else { Error::Refused { action, source } }
}

/// Borrowed, as the calls take them.
fn pairs(sent: &[(String, Value)]) -> Vec<(&str, Variant<'_>)> {
    sent.iter().map(|(name, value)| (name.as_str(), value.to_variant())).collect()
}

impl Manager for Bus {
    fn version(&self) -> Result<u32, Error> {
        let text = self.call(|| "tell its version".to_owned(), |link| block_on(link.systemd.version()))?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| Error::Unexpected { action: "tell its version".to_owned(), answer: text.clone() })
    }

    fn start_slice(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let sent: Vec<_> = properties.iter().map(sent).collect();
        let pairs = pairs(&sent);
        self.transient(name, &pairs)
    }

    fn start_scope(
        &self,
        name: &str,
        slice: &str,
        pids: &[u32],
        properties: &[Property],
    ) -> Result<(), Error> {
        let sent: Vec<_> = properties.iter().map(sent).collect();
        let mut pairs = pairs(&sent);
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
        let sent: Vec<_> = properties.iter().map(sent).collect();
        let mut pairs = pairs(&sent);
        pairs.push(("Slice", Variant::from(slice)));
        pairs.push(("Type", Variant::from("exec")));
        pairs.push(("Environment", Variant::from(env.to_vec())));
        // Path, argv, whether failure is to be ignored.
        pairs.push(("ExecStart", Variant::from(vec![(path, argv.to_vec(), false)])));
        self.transient(name, &pairs)
    }

    fn start(&self, name: &str) -> Result<(), Error> {
        let action = format!("start {name}");
        let call =
            |link: &Link| link.job(name, &action, self.patience, link.systemd.start_unit(name, "replace"));
        self.call(|| action.clone(), call)?
    }

    fn stop(&self, name: &str) -> Result<(), Error> {
        let action = format!("stop {name}");
        let call =
            |link: &Link| link.job(name, &action, self.patience, link.systemd.stop_unit(name, "replace"));
        unless_unknown(self.call(|| action.clone(), call).flatten())
    }

    fn kill(&self, name: &str, signal: i32) -> Result<(), Error> {
        let action = || format!("send signal {signal} to {name}");
        self.call(action, |link| block_on(link.systemd.kill_unit(name, "all", signal)))
    }

    fn reset_failed(&self, name: &str) -> Result<(), Error> {
        let reset = |link: &Link| block_on(link.systemd.reset_failed_unit(name));
        unless_unknown(self.call(|| format!("reset {name}"), reset))
    }

    fn set_properties(&self, name: &str, properties: &[Property]) -> Result<(), Error> {
        let sent: Vec<_> = properties.iter().map(sent).collect();
        let pairs = pairs(&sent);
        let set = |link: &Link| block_on(link.systemd.set_unit_properties(name, true, &pairs));
        self.call(|| format!("change {name}"), set)
    }

    fn list(&self, prefix: &str) -> Result<Vec<UnitStatus>, Error> {
        let list = |link: &Link| block_on(link.systemd.list_units());
        let listed = self.call(|| "list its units".to_owned(), list)?;
        Ok(listed
            .into_iter()
            .filter(|unit| unit.0.starts_with(prefix))
            .map(|(name, _, load, active, sub, ..)| UnitStatus { name, load, active, sub })
            .collect())
    }

    fn unit(&self, name: &str) -> Result<Unit, Error> {
        self.call(|| format!("show {name}"), |link| block_on(link.unit(name)))
    }

    fn property(&self, unit: &str, property: &str) -> Result<Option<Value>, Error> {
        let action = || format!("show {property} of {unit}");
        self.call(action, |link| block_on(link.property(unit, property)))
    }
}

/// The interface of the unit's own type: `org.freedesktop.systemd1.Scope` for `x.scope`.
fn interface(name: &str) -> Option<String> {
    let (first, rest) = name.rsplit_once('.')?.1.split_at_checked(1)?;
    Some(format!("org.freedesktop.systemd1.{}{rest}", first.to_ascii_uppercase()))
}

fn text(value: &OwnedVariant) -> Option<String> {
    Value::from_variant(value).as_str().map(str::to_owned)
}

/// Facts from properties; none but the load state when the unit does not exist.
fn unit(name: &str, properties: &HashMap<String, OwnedVariant>) -> Unit {
    let value = |property: &str| properties.get(property).map(|value| Value::from_variant(value));
    let string = |property: &str| properties.get(property).and_then(text).filter(|text| !text.is_empty());
    let signed = |property: &str| {
        if let Some(Value::I32(number)) = value(property) { Some(number) } else { None }
    };
    let unsigned = |property: &str| {
        if let Some(Value::U32(number)) = value(property) { Some(number) } else { None }
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
            Some(Value::Bytes(bytes)) if !bytes.is_empty() => {
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
        transient: value("Transient") == Some(Value::Bool(true)),
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
    use rstest::rstest;

    use super::*;

    fn owned(variant: &Variant<'_>) -> OwnedVariant {
        variant.try_to_owned().expect("no descriptors")
    }

    #[rstest]
    #[case::not_there(Unit::absent("x.scope"), Fate::NotStarted)]
    #[case::running(there("active", "run 1"), Fate::Started)]
    #[case::on_its_way(there("activating", "run 1"), Fate::Starting)]
    #[case::failed(there("failed", "run 1"), Fate::Unknown)]
    #[case::somebody_elses(there("active", "run 2"), Fate::Unknown)]
    fn a_start_that_nobody_told_the_end_of_is_told_by_the_unit(#[case] unit: Unit, #[case] expected: Fate) {
        assert_eq!(fate(&unit, Some("run 1")), expected);
        // Without a description nothing proves whose it is.
        if expected != Fate::NotStarted {
            assert_eq!(fate(&unit, None), Fate::Unknown);
        }
    }

    fn there(state: &str, description: &str) -> Unit {
        Unit {
            load_state: "loaded".into(),
            active_state: Some(state.into()),
            description: Some(description.into()),
            ..Unit::default()
        }
    }

    #[test]
    fn a_bus_that_closes_the_connection_is_an_error_and_no_wait() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("bus");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let closer = std::thread::spawn(move || drop(listener.accept()));
        let address = format!("unix:path={}", path.display());
        let patience = Duration::from_secs(60);
        let began = Instant::now();
        let open = move || Link::open(zbus::connection::Builder::address(&*address), patience);
        let error = within(patience, open).expect_err("closed");
        assert!(is_lost(&error) || matches!(error, zbus::Error::Handshake(_)), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
        closer.join().expect("closed");
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
