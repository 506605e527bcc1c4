//! `wasi:io`: streams without anything behind them but the log, and waits that are over at once.
//!
//! Resources hold no data, so they take no memory of the host's: a representation says all.

use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime::{StoreContextMut, bail};

use super::State;
use crate::contract::v0_1_0::WriteLog as _;
use crate::sandbox::log::{Lines, LogLevel, Writer};

pub(super) enum Pollable {}
pub(super) enum InputStream {}
pub(super) enum OutputStream {}
pub(super) enum IoError {}

/// Bytes that a guest is told it may write at once.
const WRITE_AT_ONCE: u64 = 4_096;

/// Waits that a guest may have looked at together.
const POLLED_AT_ONCE: usize = 1_000;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// The output streams that there are.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Out,
    Error,
}

impl Stream {
    /// What stands for it in a guest's handle.
    pub(super) fn rep(self) -> u32 {
        match self {
            Stream::Out => 1,
            Stream::Error => 2,
        }
    }

    fn of(resource: &Resource<OutputStream>) -> wasmtime::Result<Stream> {
        match resource.rep() {
            1 => Ok(Stream::Out),
            2 => Ok(Stream::Error),
            other => bail!("there is no output stream {other}"),
        }
    }
}

/// What was printed and is not yet a line.
#[derive(Default)]
pub(super) struct Printed {
    out: Lines,
    error: Lines,
}

impl Printed {
    fn write(&mut self, stream: Stream, bytes: &[u8], log: &mut Writer) {
        match stream {
            Stream::Out => self.out.push(bytes, |line| log.write_log(LogLevel::Info, line)),
            Stream::Error => self.error.push(bytes, |line| log.write_log(LogLevel::Warn, line)),
        }
    }

    pub(super) fn flush(&mut self, log: &mut Writer) {
        self.out.flush(|line| log.write_log(LogLevel::Info, line));
        self.error.flush(|line| log.write_log(LogLevel::Warn, line));
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut error = linker.instance("wasi:io/error@0.2.0")?;
    error.resource("error", ResourceType::host::<IoError>(), |_, _| Ok(()))?;
    error.func_wrap("[method]error.to-debug-string", |_, (_,): (Resource<IoError>,)| Ok((String::new(),)))?;

    let mut poll = linker.instance("wasi:io/poll@0.2.0")?;
    poll.resource("pollable", ResourceType::host::<Pollable>(), |_, _| Ok(()))?;
    poll.func_wrap("[method]pollable.ready", |_, (_,): (Resource<Pollable>,)| Ok((true,)))?;
    poll.func_wrap("[method]pollable.block", |_, (_,): (Resource<Pollable>,)| Ok(()))?;
    poll.func_wrap("poll", |_, (pollables,): (Vec<Resource<Pollable>>,)| match pollables.len() {
        0 => bail!("it waits for nothing"),
        length if length > POLLED_AT_ONCE => bail!("it waits for {length} things at once"),
        length => Ok(((0_u32..).take(length).collect::<Vec<u32>>(),)),
    })?;

    let mut streams = linker.instance("wasi:io/streams@0.2.0")?;
    add_input(&mut streams)?;
    add_output(&mut streams)
}

fn add_input(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.resource("input-stream", ResourceType::host::<InputStream>(), |_, _| Ok(()))?;
    for name in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        streams.func_wrap(name, |_, (_, _length): (Resource<InputStream>, u64)| {
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for name in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        streams.func_wrap(name, |_, (_, _length): (Resource<InputStream>, u64)| {
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    streams.func_wrap("[method]input-stream.subscribe", |_, (_,): (Resource<InputStream>,)| {
        Ok((Resource::<Pollable>::new_own(0),))
    })
}

fn add_output(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.resource("output-stream", ResourceType::host::<OutputStream>(), |_, _| Ok(()))?;
    streams.func_wrap("[method]output-stream.check-write", |_, (_,): (Resource<OutputStream>,)| {
        Ok((Ok::<_, StreamError>(WRITE_AT_ONCE),))
    })?;
    for name in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        streams.func_wrap(
            name,
            |mut store: StoreContextMut<'_, State>, (stream, bytes): (Resource<OutputStream>, Vec<u8>)| {
                let stream = Stream::of(&stream)?;
                let State { wasi, log, .. } = store.data_mut();
                wasi.printed.write(stream, &bytes, log);
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for name in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        streams.func_wrap(name, |_, (_,): (Resource<OutputStream>,)| Ok((Ok::<(), StreamError>(()),)))?;
    }
    // Zeroes say nothing in a log.
    for name in
        ["[method]output-stream.write-zeroes", "[method]output-stream.blocking-write-zeroes-and-flush"]
    {
        streams.func_wrap(name, |_, (_, _length): (Resource<OutputStream>, u64)| {
            Ok((Ok::<(), StreamError>(()),))
        })?;
    }
    // There is only one input, and it is at its end.
    for name in ["[method]output-stream.splice", "[method]output-stream.blocking-splice"] {
        streams.func_wrap(
            name,
            |_, (_, _from, _length): (Resource<OutputStream>, Resource<InputStream>, u64)| {
                Ok((Err::<u64, _>(StreamError::Closed),))
            },
        )?;
    }
    streams.func_wrap("[method]output-stream.subscribe", |_, (_,): (Resource<OutputStream>,)| {
        Ok((Resource::<Pollable>::new_own(0),))
    })
}
