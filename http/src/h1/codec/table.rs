//! Sets of bytes.

/// `tchar` (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A set of bytes: 1 for those in it. (Of `bool`s four at a time cost a branch each.)
pub(crate) type ByteTable = [u8; 256];

/// How many bytes are in the table before the first that is not.
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
