//! What can be wrong with a recording.

use std::{fmt, io};

use crate::wire::DecodeError;

/// The part of an entry at the end of a file whose writer did not come further. It is dropped, and
/// is no error: everything before it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where the entry begins, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes of it are there.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last entry, at byte {}, is torn: {} bytes of it are dropped", self.offset, self.bytes)
    }
}

/// Why a recording cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    Io(io::Error),
    /// It does not start as a recording does.
    NotARecording,
    /// It has a version that is not known here.
    Version(u8),
    /// Its preface is not whole or not valid. Nothing can be read without it.
    Preface,
    /// Something is wrong with an entry that is not the last one.
    Corrupt {
        /// Where the entry begins, in bytes from the start of the file.
        offset: u64,
    },
    /// An entry is as it was written, but holds something else than data frames of a server.
    Unreadable {
        /// Where the entry begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::NotARecording => f.write_str("this is not a recording of Tickwire"),
            Self::Version(version) => write!(f, "version {version} of recordings is not known here"),
            Self::Preface => f.write_str("the recording's preface is damaged or not whole"),
            Self::Corrupt { offset } => write!(f, "the recording is damaged at byte {offset}"),
            Self::Unreadable { offset, error } => write!(f, "the entry at byte {offset} cannot be read: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Unreadable { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
