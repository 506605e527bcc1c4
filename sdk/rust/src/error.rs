//! What a rule says when it cannot make sense of an input.

use std::fmt;

/// Why an input makes no sense to a rule, in words for the operator who finds it among the dead letters.
///
/// Any error turns into it by `?`, its causes included. It is not itself a [`std::error::Error`]: that is
/// what makes the `?` possible.
///
/// ```
/// # use carpe_sdk::Error;
/// fn port(text: &str) -> carpe_sdk::Result<u16> {
///     let port: u16 = text.parse()?;
///     if port == 0 {
///         return Err(Error::new("port 0 is nobody's"));
///     }
///     Ok(port)
/// }
/// assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    message: String,
}

/// A [`std::result::Result`] whose error is an [`Error`], unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this message: what is wrong and where.
    pub fn new(message: impl Into<String>) -> Self {
        Error { message: message.into() }
    }

    pub(crate) fn into_message(self) -> String {
        self.message
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Error { message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// As `main` and a failed `unwrap` print it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
