//! Actions onto standard output.

use std::io::{self, Write};

use carpe::{Delivery, Reply, Sink};
use serde::Deserialize;

use super::line_writer::{LineWriter, Lines, QUEUE};
use super::text::describe;

/// Prints each action as a line.
pub struct StdoutSink {
    writer: LineWriter,
    format: StdoutFormat,
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdoutFormat {
    /// For people: see [`describe`].
    #[default]
    Text,
    /// The CloudEvent in JSON.
    Jsonl,
}

impl StdoutSink {
    /// Starts the thread that prints.
    pub fn start(format: StdoutFormat) -> io::Result<Self> {
        StdoutSink::start_with(format, io::stdout())
    }

    /// The same, onto another stream.
    pub fn start_with(format: StdoutFormat, stream: impl Write + Send + 'static) -> io::Result<Self> {
        Ok(StdoutSink { writer: LineWriter::start("carpe-stdout", Stream(stream))?, format })
    }
}

impl Sink for StdoutSink {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        let mut line = match self.format {
            StdoutFormat::Text => describe(&delivery.event),
            StdoutFormat::Jsonl => delivery.event.to_json(),
        };
        line.push('\n');
        self.writer.write(line, reply);
    }

    fn concurrency(&self) -> usize {
        QUEUE
    }
}

struct Stream<W>(W);

impl<W: Write + Send + 'static> Lines for Stream<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.write_all(lines)?;
        self.0.flush()
    }
}
