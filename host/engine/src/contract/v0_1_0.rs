//! Contract 0.1.0: how its types and functions map to the host's own.

mod batch;
mod bindings;
mod columns;
mod effects;

use wasmtime::component::{HasData, Instance, InstancePre, Linker};
use wasmtime::{AsContextMut, Result};

use self::bindings::carpe::rule::{log, types};
use self::bindings::exports::carpe::rule::{columns as wit_columns, migration, rule};
use self::columns::Columns;
use crate::rule::{Batch, Description, Effects};
use crate::sandbox::LogLevel;

/// Where lines that a guest logs go.
pub(crate) trait WriteLog {
    /// Takes one line, as the guest wrote it: unbounded and unescaped.
    fn write_log(&mut self, level: LogLevel, message: &str);
}

/// The log of one instance.
pub(crate) struct Log<'a>(pub(crate) &'a mut dyn WriteLog);

/// Gives guests what contract 0.1.0 lets them import.
pub(crate) fn add_to_linker<T: 'static>(linker: &mut Linker<T>, log_of: fn(&mut T) -> Log<'_>) -> Result<()> {
    log::add_to_linker::<T, HasLog>(linker, log_of)?;
    // Every component imports it, though it holds nothing but types.
    linker.instance("carpe:rule/types@0.1.0")?;
    Ok(())
}

struct HasLog;

impl HasData for HasLog {
    type Data<'a> = Log<'a>;
}

impl log::Host for Log<'_> {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.0.write_log(level, &message);
    }
}

/// Where a component's functions of the contract are.
///
/// They are looked up inside the exported interfaces only: a guest may export other things, even
/// ones of the same name, and they mean nothing here.
pub(crate) struct Exports {
    rule: rule::GuestIndices,
    migration: Option<migration::GuestIndices>,
    columns: Option<wit_columns::GuestIndices>,
}

impl Exports {
    /// Looks them up; `has_migration` and `has_columns` say whether an optional interface is exported.
    ///
    /// # Errors
    /// An interface lacks a function.
    pub(crate) fn find<T>(
        component: &InstancePre<T>,
        has_migration: bool,
        has_columns: bool,
    ) -> Result<Exports> {
        Ok(Exports {
            rule: rule::GuestIndices::new(component)?,
            migration: has_migration.then(|| migration::GuestIndices::new(component)).transpose()?,
            columns: has_columns.then(|| wit_columns::GuestIndices::new(component)).transpose()?,
        })
    }

    /// The functions of one instance.
    ///
    /// # Errors
    /// A function has another type than the contract's.
    pub(crate) fn of(&self, mut store: impl AsContextMut, instance: &Instance) -> Result<Functions> {
        let migration = match &self.migration {
            Some(migration) => Some(migration.load(&mut store, instance)?),
            None => None,
        };
        let columns = match &self.columns {
            Some(columns) => Some((columns.load(&mut store, instance)?, Columns::default())),
            None => None,
        };
        Ok(Functions { rule: self.rule.load(&mut store, instance)?, migration, columns })
    }
}

/// The functions of one instance. The outer error of each call is a trap or a limit, the inner one
/// what the guest answered.
pub(crate) struct Functions {
    rule: rule::Guest,
    migration: Option<migration::Guest>,
    /// With room for the columns, which is used again from call to call.
    columns: Option<(wit_columns::Guest, Columns)>,
}

impl Functions {
    pub(crate) fn init(
        &self,
        store: impl AsContextMut,
        configuration: &str,
    ) -> Result<Result<Description, String>> {
        Ok(self.rule.call_init(store, configuration)?.map(Description::from))
    }

    /// In columns, if the guest takes them and the batch fits them; else in records.
    pub(crate) fn handle(
        &mut self,
        store: impl AsContextMut,
        batch: &Batch<'_>,
    ) -> Result<Result<Effects, String>> {
        if let Some((guest, columns)) = &mut self.columns
            && let Some(lent) = columns.lend(batch)
        {
            let returned = guest.call_handle_events(store, lent)?;
            return Ok(returned.and_then(|effects| columns::effects(effects, batch.keys.len())));
        }
        let returned = batch::lend(batch, |batch| self.rule.call_handle(store, batch))?;
        Ok(returned.map(Effects::from))
    }

    /// From now on in records only.
    pub(crate) fn forget_columns(&mut self) {
        self.columns = None;
    }

    /// Without the optional interface nothing is migrated: the state is forgotten by nobody, the
    /// call fails.
    pub(crate) fn migrate(
        &self,
        store: impl AsContextMut,
        from_version: u32,
        key: &str,
        state: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, String>> {
        match &self.migration {
            Some(migration) => migration.call_migrate(store, from_version, key, state),
            None => Ok(Err("the rule does not export carpe:rule/migration".to_owned())),
        }
    }
}
