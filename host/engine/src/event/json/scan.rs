//! Goes over JSON text once, where it can by eight bytes at a time.
//!
//! It takes nothing that `serde_json` does not take, but less: `None` stands for an error and for what is merely unusual alike.
//! Whoever gets it has `serde_json` read the text.

/// More objects and lists in each other are unusual.
const DEPTH: u32 = 64;

/// A place in a JSON text.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Scan { text, at: 0 }
    }

    /// The next byte that is no white space; none: the text ends.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// The same, and goes past it.
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Goes past this sign.
    pub(super) fn expect(&mut self, sign: u8) -> Option<()> {
        (self.next()? == sign).then_some(())
    }

    /// A string of printable ASCII without escapes; may be empty.
    pub(super) fn plain_string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        self.skip_until(|word| {
            word.equal(b'"') | word.equal(b'\\') | word.below_space() | word.above_tilde()
        });
        let found = self.text.get(start..self.at)?;
        (self.byte()? == b'"').then(|| self.at += 1)?;
        Some(found)
    }

    /// Any value, as it stands there.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip_value()?;
        self.text.get(start..self.at)
    }

    fn skip_value(&mut self) -> Option<()> {
        // Of what is open, the innermost in the lowest bit: 1 is an object.
        let (mut open, mut depth) = (0_u64, 0);
        loop {
            let opened = match self.next()? {
                b'{' => Some(1),
                b'[' => Some(0),
                b'"' => self.skip_string().map(|()| None)?,
                b't' => self.skip_rest(b"rue").map(|()| None)?,
                b'f' => self.skip_rest(b"alse").map(|()| None)?,
                b'n' => self.skip_rest(b"ull").map(|()| None)?,
                b'-' => self.next_byte().and_then(|digit| self.skip_number(digit)).map(|()| None)?,
                digit => self.skip_number(digit).map(|()| None)?,
            };
            if let Some(kind) = opened {
                if depth == DEPTH {
                    return None;
                }
                (open, depth) = (open << 1 | kind, depth + 1);
                if self.peek()? != closing(kind) {
                    if kind == 1 {
                        self.skip_name()?;
                    }
                    continue;
                }
            }
            loop {
                if depth == 0 {
                    return Some(());
                }
                let kind = open & 1;
                match self.next()? {
                    b',' if kind == 1 => break self.skip_name()?,
                    b',' => break,
                    sign if sign == closing(kind) => (open, depth) = (open >> 1, depth - 1),
                    _ => return None,
                }
            }
        }
    }

    fn skip_name(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.skip_string()?;
        self.expect(b':')
    }

    /// Behind its first quote.
    fn skip_string(&mut self) -> Option<()> {
        loop {
            self.skip_until(|word| word.equal(b'"') | word.equal(b'\\') | word.below_space());
            match self.next_byte()? {
                b'"' => return Some(()),
                b'\\' => match self.next_byte()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => (0..4).try_for_each(|_| self.next_byte()?.is_ascii_hexdigit().then_some(()))?,
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// Behind its first digit.
    fn skip_number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' if self.byte().is_some_and(|byte| byte.is_ascii_digit()) => return None,
            b'0'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.next_byte()?.is_ascii_digit().then(|| self.skip_digits())?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.next_byte()?.is_ascii_digit().then(|| self.skip_digits())?;
        }
        Some(())
    }

    fn skip_digits(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn skip_rest(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())
    }

    /// Goes on until a byte that is looked for, or the end.
    #[inline(always)]
    fn skip_until(&mut self, find: impl Fn(Word) -> u64) {
        let bytes = self.text.as_bytes();
        while let Some(word) = bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let found = find(Word(u64::from_le_bytes(*word)));
            self.at += found.trailing_zeros() as usize / 8;
            if found != 0 {
                return;
            }
        }
        while let Some(byte) = self.byte() {
            if find(Word(u64::from(byte) | SPACES << 8)) != 0 {
                return;
            }
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next_byte(&mut self) -> Option<u8> {
        let byte = self.byte()?;
        self.at += 1;
        Some(byte)
    }
}

fn closing(kind: u64) -> u8 {
    if kind == 1 { b'}' } else { b']' }
}

/// Eight bytes, the first one in the lowest bits. What is found has its highest bit set in the result; above the first that is
/// found there may be more that are not (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
#[derive(Clone, Copy)]
struct Word(u64);

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);

impl Word {
    fn equal(self, byte: u8) -> u64 {
        let differs = self.0 ^ (ONES * u64::from(byte));
        differs.wrapping_sub(ONES) & !differs & TOPS
    }

    fn below_space(self) -> u64 {
        self.0.wrapping_sub(SPACES) & !self.0 & TOPS
    }

    /// Delete, and whatever is not ASCII.
    fn above_tilde(self) -> u64 {
        (self.0 | self.0.wrapping_add(ONES)) & TOPS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// All of a text, where it is one value.
    fn scan(text: &str) -> Option<&str> {
        let mut scan = Scan::new(text);
        let value = scan.value()?;
        scan.peek().is_none().then_some(value)
    }

    fn thoroughly(text: &str) -> Option<&str> {
        serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
    }

    #[test]
    fn takes_what_serde_json_takes() {
        let texts = [
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            "1e",
            "1e+",
            "1E-7",
            "1.5e300",
            ".5",
            "+1",
            "1a",
            "--1",
            "1e5.5",
            "true",
            "tru",
            "truest",
            "false",
            "null",
            "nul",
            "",
            " ",
            "{",
            "[",
            "{}",
            "[]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "[1}",
            "[[[]]]",
            "[{\"a\":[{}]}, 1]",
            " { \"a\" : [ 1 , 2 ] , \"b\" : { } } ",
            "\"",
            "\"a",
            "\"a\\\"",
            "\"\\u12\"",
            "\"\\u12aF\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"a\u{7f}é\u{10FFFF}\"",
            "\"tab\tin it\"",
            "\"\u{1f}\"",
            "1\u{a0}",
            "\u{feff}1",
            "1 \r\n\t",
            "1\u{b}",
            "\"a\" \"b\"",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1 \"b\":2}",
            "{\"a\" 1}",
            "}",
            "]",
            ",",
            "[1,2",
        ];
        for text in texts {
            // Where a word of eight bytes ends and where it does not.
            for before in 0..9 {
                let text = format!("{}{text}", " ".repeat(before));
                assert_eq!(scan(&text), thoroughly(&text), "{text:?}");
                let inside = format!("[\"{}\",{text}]", "x".repeat(before));
                assert_eq!(scan(&inside), thoroughly(&inside), "{inside:?}");
            }
        }
    }

    #[test]
    fn what_is_deep_is_unusual() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(scan(&nested(64)).is_some());
        assert!(scan(&nested(65)).is_none());
    }

    #[test]
    fn strings_are_plain_or_unusual() {
        for length in 0..20 {
            let plain = "x".repeat(length);
            assert_eq!(Scan::new(&format!("\"{plain}\"")).plain_string(), Some(plain.as_str()));
            assert_eq!(Scan::new(&format!("\"{plain}")).plain_string(), None);
            for odd in ["é", "\u{7f}", "\\n", "\n", "\u{80}", "\u{10FFFF}"] {
                for behind in [0, 9] {
                    let text = format!("\"{plain}{odd}{}\"", "~ ".repeat(behind));
                    assert_eq!(Scan::new(&text).plain_string(), None, "{text:?}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn takes_of_any_text_what_serde_json_takes(text in r#"([\[\]{},:" 0-9a-z\\é.\-+\n]|true|"a":|\\u00e9){0,24}"#) {
            prop_assert_eq!(scan(&text), thoroughly(&text));
        }
    }
}
