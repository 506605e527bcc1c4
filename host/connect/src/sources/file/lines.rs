//! Lines of bounded length from a stream that may go on later.

use std::io::{self, BufRead, BufReader, Read};

use memchr::memchr;

use super::cursor::Position;

/// Read at once from the file.
const BUFFER_BYTES: usize = 256 << 10;

pub(super) struct Lines<R> {
    input: BufReader<R>,
    /// How many bytes of the input's buffer are the line, if all of it is there...
    held: usize,
    /// ...else the line, as far as it was read.
    line: Vec<u8>,
    /// Where the last whole line ends.
    end: Position,
    /// Bytes that were read of the line after it.
    begun: u64,
    limit: usize,
    /// The line is too long: its text is being thrown away.
    skipping: bool,
}

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole line, in [`Lines::text`].
    Line,
    /// A whole line that is longer than the limit; its text is thrown away.
    TooLong,
    /// The end of what there is. What there is of a line without an end stays, and is read on later.
    End,
}

impl<R: Read> Lines<R> {
    /// Reads lines of at most `limit` bytes. `input` stands at `start`.
    pub(super) fn new(input: R, start: Position, limit: usize) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Lines { input, held: 0, line: Vec::new(), end: start, begun: 0, limit, skipping: false }
    }

    /// Whether a line can be read without waiting for the input.
    pub(super) fn has_line(&self) -> bool {
        memchr(b'\n', &self.input.buffer()[self.held..]).is_some()
    }

    /// Reads on.
    pub(super) fn read(&mut self) -> io::Result<Found> {
        self.input.consume(std::mem::take(&mut self.held));
        if self.begun == 0 {
            if let Some(end) = memchr(b'\n', self.input.buffer()).filter(|end| *end <= self.limit) {
                // Most lines: nothing is copied.
                self.held = end + 1;
                self.begun = self.held as u64;
                self.line.clear();
                return Ok(self.found(Found::Line));
            }
            self.line.clear();
        }
        if !self.skipping {
            if self.read_line()? {
                return Ok(self.found(Found::Line));
            }
            if self.line.len() <= self.limit {
                return Ok(Found::End);
            }
            self.skipping = true;
            self.line.clear();
        }
        self.skip()
    }

    /// Reads on, to the line's end or one byte past the limit. `false`: the line has not ended.
    fn read_line(&mut self) -> io::Result<bool> {
        loop {
            let room = (self.limit + 1).saturating_sub(self.line.len());
            let buffer = self.input.fill_buf()?;
            let buffer = &buffer[..room.min(buffer.len())];
            let end = memchr(b'\n', buffer).map(|end| end + 1);
            let used = end.unwrap_or(buffer.len());
            self.line.extend_from_slice(&buffer[..used]);
            self.input.consume(used);
            self.begun += used as u64;
            if end.is_some() || used == 0 {
                return Ok(end.is_some());
            }
        }
    }

    /// Throws away the rest of a line.
    fn skip(&mut self) -> io::Result<Found> {
        loop {
            let buffer = self.input.fill_buf()?;
            let (used, ended) = match memchr(b'\n', buffer) {
                Some(position) => (position + 1, true),
                None => (buffer.len(), false),
            };
            self.input.consume(used);
            self.begun += used as u64;
            if ended {
                return Ok(self.found(Found::TooLong));
            }
            if used == 0 {
                return Ok(Found::End);
            }
        }
    }

    /// There will be no more: a last line without an end counts as one.
    pub(super) fn finish(&mut self) -> Found {
        match (self.begun, self.skipping) {
            (0, _) => Found::End,
            (_, true) => self.found(Found::TooLong),
            (_, false) => self.found(Found::Line),
        }
    }

    fn found(&mut self, what: Found) -> Found {
        self.end.offset += std::mem::take(&mut self.begun);
        self.end.line += 1;
        self.skipping = false;
        what
    }

    /// The line, without its end and without a byte order mark.
    pub(super) fn text(&self) -> &[u8] {
        let line = if self.held > 0 { &self.input.buffer()[..self.held] } else { &self.line };
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match self.end.line {
            1 => text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            _ => text,
        }
    }

    /// Where the last whole line ends.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// Up to which byte the input has been read.
    pub(super) fn read_to(&self) -> u64 {
        self.end.offset + self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of `text`, given in pieces of `piece` bytes with an end of file after each.
    fn lines(text: &str, piece: usize, limit: usize) -> Vec<(u64, u64, String)> {
        let mut found = Vec::new();
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece).collect();
        let mut input = Pieces { pieces, ended: false };
        let mut lines = Lines::new(&mut input, Position::default(), limit);
        let mut ends = 0;
        loop {
            let what = match lines.read().unwrap() {
                Found::End if ends < text.len() + 2 => {
                    ends += 1;
                    continue;
                }
                Found::End => lines.finish(),
                what => what,
            };
            let text = match what {
                Found::Line => String::from_utf8(lines.text().to_vec()).unwrap(),
                Found::TooLong => "too long".to_owned(),
                Found::End => return found,
            };
            found.push((lines.end().line, lines.end().offset, text));
        }
    }

    struct Pieces<'a> {
        pieces: Vec<&'a [u8]>,
        ended: bool,
    }

    impl Read for &mut Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.ended = !self.ended;
            if self.ended || self.pieces.is_empty() {
                return Ok(0);
            }
            let piece = self.pieces.remove(0);
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = "\u{feff}one\r\ntwo\n\nmuch too long for this\nfour\u{feff}\nlast";
        let expected = [
            (1, 8, "one"),
            (2, 12, "two"),
            (3, 13, ""),
            (4, 36, "too long"),
            (5, 44, "four\u{feff}"),
            (6, 48, "last"),
        ];
        for piece in 1..=text.len() {
            let found = lines(text, piece, 10);
            let found: Vec<_> = found.iter().map(|(line, end, text)| (*line, *end, text.as_str())).collect();
            assert_eq!(found, expected, "pieces of {piece}");
        }
    }

    #[test]
    fn the_limit_holds_exactly() {
        for (length, fits) in [(9, true), (10, true), (11, false), (30, false)] {
            for end in ["\n", ""] {
                let text = format!("{}{end}", "x".repeat(length));
                let found = lines(&text, 4, 10);
                assert_eq!(found.len(), 1, "{text:?}");
                assert_eq!(found[0].2 != "too long", fits, "{text:?}");
            }
        }
    }
}
