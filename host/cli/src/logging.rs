//! The log: on standard error, for people or as JSON. Only the command sets one up; the libraries don't.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::failure::{Explain, Failure, Kind};

/// What libraries say of their inner life is of interest only to who asks for it by name.
const LIBRARIES: &str = "fjall=warn,lsm_tree=warn,sfa=warn,value_log=warn,hyper=info,hyper_util=info,h2=info,\
                         reqwest=info,rustls=info,wasmtime=info,cranelift=info,regalloc2=info,notify=info";

/// Installs the log.
pub(crate) fn start(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .parse(format!("{LIBRARIES},{}", config.filter))
        .with_context(|| format!("`log.filter` is `{}`, which is no filter", config.filter));
    let filter = filter.kind(Kind::Config).hint("a level (`info`), or more: `info,carpe::guest=debug`")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(colours).with_target(false).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
