//! The kernel command line.

use std::ffi::CString;

use linux_loader::cmdline::Cmdline;

use crate::memory::layout::COMMAND_LINE_SIZE;

/// Why a text cannot be a kernel command line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandLineError {
    /// Longer than the kernel's buffer.
    #[error(
        "Kernel command line is too long: {length} bytes, at most {} fit",
        COMMAND_LINE_SIZE - 1
    )]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// A NUL, newline or other control character, or not ASCII.
    #[error("Kernel command line holds an unprintable character at byte {position}")]
    Unprintable {
        /// Offset of the character.
        position: usize,
    },
    /// Refused by the composer.
    #[error("Failed to compose the kernel command line")]
    Compose(#[source] linux_loader::cmdline::Error),
}

/// A kernel command line that fits the kernel and holds printable characters only.
///
/// What follows ` -- ` goes to the init program; additions go before it.
#[derive(Clone, Debug)]
pub struct CommandLine(Cmdline);

impl CommandLine {
    /// Takes a user's command line.
    ///
    /// # Errors
    /// When it is too long or holds an unprintable character.
    pub fn new(text: &str) -> Result<Self, CommandLineError> {
        if text.len() >= COMMAND_LINE_SIZE {
            return Err(CommandLineError::TooLong { length: text.len() });
        }
        check(text)?;
        Cmdline::try_from(text, COMMAND_LINE_SIZE).map(Self).map_err(CommandLineError::Compose)
    }

    /// Adds `text`, parameters separated by spaces, to the kernel's part.
    ///
    /// # Errors
    /// When the whole becomes too long or `text` holds an unprintable character.
    pub fn append(&mut self, text: &str) -> Result<(), CommandLineError> {
        check(text)?;
        self.0.insert_str(text).map_err(|error| match error {
            linux_loader::cmdline::Error::TooLarge => CommandLineError::TooLong {
                length: self.to_c_string().as_bytes().len() + 1 + text.len(),
            },
            error => CommandLineError::Compose(error),
        })
    }

    /// The whole line with its NUL, as the kernel reads it.
    pub fn to_c_string(&self) -> CString {
        // Only NULs (refused) and init arguments without kernel parameters can fail.
        self.0.as_cstring().unwrap_or_default()
    }
}

fn check(text: &str) -> Result<(), CommandLineError> {
    match text.bytes().position(|byte| !(b' '..=b'~').contains(&byte)) {
        Some(position) => Err(CommandLineError::Unprintable { position }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_go_before_the_init_arguments() {
        let mut line = CommandLine::new("console=ttyS0 -- sh -c true").unwrap();
        line.append("pci=off").unwrap();
        assert_eq!(line.to_c_string().to_str(), Ok("console=ttyS0 pci=off -- sh -c true"));
    }

    #[test]
    fn an_empty_line_is_fine() {
        assert_eq!(CommandLine::new("").unwrap().to_c_string().to_bytes(), b"");
    }

    #[test]
    fn the_longest_line_fits_and_one_more_byte_does_not() {
        assert!(CommandLine::new(&"x".repeat(2047)).is_ok());
        let error = CommandLine::new(&"x".repeat(2048)).unwrap_err();
        assert_eq!(error, CommandLineError::TooLong { length: 2048 });
    }

    #[test]
    fn an_addition_that_does_not_fit_is_refused() {
        let mut line = CommandLine::new(&"x".repeat(2040)).unwrap();
        assert_eq!(line.append("longer12"), Err(CommandLineError::TooLong { length: 2049 }));
    }

    #[test]
    fn nul_and_newline_are_refused_with_their_place() {
        let place = |text| CommandLine::new(text).unwrap_err();
        assert_eq!(place("a\0b"), CommandLineError::Unprintable { position: 1 });
        assert_eq!(place("quiet\n"), CommandLineError::Unprintable { position: 5 });
    }
}
