//! A part of a file to be sent: named here, read or sent by whoever drives the flow.

use std::{fs::File, io, sync::Arc};

/// So many bytes of a file from an offset on.
///
/// The flow that names it reads nothing. Its driver has the system send it (sendfile(2)), or [reads](Self::read) it.
#[derive(Clone, Debug)]
pub struct FilePart {
    file: Arc<File>,
    offset: u64,
    length: usize,
}

impl FilePart {
    /// `length` bytes from `offset` on. If the file has fewer when they are sent, the connection is cut off.
    #[must_use]
    pub fn new(file: impl Into<Arc<File>>, offset: u64, length: usize) -> Self {
        Self { file: file.into(), offset, length }
    }

    /// The whole of a file.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::FileTooLarge`] if there are more bytes than this machine can count.
    pub fn whole(file: impl Into<Arc<File>>) -> io::Result<Self> {
        let file = file.into();
        let length = file.metadata()?.len();
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(Self { file, offset: 0, length })
    }

    /// The file. Its own position is nobody's business.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the part begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Reads its first bytes, for drivers whose system sends no files.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::UnexpectedEof`] if the file has become shorter than the part.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.length);
        loop {
            match read_at(&self.file, &mut buffer[..room], self.offset) {
                Ok(0) if room > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let (mut bytes, mut rest) = (vec![0; self.length], self.clone());
        while rest.length > 0 {
            let filled = self.length - rest.length;
            let read = rest.read(&mut bytes[filled..])?;
            rest.advance(read);
        }
        Ok(bytes)
    }

    /// Takes bytes off its front.
    pub(crate) fn advance(&mut self, sent: usize) {
        self.offset += sent as u64;
        self.length -= sent;
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
