//! The methods of all types that read or write, made of `poll_read` and `poll_write`.

/// Implements the read methods of a type with a `transport` to read from, a `read_state` and an `identity`.
macro_rules! impl_read_methods {
    ($($type:ty),*) => { $(
        impl $type {
            fn poll_read_waiting(
                &mut self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
                wait: crate::connection::timeouts::Wait,
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.read_state.poll_read(&*self.transport, &self.identity, cx, buffer, wait)
            }

            /// Polls for some bytes, as [`read`](Self::read) does.
            ///
            /// # Errors
            /// Those of the connection.
            pub fn poll_read(
                &mut self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.poll_read_waiting(cx, buffer, crate::connection::timeouts::Wait::ForUnit)
            }

            /// Receives some bytes; 0 at the end of the peer's stream.
            ///
            /// A timeout is put around it:
            ///
            /// ```
            /// # use std::time::Duration;
            /// # use riot_actor::{time::TimedOut, timeout};
            /// # let reason = riot_actor::run(async {
            /// # let listener = riot_socket::memory::Listener::new();
            /// # let _bound = riot_socket::Bind::bind(&listener)?;
            /// # let mut connection = listener.connect()?;
            /// let mut buffer = [0; 1024];
            /// match timeout(Duration::from_millis(20), connection.read(&mut buffer)).await {
            ///     Ok(result) => println!("{} bytes", result?),
            ///     Err(TimedOut) => println!("nothing came"), // nothing is lost
            /// }
            /// # Ok::<(), riot_actor::Reason>(())
            /// # });
            /// # assert_eq!(reason, riot_actor::Reason::Normal);
            /// ```
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// If the future is dropped before it is ready, nothing was received.
            pub async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.poll_read(cx, buffer)).await
            }

            /// Receives bytes until `buffer` is full.
            ///
            /// # Errors
            /// Those of the connection; [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if it ends
            /// before.
            ///
            /// # Cancel safety
            /// None: if the future is dropped before it is ready, some bytes may have been received.
            pub async fn read_exact(&mut self, mut buffer: &mut [u8]) -> std::io::Result<()> {
                let mut wait = crate::connection::timeouts::Wait::ForUnit;
                while !buffer.is_empty() {
                    match std::future::poll_fn(|cx| self.poll_read_waiting(cx, buffer, wait)).await? {
                        0 => {
                            let kind = std::io::ErrorKind::UnexpectedEof;
                            self.identity.transport_failed(kind);
                            return Err(kind.into());
                        }
                        read => buffer = &mut buffer[read..],
                    }
                    wait = crate::connection::timeouts::Wait::InsideUnit;
                }
                Ok(())
            }

            /// Receives all bytes to the end of the peer's stream, at most `max_bytes`.
            ///
            /// # Errors
            /// Those of the connection; [`FileTooLarge`](std::io::ErrorKind::FileTooLarge) as soon as there
            /// is one byte more.
            ///
            /// # Cancel safety
            /// None: if the future is dropped before it is ready, the received bytes are lost.
            pub async fn read_to_end(&mut self, max_bytes: usize) -> std::io::Result<Vec<u8>> {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 8 * 1024]);
                let mut wait = crate::connection::timeouts::Wait::ForUnit;
                loop {
                    let read =
                        std::future::poll_fn(|cx| self.poll_read_waiting(cx, &mut buffer, wait)).await?;
                    wait = crate::connection::timeouts::Wait::InsideUnit;
                    match read {
                        0 => return Ok(bytes),
                        read if read > max_bytes - bytes.len() => {
                            return Err(std::io::ErrorKind::FileTooLarge.into());
                        }
                        read => bytes.extend_from_slice(&buffer[..read]),
                    }
                }
            }

            /// Waits until the peer has reset the connection, or has closed both directions, without reading:
            /// bytes that have come stay unread. The end of what the peer sends is no close: it may still
            /// receive. A process that does something else for its peer waits for this beside it.
            ///
            /// ```
            /// use std::future::poll_fn;
            /// use std::task::Poll;
            /// use riot_socket::Connection;
            ///
            /// /// Computes an answer, unless the client leaves before.
            /// async fn answer(
            ///     connection: &mut Connection,
            ///     work: impl Future<Output = Vec<u8>>,
            /// ) -> Option<Vec<u8>> {
            ///     let mut work = std::pin::pin!(work);
            ///     poll_fn(|cx| match work.as_mut().poll(cx) {
            ///         Poll::Ready(answer) => Poll::Ready(Some(answer)),
            ///         Poll::Pending => connection.poll_closed(cx).map(|()| None),
            ///     })
            ///     .await
            /// }
            /// ```
            ///
            /// # Cancel safety
            /// If the future is dropped before it is ready, nothing has changed.
            pub async fn closed(&mut self) {
                std::future::poll_fn(|cx| self.poll_closed(cx)).await
            }

            /// Polls for the close of the connection by the peer, as [`closed`](Self::closed) does. The waker
            /// takes the place of that of a read.
            pub fn poll_closed(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
                self.transport.poll_closed(cx)
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

        /// Works on any thread. A connection of a server that is polled on a thread that is no worker ends
        /// when its Connector exits.
        #[cfg(feature = "tokio")]
        impl tokio::io::AsyncRead for $type {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let place = crate::connection::place::Place::of(self.identity.record())?;
                let room = buffer.initialize_unfilled();
                let read = std::task::ready!(place.run(|| <$type>::poll_read(&mut self, cx, room)))?;
                buffer.advance(read);
                std::task::Poll::Ready(Ok(()))
            }
        }
    )* };
}

/// Implements the write methods of a type with a `transport` to write to, and a `record` that counts.
macro_rules! impl_write_methods {
    ($($type:ty),*) => { $(
        impl $type {
            /// Sends some of `bytes`, and returns their number.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// If the future is dropped before it is ready, nothing was sent.
            pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.write_vectored(&[std::io::IoSlice::new(bytes)]).await
            }

            /// Sends some bytes out of several pieces, and returns their number.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// If the future is dropped before it is ready, nothing was sent.
            pub async fn write_vectored(
                &mut self,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.poll_write(cx, slices)).await
            }

            /// Sends all of `bytes`, and [flushes](Self::flush).
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// None: if the future is dropped before it is ready, some bytes may have been sent.
            pub async fn write_all(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
                while !bytes.is_empty() {
                    match self.write(bytes).await? {
                        0 => return Err(std::io::ErrorKind::WriteZero.into()),
                        written => bytes = &bytes[written..],
                    }
                }
                self.flush().await
            }

            /// Waits until written bytes have been sent. Only a transport that encrypts buffers any, and only
            /// while the system takes no more.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// If the future is dropped before it is ready, some bytes have been sent; another flush goes on
            /// there.
            pub async fn flush(&mut self) -> std::io::Result<()> {
                std::future::poll_fn(|cx| self.poll_flush(cx)).await
            }

            /// Ends the sending direction in the transport's own manner, after all written bytes have been
            /// sent. The other direction goes on.
            ///
            /// # Errors
            /// Those of the connection.
            ///
            /// # Cancel safety
            /// If the future is dropped before it is ready, another close goes on there.
            pub async fn close(&mut self) -> std::io::Result<()> {
                std::future::poll_fn(|cx| self.poll_close(cx)).await
            }
        }

        impl $type {
            /// Sends `length` bytes of a file from `offset` on, or with `None` all from there to its end.
            /// Returns the number of bytes, which is smaller if the file is shorter. The file's own position
            /// is neither used nor changed.
            ///
            /// TCP and Unix sockets use sendfile(2) on Linux, so the bytes never enter the program; others
            /// read and write. Either way the worker waits for the disk if the bytes are not in memory: read
            /// files on slow disks with [`blocking`](riot_actor::runtime::blocking) instead.
            ///
            /// # Errors
            /// Those of the connection, and of the file.
            ///
            /// # Cancel safety
            /// None: if the future is dropped before it is ready, some bytes may have been sent.
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

            /// Polls to send some bytes, as [`write_vectored`](Self::write_vectored) does.
            ///
            /// # Errors
            /// Those of the connection.
            pub fn poll_write(
                &mut self,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let written = std::task::ready!(
                    self.poll_sending(cx, |transport, cx| transport.poll_write(cx, slices))
                )?;
                self.count_sent(written);
                std::task::Poll::Ready(Ok(written))
            }

            /// Polls to send a part of a file, as [`send_file`](Self::send_file) does; 0 at the end of the
            /// file.
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
                let sent = std::task::ready!(self.poll_sending(cx, |transport, cx| {
                    transport.poll_send_file(cx, file, offset, length)
                }))?;
                self.count_sent(sent);
                std::task::Poll::Ready(Ok(sent))
            }

            /// Polls to send buffered bytes, as [`flush`](Self::flush) does.
            ///
            /// # Errors
            /// Those of the connection.
            pub fn poll_flush(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.poll_sending(cx, |transport, cx| transport.poll_flush(cx))
            }

            /// Polls to end the sending direction, as [`close`](Self::close) does.
            ///
            /// # Errors
            /// Those of the connection.
            pub fn poll_close(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.poll_sending(cx, |transport, cx| transport.poll_close(cx))
            }

            /// Runs an operation that sends. It fails if it has waited for too long, and its error is
            /// remembered.
            #[inline]
            fn poll_sending<T>(
                &mut self,
                cx: &mut std::task::Context<'_>,
                operation: impl Fn(
                    &dyn crate::transport::Transport,
                    &mut std::task::Context<'_>,
                ) -> std::task::Poll<std::io::Result<T>>,
            ) -> std::task::Poll<std::io::Result<T>> {
                use crate::connection::timeouts::{self, Wait, Waited};
                let mut polled = operation(&*self.transport, cx);
                if polled.is_pending() {
                    let waited = self.write_state.poll_wait(cx, &self.identity, Wait::ForRoom);
                    let Waited::RunOut(timer) = waited else { return std::task::Poll::Pending };
                    self.transport.assume_ready();
                    polled = operation(&*self.transport, cx);
                    if polled.is_pending() {
                        self.transport.reset_on_close();
                        return timeouts::fail(&self.identity, timer);
                    }
                }
                match &polled {
                    std::task::Poll::Ready(Err(error)) => self.identity.transport_failed(error.kind()),
                    _ => self.write_state.flows(),
                }
                polled
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
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                <$type>::poll_flush(&mut self, cx)
            }

            fn poll_close(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                <$type>::poll_close(&mut self, cx)
            }
        }

        /// Works on any thread. A connection of a server that is polled on a thread that is no worker ends
        /// when its Connector exits. A shutdown ends the sending direction, as `close` does.
        #[cfg(feature = "tokio")]
        impl tokio::io::AsyncWrite for $type {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.poll_write_vectored(cx, &[std::io::IoSlice::new(bytes)])
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let place = crate::connection::place::Place::of(self.identity.record())?;
                place.run(|| <$type>::poll_write(&mut self, cx, slices))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let place = crate::connection::place::Place::of(self.identity.record())?;
                place.run(|| <$type>::poll_flush(&mut self, cx))
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let place = crate::connection::place::Place::of(self.identity.record())?;
                place.run(|| <$type>::poll_close(&mut self, cx))
            }
        }
    )* };
}

pub(crate) use {impl_read_methods, impl_write_methods};
