//! `wasi:cli`: no environment, no arguments, no terminal; input at its end, output to the log.

use wasmtime::bail;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::State;
use super::io::{InputStream, OutputStream, Stream};

enum TerminalInput {}
enum TerminalOutput {}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut environment = linker.instance("wasi:cli/environment@0.2.0")?;
    environment.func_wrap("get-environment", |_, ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_, ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_, ()| Ok((None::<String>,)))?;

    let mut exit = linker.instance("wasi:cli/exit@0.2.0")?;
    exit.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        let how = if status.is_ok() { "as done" } else { "as failed" };
        bail!("it exited {how}: a rule must return from `handle`, not end the program")
    })?;
    exit.func_wrap("exit-with-code", |_, (code,): (u8,)| -> wasmtime::Result<()> {
        bail!("it exited with code {code}: a rule must return from `handle`, not end the program")
    })?;

    linker
        .instance("wasi:cli/stdin@0.2.0")?
        .func_wrap("get-stdin", |_, ()| Ok((Resource::<InputStream>::new_own(0),)))?;
    linker
        .instance("wasi:cli/stdout@0.2.0")?
        .func_wrap("get-stdout", |_, ()| Ok((Resource::<OutputStream>::new_own(Stream::Out.rep()),)))?;
    linker
        .instance("wasi:cli/stderr@0.2.0")?
        .func_wrap("get-stderr", |_, ()| Ok((Resource::<OutputStream>::new_own(Stream::Error.rep()),)))?;
    add_terminals(linker)
}

fn add_terminals(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:cli/terminal-input@0.2.0")?.resource(
        "terminal-input",
        ResourceType::host::<TerminalInput>(),
        |_, _| Ok(()),
    )?;
    linker.instance("wasi:cli/terminal-output@0.2.0")?.resource(
        "terminal-output",
        ResourceType::host::<TerminalOutput>(),
        |_, _| Ok(()),
    )?;
    linker
        .instance("wasi:cli/terminal-stdin@0.2.0")?
        .func_wrap("get-terminal-stdin", |_, ()| Ok((None::<Resource<TerminalInput>>,)))?;
    linker
        .instance("wasi:cli/terminal-stdout@0.2.0")?
        .func_wrap("get-terminal-stdout", |_, ()| Ok((None::<Resource<TerminalOutput>>,)))?;
    linker
        .instance("wasi:cli/terminal-stderr@0.2.0")?
        .func_wrap("get-terminal-stderr", |_, ()| Ok((None::<Resource<TerminalOutput>>,)))
}
