//! Text that a batch holds.

use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// A text of its own, or a part of one that others share: a batch of events can come as a single text.
#[derive(Clone)]
pub(crate) enum Text {
    Own(String),
    Shared(Rc<str>),
    #[cfg_attr(
        not(any(target_arch = "wasm32", test)),
        expect(dead_code, reason = "no columns come natively")
    )]
    Part(Rc<String>, Range<usize>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Own(text) => text,
            Text::Shared(text) => text,
            // Whoever makes one sees to it that there is such a part.
            Text::Part(text, range) => text.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::Own(text)
    }
}

impl From<Rc<str>> for Text {
    fn from(text: Rc<str>) -> Self {
        Text::Shared(text)
    }
}
