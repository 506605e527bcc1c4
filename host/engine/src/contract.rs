//! The contract between the host and its rules: `carpe:rule` (see `wit/`).
//!
//! The only module that names generated bindings. A released version of the contract is frozen;
//! each has one adapter here that maps it to and from the domain types of [`crate::rule`], so that an
//! old plugin runs for ever and the rest of the host knows one set of types only.

pub(crate) mod v0_1_0;

/// The package that a rule imports from and exports to, without a version.
pub(crate) const PACKAGE: &str = "carpe:rule";

/// The interface that every rule exports, without a version.
pub(crate) const RULE: &str = "carpe:rule/rule";

/// The interface that a rule with older state may export, without a version.
pub(crate) const MIGRATION: &str = "carpe:rule/migration";

/// The interface that a rule may export to be given events in columns, without a version.
pub(crate) const COLUMNS: &str = "carpe:rule/columns";

/// The interfaces that a rule may import from [`PACKAGE`], without a version.
pub(crate) const IMPORTS: [&str; 2] = ["carpe:rule/log", "carpe:rule/types"];

/// The version of the contract that this host speaks.
pub(crate) const VERSION: &str = "0.1.0";
