//! A part of a file to be sent: a flow names it, its driver reads or sends it.

use std::{fs::File, io, sync::Arc};

/// A range of bytes of a file.
///
/// The flow that names it reads nothing. Its driver lets the system send it (sendfile(2)), or
/// [reads](Self::read) it.
///
/// ```no_run
/// use std::fs::File;
/// use riot_flow::{FilePart, Output};
///
/// let part = FilePart::whole(File::open("page.html")?)?;
/// let mut output = Output::new();
/// output.write_file(part);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FilePart {
    file: Arc<File>,
    offset: u64,
    length: usize,
}

impl FilePart {
    /// Names `length` bytes from `offset` on. If the file has fewer when they are sent, the connection is cut
    /// off.
    #[must_use]
    pub fn new(file: impl Into<Arc<File>>, offset: u64, length: usize) -> Self {
        Self { file: file.into(), offset, length }
    }

    /// Names a whole file.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::FileTooLarge`] if the length does not fit in a `usize`.
    pub fn whole(file: impl Into<Arc<File>>) -> io::Result<Self> {
        let file = file.into();
        let length = file.metadata()?.len();
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(Self { file, offset: 0, length })
    }

    /// Returns the file. Its own position is neither used nor changed.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the offset of the part in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the length of the part, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Reads the first bytes of the part, for drivers whose system sends no files.
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

    /// Reads the whole part.
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

    /// Removes bytes from the front.
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

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
