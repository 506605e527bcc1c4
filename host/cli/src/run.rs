//! `carpe run`: a host with its sources, sinks and listeners, from the start to a graceful stop.

mod addresses;
mod printer;
mod progress;
mod sources;
mod stop;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use carpe::status::PluginState;
use carpe::{Host, StartError};
use carpe_connect::config::Sinks;
use carpe_connect::sources::file::{FileSource, OnBadLine};
use carpe_connect::{ConsentFile, ListenError, Server};

use crate::args::RunArgs;
use crate::config::{Config, PrintFormat, STDOUT};
use crate::failure::{Explain, Failure, Kind};
use crate::logging;

pub(crate) use addresses::Addresses;
use printer::{Printer, Printing};
use stop::{Cause, Stop, Trigger};

/// How long the last lines may take to be printed.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Inputs that were set aside are shown at the end, at most so many of each rule.
const SHOWN_DEAD_LETTERS: usize = 10;

pub(crate) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let mut config = Config::load(args.config.as_deref())?;
    overrule(&mut config, &args);
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads for input and output")?;
    let ended = runtime.block_on(Running::run(config, &Once::of(&args)));
    // What still blocks in the background does not hold up the end: all that counts is on disk.
    runtime.shutdown_background();
    ended
}

/// What stands on the command line goes before what stands in the file.
fn overrule(config: &mut Config, args: &RunArgs) {
    let set = |to: &mut PathBuf, from: &Option<PathBuf>| {
        if let Some(from) = from {
            to.clone_from(from);
        }
    };
    set(&mut config.data, &args.data);
    set(&mut config.plugins, &args.plugins);
    config.threads = args.threads.or(config.threads);
    config.timeline = args.timeline.unwrap_or(config.timeline);
    config.moments.print = match (args.json, args.print) {
        (true, _) => PrintFormat::Json,
        (false, print) => print.unwrap_or(config.moments.print),
    };
    config.log.format = args.log_format.unwrap_or(config.log.format);
    if let Some(filter) = &args.log {
        config.log.filter.clone_from(filter);
    }
    if let Some(address) = &args.listen_events {
        config.listen.events.clone_from(address);
    }
    if let Some(address) = &args.listen_operators {
        config.listen.operators.clone_from(address);
    }
}

/// Files that are read to their end, instead of listening.
struct Once {
    files: Vec<PathBuf>,
    on_bad_line: OnBadLine,
}

impl Once {
    fn of(args: &RunArgs) -> Once {
        let on_bad_line = if args.skip_bad_lines { OnBadLine::Skip } else { OnBadLine::Stop };
        Once { files: args.once.clone(), on_bad_line }
    }

    fn source(&self, file: &Path) -> FileSource {
        let mut source = match file.as_os_str() == "-" {
            true => FileSource::stdin(),
            false => FileSource::file(file),
        };
        source.on_bad_line = self.on_bad_line;
        source
    }
}

/// A host that runs, with all that feeds it and is fed by it.
struct Running {
    config: Config,
    host: Host,
    sinks: Sinks,
    printing: Printing,
    events: Option<Server>,
    operators: Option<Server>,
    addresses: Option<Addresses>,
    consents: Option<ConsentFile>,
}

impl Running {
    async fn run(config: Config, once: &Once) -> Result<ExitCode, Failure> {
        let mut stop = Stop::listen()?;
        let mut running = tokio::select! {
            started = Running::start(config, stop.trigger()) => started?,
            cause = stop.wait() => {
                return Err(Failure::new(Kind::Failed, format!("{cause}, before the host had started")));
            }
        };
        let outcome = if once.files.is_empty() {
            match running.listen().await {
                Ok(()) => running.serve(&mut stop).await,
                Err(failure) => Err(failure),
            }
        } else {
            running.read_once(once, &mut stop).await
        };
        running.end(&mut stop).await;
        outcome
    }

    async fn start(config: Config, stop: Trigger) -> Result<Running, Failure> {
        let runtime = tokio::runtime::Handle::current();
        let sinks = Sinks::start(&config.sinks, &config.folder, &runtime);
        let sinks = sinks.map_err(anyhow::Error::new).kind(Kind::Config)?;
        let consents = config.consent_file.as_ref().map(ConsentFile::new);
        if let Some(consents) = &consents {
            // Before anything is started: without it, what needs a yes would be withheld for ever.
            std::fs::File::open(consents.path()).with_context(|| unread(consents)).kind(Kind::Config)?;
        }
        let printer = Printer::new(config.moments.print, config.prints_actions(), stop);
        let mut builder = sinks.add_to(config.builder());
        if !sinks.has(STDOUT) {
            builder = builder.sink(STDOUT, Arc::new(printer.sink()));
        }
        let host = progress::while_starting(tokio::task::spawn_blocking(|| builder.start())).await;
        let host = host.context("the host broke down while it started")?.map_err(start_failure)?;
        let printing = printer.start(host.moments()).context("cannot start the thread that prints")?;
        if let Some(consents) = consents.clone() {
            let (host, named) = (host.clone(), unread(&consents));
            let read = tokio::task::spawn_blocking(move || consents.read(&host)).await;
            read.context("the host broke down")?.context(named).kind(Kind::Config)?;
        }
        Ok(Running {
            config,
            host,
            sinks,
            printing,
            events: None,
            operators: None,
            addresses: None,
            consents,
        })
    }

    async fn listen(&mut self) -> Result<(), Failure> {
        let listen = &self.config.listen;
        let operators = listen.operators().context("in `[listen]`").kind(Kind::Config)?;
        let source = listen.source().context("in `[listen]`").kind(Kind::Config)?;
        if let Some(mut operators) = operators {
            operators.consent_file.clone_from(&self.consents);
            let server = operators.start(self.host.clone(), self.sinks.clone()).await;
            self.operators = Some(server.map_err(listen_failure)?);
        }
        if let Some(source) = source {
            let server = source.start(self.host.clone()).await;
            self.events = Some(server.map_err(listen_failure)?);
        }
        let url =
            |server: &Option<Server>| server.as_ref().map(|server| format!("http://{}", server.address()));
        let addresses = Addresses::new(url(&self.events), url(&self.operators));
        addresses.write(&self.config.data)?;
        let shown = |url: &Option<String>| url.clone().unwrap_or_else(|| "none".to_owned());
        tracing::info!(
            events = shown(&addresses.events),
            operators = shown(&addresses.operators),
            "listening"
        );
        self.addresses = Some(addresses);
        Ok(())
    }

    /// Until somebody asks it to stop.
    async fn serve(&self, stop: &mut Stop) -> Result<ExitCode, Failure> {
        let sources = sources::start(&self.config, &self.host);
        let consents = self.consents.clone().map(|file| tokio::spawn(file.follow(self.host.clone())));
        let catching_up = tokio::spawn(progress::while_catching_up(self.host.clone()));
        let cause = stop.wait().await;
        tracing::info!("{cause}: the host finishes what it has accepted (again: at once)");
        catching_up.abort();
        if let Some(consents) = consents {
            consents.abort();
        }
        tokio::select! {
            () = sources::stop(sources) => {}
            _ = stop.wait() => {}
        }
        match cause {
            Cause::Asked(_) => Ok(ExitCode::SUCCESS),
            Cause::Unread => Err(Failure::new(Kind::Failed, "nobody reads standard output any more")),
        }
    }

    /// Reads files to their end, and waits until all that follows from them has happened.
    async fn read_once(&self, once: &Once, stop: &mut Stop) -> Result<ExitCode, Failure> {
        let mut read = sources::Read::default();
        for file in &once.files {
            let report = progress::Reading::of(file).report();
            let progress = once.source(file).run(self.host.clone(), stop.asked(), report).await;
            let progress = progress.map_err(anyhow::Error::new);
            read.add(
                &progress.hint("what came before it is accepted; --skip-bad-lines goes on after bad ones")?,
            );
            if stop.is_asked() {
                break;
            }
        }
        tokio::select! {
            settled = progress::while_settling(self.host.clone()) => settled?,
            cause = stop.wait() => tracing::info!("{cause}: the next run goes on"),
        }
        let host = self.host.clone();
        let looked =
            tokio::task::spawn_blocking(move || (host.status(), host.dead_letters(SHOWN_DEAD_LETTERS)));
        let (status, dead_letters) = looked.await.context("the host broke down")?;
        eprint!("{}", read.summary(&status, &dead_letters));
        match status.plugins.iter().find(|plugin| plugin.state == PluginState::Refused) {
            Some(refused) => {
                let reason = refused.reason.as_deref().unwrap_or("see the log");
                let message = format!("the plugin {}.wasm is refused: {reason}", refused.file);
                Err(Failure::new(Kind::Failed, message))
            }
            None => Ok(ExitCode::SUCCESS),
        }
    }

    /// Finishes what was accepted, within the time that the configuration gives.
    async fn end(self, stop: &mut Stop) {
        // What is to be printed and nobody reads would never be done.
        let within = match stop.is_unread() {
            true => Duration::ZERO,
            false => Duration::from_millis(self.config.shutdown.drain_ms),
        };
        let Running { config, host, printing, events, operators, addresses, .. } = self;
        let drain = async {
            if let Some(events) = events {
                events.stop(within).await;
            }
            let drained = tokio::task::spawn_blocking(move || host.shutdown(within)).await;
            match drained {
                Ok(report) if report.drained => tracing::info!("stopped: all that was accepted is done"),
                Ok(report) => tracing::warn!(
                    open_actions = report.open_actions,
                    "stopped before all was done: the next start goes on with it"
                ),
                Err(error) => tracing::error!(%error, "the host broke down while it stopped"),
            }
        };
        let at_once = tokio::select! {
            () = drain => false,
            _ = stop.wait() => true,
        };
        if let Some(operators) = operators {
            operators.stop(Duration::ZERO).await;
        }
        if let Some(addresses) = addresses {
            addresses.remove(&config.data);
        }
        if at_once {
            tracing::warn!("stopped at once: the next start goes on with the rest");
        } else {
            printing.end(LAST_MOMENT);
        }
    }
}

fn unread(consents: &ConsentFile) -> String {
    format!("cannot read the consent file {}", consents.path().display())
}

fn listen_failure(error: ListenError) -> Failure {
    let in_use = matches!(error, ListenError::Bind { .. });
    let failure = Failure::from(anyhow::Error::new(error));
    if in_use {
        return failure
            .with_hint("does a host run already? `carpe status` asks it; port 0 takes any free one");
    }
    Failure { kind: Kind::Config, ..failure }
}

fn start_failure(error: StartError) -> Failure {
    let in_use = "`carpe status` asks the host that runs; --data FOLDER runs a second one";
    Failure::of_data(error, "start the host", in_use)
}
