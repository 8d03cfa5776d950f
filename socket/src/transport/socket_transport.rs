//! The [`Transport`](super::Transport) of a socket of the system, the same for TCP and Unix sockets.

/// Implements `Transport` for a wrapper of an `IoSource`, whose local address `$address` wraps.
macro_rules! impl_socket_transport {
    ($type:ty, $address:path) => {
        impl crate::transport::Transport for $type {
            fn is_buffered(&self) -> bool {
                false
            }

            fn poll_read(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.0.poll_receive(cx, buffer)
            }

            fn poll_read_hint(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<crate::transport::ReadOutcome>> {
                self.0.poll_receive_hint(cx, buffer)
            }

            fn poll_write(
                &self,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.0.poll_send(cx, slices)
            }

            #[cfg(target_os = "linux")]
            fn poll_send_file(
                &self,
                cx: &mut std::task::Context<'_>,
                file: &std::fs::File,
                offset: u64,
                length: usize,
            ) -> std::task::Poll<std::io::Result<usize>> {
                crate::io::send_file::poll_send(&self.0, cx, file, offset, length)
            }

            fn poll_closed(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
                self.0.poll_closed(cx)
            }

            fn assume_ready(&self) {
                self.0.assume_ready();
            }

            fn reset_on_close(&self) {
                // A socket that takes no option is closed in order.
                let _ = socket2::SockRef::from(self.0.get()).set_linger(Some(std::time::Duration::ZERO));
            }

            fn local_address(&self) -> std::io::Result<crate::transport::Address> {
                self.local_addr().map($address)
            }

            fn shutdown(&self, side: crate::transport::Shutdown) -> std::io::Result<()> {
                match self.0.get().shutdown(side) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                }
            }
        }
    };
}

pub(super) use impl_socket_transport;
