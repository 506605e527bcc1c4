//! What can go wrong between the host and a guest, in words for people.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The machine or the options do not allow it.
    #[error(
        "cannot make the sandbox: {reason}. It reserves address space for each instance: try fewer instances, and \
         no limit on virtual memory (ulimit -v)"
    )]
    Engine {
        /// What the runtime says.
        reason: String,
    },
    /// The cache folder cannot be used.
    #[error("cannot keep compiled plugins in {}: {reason}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A thread could not be started.
    #[error("cannot start the sandbox's clock")]
    Clock(#[source] std::io::Error),
}

/// Why a component was not loaded. Nothing of it has run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is too big to look at.
    #[error(
        "it has {bytes} bytes, and the limit is {limit}: strip its debug information, or raise the limit"
    )]
    TooBig {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It is something else.
    #[error("it is not WebAssembly: a component begins with the bytes 00 61 73 6d 0d 00 01 00")]
    NotWasm,
    /// It is a core module.
    #[error(
        "it is a core WebAssembly module, not a component: make it one with `carpe build`, or with \
         `wasm-tools component new`"
    )]
    CoreModule,
    /// It ends too early.
    #[error("it ends in the middle, after {bytes} bytes: was it copied whole?")]
    Truncated {
        /// How much of it there is.
        bytes: usize,
    },
    /// It is not a valid component.
    #[error("it is not a valid component: {reason} (at byte {offset})")]
    Malformed {
        /// What is wrong.
        reason: String,
        /// Where.
        offset: usize,
    },
    /// It wants something that no rule gets.
    #[error(
        "it imports {}, which no rule may have: {advice}{}", Names(imports),
        toolchain.map(|advice| format!(". {advice}")).unwrap_or_default()
    )]
    ForbiddenImport {
        /// The names of all such imports.
        imports: Vec<String>,
        /// What to do instead of the first.
        advice: &'static str,
        /// What to do about the toolchain that brings it in, if it is known.
        toolchain: Option<&'static str>,
    },
    /// It was made for another version of the contract.
    #[error(
        "it was made for version {found} of the contract (it has {name}), and this host speaks {supported}: build it \
         against {supported}, or use a host that speaks {found}"
    )]
    OtherContract {
        /// The import or export that names the version.
        name: String,
        /// The version that it names.
        found: String,
        /// The version that this host speaks.
        supported: &'static str,
    },
    /// It is no rule.
    #[error("it does not export {expected}, so it is no rule; {}", Exports(exports))]
    NoRule {
        /// What every rule exports.
        expected: String,
        /// What it exports.
        exports: Vec<String>,
    },
    /// What it imports or exports has the right name, but is not what the contract says.
    #[error("it does not fit the contract: {reason}")]
    Misfit {
        /// Where it does not fit.
        reason: String,
    },
    /// The compiler refused it.
    #[error("it does not compile: {reason}")]
    Compile {
        /// What the compiler says.
        reason: String,
    },
    /// It takes too long to compile.
    #[error("it was not compiled within {limit:?}: make it smaller, or raise the limit")]
    CompileTimeout {
        /// The limit.
        limit: Duration,
    },
    /// Compilers that overran their time are still busy.
    #[error(
        "the compiler is still busy with components that took too long: try again later, or restart the host"
    )]
    CompilerBusy,
}

/// Why a call failed. It had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The rule says so itself; the instance can still be used.
    #[error("the rule failed: {0}")]
    Rule(String),
    /// It trapped.
    #[error("it trapped: {0}")]
    Trap(Trap),
    /// It took too much CPU time.
    #[error("it took more than {limit:?} of CPU time")]
    CpuTime {
        /// The limit. The guest was stopped up to two ticks (10 ms each) later.
        limit: Duration,
    },
    /// It took too long by the clock, though it did not take too much CPU time.
    #[error("it took more than {limit:?} by the clock, though less of CPU time: the machine is overloaded")]
    WallTime {
        /// The limit. The guest was stopped up to two ticks (10 ms each) later.
        limit: Duration,
    },
    /// It trapped after it was refused more memory.
    #[error("it wanted more memory than its limit of {limit} bytes: {trap}")]
    Memory {
        /// The limit, in bytes.
        limit: usize,
        /// How it ended.
        trap: Trap,
    },
    /// It trapped after it was refused a larger table.
    #[error("it wanted a larger table than its limit of {limit} elements: {trap}")]
    Table {
        /// The limit, in elements.
        limit: usize,
        /// How it ended.
        trap: Trap,
    },
    /// It called too deeply.
    #[error("it overflowed its stack: {0}")]
    StackOverflow(Trap),
    /// It gave the host more than fits its quota.
    #[error("it returned more than {limit} bytes in one call")]
    TooMuchReturned {
        /// The limit, in bytes, as the host holds them.
        limit: usize,
    },
    /// There are as many instances as the sandbox has room for.
    #[error("there is no room for another instance: {0}")]
    NoRoom(String),
    /// Its functions have other types than the contract says.
    #[error("it does not fit the contract: {0}")]
    Misfit(String),
    /// It was called again after it had trapped.
    #[error("the instance trapped earlier and cannot be used again")]
    Dead,
}

/// How a guest trapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Why, e.g. `wasm unreachable instruction executed`.
    pub reason: String,
    /// The names of the functions that were running, innermost first, as far as the component names
    /// them. A bounded number.
    pub backtrace: Vec<String>,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        for (position, function) in self.backtrace.iter().enumerate() {
            f.write_str(if position == 0 { ", in " } else { " < " })?;
            f.write_str(function)?;
        }
        Ok(())
    }
}

struct Exports<'a>(&'a [String]);

impl fmt::Display for Exports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("it exports nothing"),
            names => write!(f, "it exports {}", Names(names)),
        }
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        f.write_str(&self.0[..self.0.len().min(SHOWN)].join(", "))?;
        if self.0.len() > SHOWN {
            write!(f, " and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}
