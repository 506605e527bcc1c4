//! How commands talk to a host that runs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use carpe_connect::Secret;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::HostArgs;
use crate::failure::{Explain, Failure, Kind, causes};
use crate::output::print_json;
use crate::run::Addresses;

/// A host that answers nothing for so long does not answer at all.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which of a host's two listeners is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listener {
    Events,
    Operators,
}

impl Listener {
    fn usual(self) -> &'static str {
        match self {
            Listener::Events => "http://127.0.0.1:8480",
            Listener::Operators => "http://127.0.0.1:8481",
        }
    }

    fn of(self, addresses: Addresses) -> Option<String> {
        match self {
            Listener::Events => addresses.events,
            Listener::Operators => addresses.operators,
        }
    }
}

pub(crate) struct HostClient {
    client: Client,
    base: Url,
    token: Option<Secret>,
}

/// What a host says when it does not do what it is asked for (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
    /// Which event of a batch, from 0.
    pub(crate) index: Option<usize>,
}

impl HostClient {
    pub(crate) fn new(host: &HostArgs, listener: Listener) -> Result<Self, Failure> {
        let base = match &host.to {
            Some(url) => url.clone(),
            None => of_data_folder(&host.data, listener)?,
        };
        let base = Url::parse(&base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .with_context(|| format!("`{base}` is no URL of a host"))
            .kind(Kind::Usage)
            .hint(format!("for example {}", listener.usual()))?;
        let token = host.token_file.as_deref().map(Secret::from_file).transpose();
        let token = token.map_err(anyhow::Error::new).kind(Kind::Usage)?;
        let client = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).no_proxy();
        // Without TLS the system's certificates need not be there.
        let client = if base.scheme() == "http" { client.tls_certs_only([]) } else { client };
        let client = client.build().context("cannot set up the HTTP client")?;
        Ok(HostClient { client, base, token })
    }

    pub(crate) fn post(&self, path: &str) -> Result<RequestBuilder, Failure> {
        Ok(self.authorised(self.client.post(self.url(path)?)))
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        Ok(self.base.join(path).with_context(|| format!("`{}` is no URL of a host", self.base))?)
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// Sends a request; an answer of any kind is an answer.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let asked = request.send().await.map_err(|error| {
            // The first cause says it all: "connection refused".
            let cause = causes(&error.without_url()).pop().unwrap_or_default();
            anyhow::Error::msg(cause).context(format!("no host answers at {}", self.base))
        });
        asked
            .kind(Kind::Unreachable)
            .hint("is `carpe run` running? --to URL says where, --data FOLDER which data folder it has")
    }

    /// Gets what a path shows, given by its parts.
    pub(crate) async fn show<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let mut url = self.at(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.understood(self.client.get(url)).await
    }

    /// Asks for something to be changed.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        path: &[&str],
        wish: &impl Serialize,
    ) -> Result<T, Failure> {
        self.understood(self.client.post(self.at(path)?).json(wish)).await
    }

    /// Asks for each of several things to be changed, `/SORT/ID/VERB`: one that is refused does not hold up the others.
    /// Returns how many were done and how many refused; `json`: prints what the host answers.
    pub(crate) async fn change_each(
        &self,
        (sort, verb): (&str, &str),
        ids: &[String],
        wish: &impl Serialize,
        json: bool,
    ) -> Result<(u64, u64), Failure> {
        let (mut done, mut refused) = (0, 0);
        for id in ids {
            match self.change::<Value>(&[sort, id, verb], wish).await {
                Ok(answer) => {
                    done += 1;
                    if json {
                        print_json(&json!({ "id": id, "position": answer["position"] }))?;
                    }
                }
                Err(failure) if failure.kind == Kind::Failed => {
                    refused += 1;
                    eprint!("{failure}");
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok((done, refused))
    }

    fn at(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.url("/")?;
        // That it has no path is not so of `http:` and `https:`.
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.clear().extend(path);
        }
        Ok(url)
    }

    async fn understood<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let answer = self.ask(self.authorised(request)).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let understood = answer.json().await.map_err(|error| anyhow::Error::new(error.without_url()));
        Ok(understood.with_context(|| {
            format!("{} answers, but not as a host's operators' listener does", self.base)
        })?)
    }
}

fn of_data_folder(data: &Path, listener: Listener) -> Result<String, Failure> {
    let Some(addresses) = Addresses::read(data)? else { return Ok(listener.usual().to_owned()) };
    listener.of(addresses).ok_or_else(|| {
        Failure::new(Kind::Unreachable, format!("the host of {} does not listen there", data.display()))
            .with_hint("its configuration says `none` in `[listen]`")
    })
}

/// What an answer that is no success says.
pub(crate) async fn problem(answer: Response) -> Problem {
    let status = answer.status();
    answer
        .json()
        .await
        .unwrap_or_else(|_| Problem { detail: format!("it answered {status}"), ..Problem::default() })
}

/// An answer that is no success, as a failure.
pub(crate) async fn refusal(answer: Response) -> Failure {
    let needs_token = answer.status() == StatusCode::UNAUTHORIZED;
    let Problem { detail, hint, .. } = problem(answer).await;
    let failure = Failure::new(Kind::Failed, format!("the host refuses: {detail}"));
    match hint {
        Some(hint) => failure.with_hint(hint),
        None if needs_token => failure.with_hint("--token-file FILE gives the token"),
        None => failure,
    }
}

/// A runtime for a command that talks to a host.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start what input and output needs")?.block_on(work)
}
