//! `carpe mute`: for a while, nothing of something goes out.

use std::process::ExitCode;

use carpe_connect::sinks::printable;
use serde_json::{Map, Value, json};

use crate::args::{MuteArgs, UnmuteArgs, WhatArgs};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::Failure;
use crate::output::{print, print_json};

const WORD_CHARACTERS: usize = 200;

impl WhatArgs {
    /// As the API names it, and as people do.
    fn named(&self) -> (Map<String, Value>, String) {
        let names = [("rule", &self.rule), ("moment", &self.moment), ("subject", &self.subject)];
        let named = names.into_iter().find_map(|(sort, name)| Some((sort, name.as_deref()?)));
        let (sort, name) = named.unwrap_or_default();
        let order = Map::from_iter([(sort.to_owned(), Value::from(name))]);
        (order, format!("the {sort} {}", printable(name, WORD_CHARACTERS)))
    }
}

pub(crate) fn mute(args: &MuteArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let (mut order, name) = args.what.named();
    order.insert("why".to_owned(), args.why.as_str().into());
    if let Some(seconds) = args.seconds {
        order.insert("for_seconds".to_owned(), seconds.into());
    }
    let answer: Value = block_on(host.change(&["mutes"], &order))?;
    if args.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let until = match answer["until"].as_str() {
        Some(until) => format!("until {until}"),
        None => "until `carpe unmute`".to_owned(),
    };
    print(&format!("muted: {name}, {until}\n"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn unmute(args: &UnmuteArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let (order, name) = args.what.named();
    let answer: Value = block_on(host.change(&["mutes", "end"], &order))?;
    match args.json {
        true => print_json(&json!({ "position": answer["position"] }))?,
        false => print(&format!("not muted any more: {name}\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}
