//! Files that are opened to be served: what they are, what is in them, and what tells their versions apart.

use std::{
    fs::{File, Metadata, OpenOptions},
    hash::Hasher,
    io::Read,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::{FileError, conditional::Validators};

/// The size up to which a file is read as a whole when it is opened, in bytes; 64 KiB. Below it, one write of
/// head and body is cheaper than a system call for each, and the contents themselves make the entity tag.
pub(super) const MAX_READ_BYTES: u64 = 64 * 1024;

/// The time for which a file is taken to be still changing after it was modified; 2 s. Two changes within one
/// tick of the file system's clock leave the same times, and the coarsest of these clocks ticks every 2 s.
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// A regular file, opened.
pub(super) struct OpenedFile {
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

/// The contents of a file, for the body of a response.
pub(super) enum Contents {
    /// All of a small file.
    Read(Bytes),
    /// A file that is read while it is sent.
    Unread(File),
}

impl OpenedFile {
    /// Opens a regular file, without waiting for the other end of anything else.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let mut options = OpenOptions::new();
        options.read(true);
        // A pipe would be waited for, and a terminal would become that of the program.
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
        }
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok(Self { file, metadata }) } else { Err(FileError::NotAFile) }
    }

    /// Reads the file if it is small, and finds the validators of what will be sent.
    pub(super) fn examine(self, now: SystemTime) -> Result<(Contents, Validators), FileError> {
        let Self { mut file, metadata } = self;
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        if metadata.len() > MAX_READ_BYTES {
            let tag = tag_of_times(&metadata, modified, now);
            return Ok((Contents::Unread(file), Validators::new(metadata.len(), modified, now, tag)));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
        (&mut file).take(metadata.len()).read_to_end(&mut bytes)?;
        let about = Validators::new(bytes.len() as u64, modified, now, tag_of_contents(&bytes));
        Ok((Contents::Read(bytes.into()), about))
    }
}

/// Returns a strong entity tag: two different contents share one with a probability of one in 2^64.
fn tag_of_contents(bytes: &[u8]) -> String {
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(bytes);
    format!("\"{:x}-{:x}\"", bytes.len(), hash.finish())
}

/// Returns the entity tag of a file that is too large to be read first. The time of the last change of its
/// metadata tells versions apart whose time of modification was set by hand. The tag is weak as long as the
/// file may change again without another time (RFC 9110 §8.8.1).
fn tag_of_times(metadata: &Metadata, modified: SystemTime, now: SystemTime) -> String {
    let (changed, identity) = changed(metadata, modified);
    let is_settled = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age >= SETTLING_TIME);
    let weak = if is_settled(modified) && is_settled(changed) { "" } else { "W/" };
    let [modified, changed] = [modified, changed].map(nanos);
    format!("{weak}\"{:x}-{modified:x}-{changed:x}-{identity:x}\"", metadata.len())
}

/// Returns the time in nanoseconds since 1970, before which it is negative.
fn nanos(time: SystemTime) -> i128 {
    let distance = |distance: Duration| i128::try_from(distance.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => distance(since),
        Err(before) => -distance(before.duration()),
    }
}

/// Returns the time of the last change of the metadata, and a number that another file in its place has not.
#[cfg(unix)]
fn changed(metadata: &Metadata, _: SystemTime) -> (SystemTime, u64) {
    use std::os::unix::fs::MetadataExt;
    let second = Duration::from_secs(metadata.ctime().unsigned_abs());
    let second =
        if metadata.ctime() < 0 { UNIX_EPOCH.checked_sub(second) } else { UNIX_EPOCH.checked_add(second) };
    let nanos = Duration::from_nanos(metadata.ctime_nsec().try_into().unwrap_or(0));
    (second.and_then(|second| second.checked_add(nanos)).unwrap_or(UNIX_EPOCH), metadata.ino())
}

#[cfg(not(unix))]
fn changed(_: &Metadata, modified: SystemTime) -> (SystemTime, u64) {
    (modified, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_after_9999_are_times() {
        let far = Duration::from_secs(400_000_000_000);
        let (early, late) = (UNIX_EPOCH - far, UNIX_EPOCH + far);
        assert_eq!(nanos(early), -nanos(late));
        for modified in [early, late, UNIX_EPOCH, UNIX_EPOCH - Duration::from_nanos(1)] {
            for now in [early, late, SystemTime::now()] {
                let about = Validators::new(1, modified, now, "\"a\"".into());
                let response = about.describe(crate::Response::ok(), None);
                assert!(response.headers().any(|(name, _)| name == http::header::LAST_MODIFIED));
            }
        }
    }
}
