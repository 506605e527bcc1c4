//! What an operator writes about sources, sinks and listeners in `carpe.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carpe::{HostBuilder, Sink, SinkOptions};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::operators::Operators;
use crate::sinks::{FileSink, FileSinkError, StdoutFormat, StdoutSink, Webhook, WebhookError};
use crate::sources::file::{FileSource, OnBadLine};
use crate::sources::http::HttpSource;
use crate::{Secret, SecretError};

mod sink_table;

/// A listener's address that means: there is none.
const NONE: &str = "none";

/// `[listen]`: the two HTTP listeners.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ListenConfig {
    /// Where events come in: an address and a port, or `none`.
    pub events: String,
    /// Where operators look: an address and a port, or `none`.
    pub operators: String,
    /// What each request must carry as `Authorization: Bearer TOKEN`. Needed beyond loopback.
    pub token: Option<Secret>,
    /// The same, in a file.
    pub token_file: Option<PathBuf>,
    /// Another token for the operators' listener, so that who sends events can't read the status.
    pub operators_token: Option<Secret>,
    /// The same, in a file.
    pub operators_token_file: Option<PathBuf>,
    /// Connections to the events' listener at once.
    pub max_connections: usize,
    /// Bytes of a batch of events, as it is sent.
    pub max_batch_bytes: usize,
}

impl Default for ListenConfig {
    fn default() -> Self {
        ListenConfig {
            events: "127.0.0.1:8480".to_owned(),
            operators: "127.0.0.1:8481".to_owned(),
            token: None,
            token_file: None,
            operators_token: None,
            operators_token_file: None,
            max_connections: 512,
            max_batch_bytes: 8 << 20,
        }
    }
}

impl ListenConfig {
    /// The source of events, unless there is none.
    pub fn source(&self) -> Result<Option<HttpSource>, SecretError> {
        let token = self.events_token()?;
        Ok((self.events != NONE).then(|| {
            let mut source = HttpSource::new(&self.events, token);
            source.batch_bytes = self.max_batch_bytes;
            source.limits.connections = self.max_connections;
            source
        }))
    }

    /// The operators' listener, unless there is none.
    pub fn operators(&self) -> Result<Option<Operators>, SecretError> {
        let (own, file) = (self.operators_token.as_ref(), self.operators_token_file.as_deref());
        let token = match Secret::from_either("operators_token", own, file)? {
            Some(own) => Some(own),
            None => self.events_token()?,
        };
        Ok((self.operators != NONE).then(|| Operators::new(&self.operators, token)))
    }

    fn events_token(&self) -> Result<Option<Secret>, SecretError> {
        Secret::from_either("token", self.token.as_ref(), self.token_file.as_deref())
    }
}

/// `[[source]]`: where events come in besides HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum SourceConfig {
    /// A file of CloudEvents in JSON, one a line.
    File(FileSourceConfig),
    /// The same from standard input.
    Stdin(StdinConfig),
}

/// A source of kind `file`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileSourceConfig {
    /// The file.
    pub path: PathBuf,
    /// At its end, wait for more.
    #[serde(default)]
    pub follow: bool,
    /// What to do about a line that is no event.
    #[serde(default)]
    pub on_bad_line: OnBadLine,
}

/// A source of kind `stdin`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct StdinConfig {
    /// What to do about a line that is no event.
    pub on_bad_line: OnBadLine,
}

impl SourceConfig {
    /// The source. A relative path is taken from `folder`.
    pub fn source(&self, folder: &Path) -> FileSource {
        match self {
            SourceConfig::File(config) => {
                let mut source = FileSource::file(folder.join(&config.path));
                source.follow = config.follow;
                source.on_bad_line = config.on_bad_line;
                source
            }
            SourceConfig::Stdin(config) => {
                let mut source = FileSource::stdin();
                source.on_bad_line = config.on_bad_line;
                source
            }
        }
    }
}

/// `[sink.NAME]`: where actions go out, and how the host treats it. Both stand in one table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkConfig {
    /// What it is.
    pub kind: SinkKind,
    /// What every sink may have.
    pub options: SinkOptions,
}

/// What a sink is.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum SinkKind {
    /// A POST to a URL.
    Webhook(WebhookConfig),
    /// A line of JSON in a file.
    File(FileSinkConfig),
    /// A line on standard output.
    Stdout(StdoutConfig),
}

/// A sink of kind `webhook`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// Where to. It may hold a secret, so it is kept as one.
    pub url: Secret,
    /// What requests are signed with, by Standard Webhooks: `whsec_...`. None: they are not signed.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The same, in a file.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// How long one try may take, in milliseconds.
    #[serde(default = "ten_seconds")]
    pub timeout_ms: u64,
}

fn ten_seconds() -> u64 {
    10_000
}

/// A sink of kind `file`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileSinkConfig {
    /// The file.
    pub path: PathBuf,
}

/// A sink of kind `stdout`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct StdoutConfig {
    /// What a line looks like.
    pub format: StdoutFormat,
}

/// The sinks of a configuration, started.
#[derive(Clone, Default)]
pub struct Sinks {
    by_name: BTreeMap<String, (Arc<dyn Sink>, SinkOptions)>,
    webhooks: BTreeMap<String, Webhook>,
}

/// Why a sink can't be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the sink `{name}`")]
pub struct SinkError {
    /// Its name.
    pub name: String,
    /// Why.
    #[source]
    pub reason: SinkErrorReason,
}

/// Why a sink can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error(transparent)]
pub enum SinkErrorReason {
    /// Its secret.
    Secret(#[from] SecretError),
    /// What else a webhook needs.
    Webhook(#[from] WebhookError),
    /// Its file.
    File(#[from] FileSinkError),
    /// Its thread.
    Thread(#[from] std::io::Error),
}

impl Sinks {
    /// Starts the sinks of `configs`. A relative path is taken from `folder`; requests run on `runtime`.
    pub fn start(
        configs: &BTreeMap<String, SinkConfig>,
        folder: &Path,
        runtime: &Handle,
    ) -> Result<Self, SinkError> {
        let mut sinks = Sinks::default();
        for (name, config) in configs {
            let started = sinks.add(name, config, folder, runtime);
            started.map_err(|reason| SinkError { name: name.clone(), reason })?;
        }
        Ok(sinks)
    }

    /// A host with these sinks, each treated as the configuration has it.
    pub fn add_to(&self, host: HostBuilder) -> HostBuilder {
        self.by_name.iter().fold(host, |host, (name, (sink, options))| {
            host.sink_with(name, Arc::clone(sink), options.clone())
        })
    }

    /// Whether there is a sink `name`.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Why nothing is sent to the sink `name` any more, if so.
    pub fn stopped(&self, name: &str) -> Option<&'static str> {
        let gone = self.webhooks.get(name).is_some_and(Webhook::is_gone);
        gone.then_some("the receiver answered 410 Gone")
    }

    fn add(
        &mut self,
        name: &str,
        config: &SinkConfig,
        folder: &Path,
        runtime: &Handle,
    ) -> Result<(), SinkErrorReason> {
        let sink: Arc<dyn Sink> = match &config.kind {
            SinkKind::File(config) => Arc::new(FileSink::open(folder.join(&config.path))?),
            SinkKind::Stdout(config) => Arc::new(StdoutSink::start(config.format)?),
            SinkKind::Webhook(config) => {
                let file = config.secret_file.as_ref().map(|file| folder.join(file));
                let secret = Secret::from_either("secret", config.secret.as_ref(), file.as_deref())?;
                let timeout = Duration::from_millis(config.timeout_ms);
                let url = config.url.expose();
                let webhook = Webhook::new(name, url, secret.as_ref(), timeout, runtime.clone())?;
                self.webhooks.insert(name.to_owned(), webhook.clone());
                Arc::new(webhook)
            }
        };
        self.by_name.insert(name.to_owned(), (sink, config.options.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use carpe::WhenFull;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        listen: ListenConfig,
        source: Vec<SourceConfig>,
        sink: BTreeMap<String, SinkConfig>,
    }

    #[test]
    fn a_configuration_is_read() {
        let config: Config = toml::from_str(
            r#"
            [listen]
            operators = "none"
            token = "abc"

            [[source]]
            kind = "file"
            path = "events.jsonl"
            follow = true
            on_bad_line = "skip"

            [[source]]
            kind = "stdin"

            [sink.ops]
            kind = "webhook"
            url = "https://example.org/hook/t0ken"
            secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

            [sink.log]
            kind = "file"
            path = "actions.jsonl"

            [sink.screen]
            max_waiting = 50
            when_full = "set-aside"
            kind = "stdout"
            format = "jsonl"
            ordered = true
            breaker_failures = 0
            "#,
        )
        .unwrap();
        let shown = format!("{config:?}");
        for secret in ["abc", "t0ken", "whsec_"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(config.listen.source().unwrap().is_some());
        assert!(config.listen.operators().unwrap().is_none());
        assert_eq!(config.source.len(), 2);
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sinks = Sinks::start(&config.sink, folder.path(), runtime.handle()).unwrap();
        assert_eq!(sinks.by_name.keys().collect::<Vec<_>>(), ["log", "ops", "screen"]);
        assert!(sinks.has("log") && !sinks.has("logs"));
        let options = &config.sink["screen"].options;
        assert_eq!((options.max_waiting, options.when_full), (50, WhenFull::SetAside));
        assert_eq!((options.ordered, options.breaker_failures), (true, 0));
        assert_eq!(config.sink["log"].options, SinkOptions::default());
        assert_eq!(sinks.stopped("ops"), None);
        assert!(folder.path().join("actions.jsonl").exists());
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (text, expected) in [
            ("[listen]\nevent = \"127.0.0.1:1\"", "unknown field `event`"),
            ("[sink.a]\nkind = \"pigeon\"", "unknown variant `pigeon`"),
            ("[sink.a]\nkind = \"file\"\npath = \"x\"\nurl = \"y\"", "unknown field `url`"),
            ("[sink.a]\nkind = \"webhook\"", "missing field `url`"),
            ("[sink.a]\npath = \"x\"", "missing field `kind`"),
            (
                "[sink.a]\nkind = \"file\"\npath = \"x\"\nmax_wating = 1",
                "unknown field `max_wating`, expected one of `path`, `max_waiting`, `when_full`",
            ),
            (
                "[sink.a]\nkind = \"webhook\"\nurl = \"x\"\norderd = true",
                "unknown field `orderd`, expected one of `url`, `secret`, `secret_file`, `timeout_ms`, `max_waiting`",
            ),
            (
                "[sink.a]\nkind = \"stdout\"\nmax_waiting = 0",
                "invalid value: integer `0`, expected a nonzero",
            ),
            ("[sink.a]\nkind = \"stdout\"\nmax_waiting = \"x\"", "invalid type: string \"x\""),
            (
                "[sink.a]\nkind = \"stdout\"\nwhen_full = \"drop\"",
                "unknown variant `drop`, expected `pause` or `set-aside`",
            ),
            ("[sink.a]\nkind = \"stdout\"\nordered = true\nordered = false", "duplicate key"),
            ("[[source]]\nkind = \"file\"\npath = \"x\"\non_bad_line = \"cry\"", "unknown variant `cry`"),
        ] {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (webhook, expected) in [
            ("url = \"ftp://example.org/t0ken\"", "its scheme is `ftp`"),
            ("url = \"t0ken\"", "not an http or https URL"),
            ("url = \"https://example.org/\"\nsecret = \"t0ken\"", "`whsec_` and then"),
            ("url = \"https://example.org/\"\nsecret = \"\"", "the secret in `secret` is empty"),
            ("url = \"https://example.org/\"\nsecret_file = \"none\"", "cannot read the secret file"),
        ] {
            let config: Config = toml::from_str(&format!("[sink.a]\nkind = \"webhook\"\n{webhook}")).unwrap();
            let Err(error) = Sinks::start(&config.sink, Path::new("/nowhere"), runtime.handle()) else {
                panic!("{webhook} is refused");
            };
            let shown = format!("{error}: {}", error.reason);
            assert!(shown.contains(expected) && shown.contains("sink `a`"), "{shown}");
            assert!(!shown.contains("t0ken"), "{shown}");
        }
    }
}
