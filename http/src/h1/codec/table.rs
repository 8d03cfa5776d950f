//! Sets of bytes.

/// Returns whether the byte is a `tchar` (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A set of bytes: 1 for those in it. (With `bool`, four at a time would cost a branch each.)
pub(crate) type ByteTable = [u8; 256];

/// Returns how many bytes at the start of `bytes` are in the table.
#[inline]
pub(crate) fn leading(bytes: &[u8], table: &ByteTable) -> usize {
    let is_in = |byte: u8| table[usize::from(byte)];
    let mut rest = bytes;
    while let [a, b, c, d, after @ ..] = rest
        && is_in(*a) & is_in(*b) & is_in(*c) & is_in(*d) == 1
    {
        rest = after;
    }
    while let [byte, after @ ..] = rest
        && is_in(*byte) == 1
    {
        rest = after;
    }
    bytes.len() - rest.len()
}
