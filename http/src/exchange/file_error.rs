//! The reason for which a file cannot be served.

use std::io;

use http::{HeaderValue, StatusCode, header};

use super::{IntoResponse, Response};

/// The reason for which a file cannot be served. As a response it is 404, 403, 503 or 500, without a body.
///
/// ```
/// use riot_http::{FileError, Request, Response};
///
/// async fn logo(request: Request) -> Result<Response, FileError> {
///     Response::file(request.head(), "static/logo.png")
/// }
/// # let _ = logo;
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is no such file, or the path is not allowed: 404.
    #[error("there is no such file")]
    NotFound(#[source] Option<io::Error>),
    /// The path names a folder, a pipe, a socket or a device, which is not served: 404.
    #[error("it is no regular file")]
    NotAFile,
    /// The program may not read the file: 403.
    #[error("the file may not be read")]
    Forbidden(#[source] io::Error),
    /// The system has no descriptor or no memory left for the moment: 503.
    #[error("the system cannot open more files for the moment")]
    Exhausted(#[source] io::Error),
    /// The file cannot be read: 500.
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
}

impl FileError {
    /// Returns the status that tells the client.
    ///
    /// ```
    /// use riot_http::{FileError, http::StatusCode};
    /// assert_eq!(FileError::NotAFile.status(), StatusCode::NOT_FOUND);
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::NotAFile => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Exhausted(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Sorts the errors of the system by what a client can do about them.
impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        if is_exhausted(&error) {
            return Self::Exhausted(error);
        }
        match error.kind() {
            Kind::NotFound | Kind::NotADirectory | Kind::InvalidInput | Kind::InvalidFilename => {
                Self::NotFound(Some(error))
            }
            Kind::IsADirectory => Self::NotAFile,
            Kind::PermissionDenied => Self::Forbidden(error),
            _ if names_nothing(&error) => Self::NotFound(Some(error)),
            _ => Self::Io(error),
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NotFound(None) => Self::from(io::ErrorKind::NotFound),
            FileError::NotAFile => Self::other(FileError::NotAFile),
            FileError::NotFound(Some(error))
            | FileError::Forbidden(error)
            | FileError::Exhausted(error)
            | FileError::Io(error) => error,
        }
    }
}

impl IntoResponse for FileError {
    fn into_response(self) -> Response {
        let response = Response::new(self.status());
        match self {
            // Descriptors come back as soon as other clients are served.
            Self::Exhausted(_) => response.header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => response,
        }
    }
}

/// Returns whether the program or the system has run out of something that comes back.
#[cfg(unix)]
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_exhausted(error: &io::Error) -> bool {
    // ERROR_TOO_MANY_OPEN_FILES of Windows.
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(4)
}

/// Returns whether the path names something that has no contents: a socket, a pipe or device without another
/// end, or a circle of links.
#[cfg(unix)]
fn names_nothing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::NXIO, Errno::NODEV, Errno::LOOP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn names_nothing(_: &io::Error) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_says_what_a_client_can_do() {
        let cases = [
            (
                404,
                &["ENOENT", "ENOTDIR", "ENXIO", "ELOOP", "ENAMETOOLONG", "EISDIR"][..],
                &[2, 20, 6, 40, 36, 21][..],
            ),
            (403, &["EPERM", "EACCES"], &[1, 13]),
            (503, &["EMFILE", "ENFILE", "ENOMEM"], &[24, 23, 12]),
            (500, &["EIO", "ESTALE"], &[5, 116]),
        ];
        for (status, names, codes) in cases {
            for (name, &code) in names.iter().zip(codes) {
                let error = FileError::from(io::Error::from_raw_os_error(code));
                assert_eq!(error.status().as_u16(), status, "{name}");
                assert_eq!(error.into_response().status_code().as_u16(), status, "{name}");
            }
        }
        let again = FileError::from(io::Error::from_raw_os_error(24)).into_response();
        assert!(again.headers().any(|(name, _)| name == header::RETRY_AFTER));
    }
}
