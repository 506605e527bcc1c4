//! What commands print on standard output.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Prints a text. That nobody reads it any more (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(value).context("cannot write it as JSON")?;
    text.push('\n');
    print(&text)
}

/// Where lines go that may be many: a file, or `-`, which is standard output.
pub(crate) struct Lines {
    name: String,
    to: BufWriter<Box<dyn Write>>,
}

impl Lines {
    /// What it holds may be private: a new file belongs to its owner alone.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Lines> {
        if is_stdout(path) {
            return Ok(Lines::to("standard output", Box::new(io::stdout())));
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let name = path.display().to_string();
        let file = options.open(path).with_context(|| format!("cannot create {name}"))?;
        Ok(Lines::to(&name, Box::new(file)))
    }

    fn to(name: &str, to: Box<dyn Write>) -> Lines {
        Lines { name: name.to_owned(), to: BufWriter::new(to) }
    }

    /// Writes lines that end as such.
    pub(crate) fn write(&mut self, lines: &str) -> anyhow::Result<()> {
        let written = self.to.write_all(lines.as_bytes());
        self.judged(written)
    }

    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let flushed = self.to.flush();
        self.judged(flushed)
    }

    fn judged(&self, result: io::Result<()>) -> anyhow::Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result.with_context(|| format!("cannot write to {}", self.name)),
        }
    }
}

pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Rows as columns of equal width, two blanks between them; the last column is not filled up.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Bytes, as people read them.
#[expect(clippy::cast_precision_loss, reason = "only three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "bytes" { format!("{count} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// A count with its digits in groups: `12,345`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 event`, `2,000 events`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1024, 5 << 20].map(bytes), ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB"]);
        assert_eq!(counted(1, "event"), "1 event");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "b".to_owned()], ["längst".to_owned(), String::new()]];
        assert_eq!(columns(&rows), "a       b\nlängst\n");
    }
}
