//! What everything that reads, and everything that writes, can do, made of `poll_read` and of `poll_write`.

/// The methods of whatever has `poll_read`.
macro_rules! impl_read_methods {
    ($($type:ty),*) => { $(
        impl $type {
            /// Receives some bytes; 0 at the end of what the peer sends.
            ///
            /// How long that may take is said around it:
            ///
            /// ```
            /// # use std::time::Duration;
            /// # use riot_actor::{time::TimedOut, timeout};
            /// # riot_actor::run(async {
            /// # let listener = riot_socket::memory::Listener::new();
            /// # let _bound = riot_socket::Bind::bind(&listener)?;
            /// # let mut connection = listener.connect()?;
            /// let mut buffer = [0; 1024];
            /// match timeout(Duration::from_millis(20), connection.read(&mut buffer)).await {
            ///     Ok(result) => println!("{} bytes", result?),
            ///     Err(TimedOut) => println!("nothing came"), // and nothing was lost
            /// }
            /// # Ok::<(), riot_actor::Reason>(())
            /// # });
            /// ```
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, it has received nothing.
            pub async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.poll_read(cx, buffer)).await
            }

            /// Receives exactly as many bytes as there is room for.
            ///
            /// # Errors
            /// Those of the connection; [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if it ends before.
            ///
            /// # Cancel safety
            /// None: dropped before it is ready, it may have received some.
            pub async fn read_exact(&mut self, mut buffer: &mut [u8]) -> std::io::Result<()> {
                while !buffer.is_empty() {
                    match self.read(buffer).await? {
                        0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                        read => buffer = &mut buffer[read..],
                    }
                }
                Ok(())
            }

            /// Receives everything to the end of what the peer sends, if that is no more than `limit` bytes.
            ///
            /// # Errors
            /// Those of the connection; [`FileTooLarge`](std::io::ErrorKind::FileTooLarge) as soon as there is one
            /// byte more.
            ///
            /// # Cancel safety
            /// None: dropped before it is ready, what it has received is lost.
            pub async fn read_to_end(&mut self, limit: usize) -> std::io::Result<Vec<u8>> {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 8 * 1024]);
                loop {
                    match self.read(&mut buffer).await? {
                        0 => return Ok(bytes),
                        read if read > limit - bytes.len() => {
                            return Err(std::io::ErrorKind::FileTooLarge.into());
                        }
                        read => bytes.extend_from_slice(&buffer[..read]),
                    }
                }
            }
        }

        impl futures_io::AsyncRead for $type {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                <$type>::poll_read(&mut self, cx, buffer)
            }
        }
    )* };
}

/// The methods of whatever has a `transport` to write to, and an `record` that counts.
macro_rules! impl_write_methods {
    ($($type:ty),*) => { $(
        impl $type {
            /// Sends some bytes, and says how many.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, it has sent nothing.
            pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.write_vectored(&[std::io::IoSlice::new(bytes)]).await
            }

            /// Sends some bytes out of several pieces, and says how many.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, it has sent nothing.
            pub async fn write_vectored(&mut self, slices: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.poll_write(cx, slices)).await
            }

            /// Sends all the bytes, and [flushes](Self::flush).
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// None: dropped before it is ready, it may have sent some.
            pub async fn write_all(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
                while !bytes.is_empty() {
                    match self.write(bytes).await? {
                        0 => return Err(std::io::ErrorKind::WriteZero.into()),
                        written => bytes = &bytes[written..],
                    }
                }
                self.flush().await
            }

            /// Waits until what was written has left. Only a transport that encrypts holds anything back, and only
            /// while the system takes no more.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, some has left; flushing again goes on there.
            pub async fn flush(&mut self) -> std::io::Result<()> {
                std::future::poll_fn(|cx| self.transport.poll_flush(cx)).await
            }

            /// Ends what is sent, in the transport's own manner, once all that was written has left. The other
            /// direction goes on.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, it goes on when it is called again.
            pub async fn close(&mut self) -> std::io::Result<()> {
                std::future::poll_fn(|cx| self.transport.poll_close(cx)).await
            }
        }

        impl $type {
            /// Sends `length` bytes of a file from `offset` on, or all from there to its end, and says how many that
            /// were: fewer if the file is shorter. The file's own position is neither used nor changed.
            ///
            /// TCP and Unix sockets have the system do it (sendfile(2), Linux), so the bytes never come here; all else
            /// reads and writes. Either way the worker waits for as long as the disk takes, if what is asked for is
            /// not in memory: read files on slow disks with [`blocking`](riot_actor::runtime::blocking) instead.
            ///
            /// # Errors
            /// Those of the connection, and of the file.
            ///
            /// # Cancel safety
            /// None: dropped before it is ready, it may have sent some.
            pub async fn send_file(
                &mut self,
                file: &std::fs::File,
                offset: u64,
                length: Option<u64>,
            ) -> std::io::Result<u64> {
                let (mut sent, length) = (0, length.unwrap_or(u64::MAX));
                while sent < length {
                    let piece = usize::try_from(length - sent).unwrap_or(usize::MAX);
                    let from = offset.saturating_add(sent);
                    match std::future::poll_fn(|cx| self.poll_send_file(cx, file, from, piece)).await? {
                        0 => break,
                        piece => sent += piece as u64,
                    }
                }
                self.flush().await?;
                Ok(sent)
            }

            /// As [`write_vectored`](Self::write_vectored).
            ///
            /// # Errors
            /// Those of the connection.
            pub fn poll_write(
                &mut self,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let written = std::task::ready!(self.transport.poll_write(cx, slices))?;
                self.record().sent(written);
                std::task::Poll::Ready(Ok(written))
            }

            /// Some of what [`send_file`](Self::send_file) does; 0 at the end of the file.
            ///
            /// # Errors
            /// Those of the connection, and of the file.
            pub fn poll_send_file(
                &mut self,
                cx: &mut std::task::Context<'_>,
                file: &std::fs::File,
                offset: u64,
                length: usize,
            ) -> std::task::Poll<std::io::Result<usize>> {
                let sent = std::task::ready!(self.transport.poll_send_file(cx, file, offset, length))?;
                self.record().sent(sent);
                std::task::Poll::Ready(Ok(sent))
            }
        }

        impl futures_io::AsyncWrite for $type {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                <$type>::poll_write(&mut self, cx, &[std::io::IoSlice::new(bytes)])
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                <$type>::poll_write(&mut self, cx, slices)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.transport.poll_flush(cx)
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.transport.poll_close(cx)
            }
        }
    )* };
}

pub(crate) use {impl_read_methods, impl_write_methods};
