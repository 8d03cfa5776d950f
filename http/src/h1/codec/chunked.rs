//! The chunked coding, in both directions (RFC 9112 §7.1).
//!
//! The decoder is given bytes in whatever pieces they arrive and keeps nothing but its position and the
//! trailers. It is strict: what the grammar does not allow is an error, bare line feeds included.

use bytes::Bytes;
use riot_flow::Output;

use super::table::is_token_byte;
use crate::{Headers, RequestError, h1::respond::write_bytes};

/// A position in the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first digit of a size, and after it.
    Size,
    SizeDigits,
    /// In an extension: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    BeforeSemicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    QuotedPair,
    AfterQuoted,
    /// After the CR of a size line.
    SizeEnd,
    Data,
    /// After a chunk's data: before its CR, and before its LF.
    DataCr,
    DataLf,
    /// In a trailer line: before its name, in its name, in its value, and after its CR.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// After the CR of the last line.
    End,
    Done,
}

/// The outcome of a step of the decoder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChunkStep {
    /// All bytes are consumed, and no data was behind the last of them.
    More,
    /// This many bytes of data lie at the front of the input, not consumed. The caller reports with
    /// [`Decoder::take`] how many it takes.
    Data(usize),
    /// The body is complete.
    End,
}

/// Decodes a chunked body.
#[derive(Debug)]
pub(crate) struct Decoder {
    place: Place,
    /// The bytes left of the present chunk.
    left: u64,
    /// The bytes of extensions and trailers so far. Invariant: at most `extra_max`.
    extra: usize,
    extra_max: usize,
    /// The trailer lines, without the last, empty one.
    trailers: Vec<u8>,
}

impl Decoder {
    /// Creates a decoder for the start of a body. `extra_max` bounds the bytes of its extensions and
    /// trailers.
    pub(crate) fn new(extra_max: usize) -> Self {
        Self { place: Place::Size, left: 0, extra: 0, extra_max, trailers: Vec::new() }
    }

    /// Consumes framing up to data or the end; returns how many bytes that took.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<(usize, ChunkStep), RequestError> {
        for (at, &byte) in input.iter().enumerate() {
            match self.place {
                Place::Data => {
                    let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                    return Ok((at, ChunkStep::Data(here.min(input.len() - at))));
                }
                Place::Done => return Ok((at, ChunkStep::End)),
                _ => self.place = self.next(byte)?,
            }
        }
        Ok((input.len(), if self.place == Place::Done { ChunkStep::End } else { ChunkStep::More }))
    }

    /// Records that bytes of data were taken.
    pub(crate) fn take(&mut self, bytes: usize) {
        debug_assert!(bytes as u64 <= self.left);
        self.left -= bytes as u64;
        if self.left == 0 {
            self.place = Place::DataCr;
        }
    }

    /// Returns the trailer fields, if there were any.
    pub(crate) fn trailers(&mut self) -> Option<Headers> {
        let lines = std::mem::take(&mut self.trailers);
        (!lines.is_empty()).then(|| Headers::from_checked(lines))
    }

    fn next(&mut self, byte: u8) -> Result<Place, RequestError> {
        let bad = |what| Err(RequestError::Malformed(what));
        match self.place {
            Place::BeforeSemicolon
            | Place::BeforeName
            | Place::Name
            | Place::AfterName
            | Place::BeforeValue
            | Place::Value
            | Place::Quoted
            | Place::QuotedPair
            | Place::AfterQuoted => {
                self.count(RequestError::Malformed("the chunk extensions are too large"))?;
            }
            Place::Trailer | Place::TrailerName | Place::TrailerValue => {
                self.count(RequestError::HeadTooLarge)?;
                self.trailers.push(byte);
            }
            _ => {}
        }
        Ok(match (self.place, byte) {
            (Place::Size, _) => match hex(byte) {
                Some(digit) => {
                    self.left = digit;
                    Place::SizeDigits
                }
                None => return bad("a chunk has no size"),
            },
            (Place::SizeDigits, b'\r') => Place::SizeEnd,
            (Place::SizeDigits, b';') => Place::BeforeName,
            (Place::SizeDigits, b' ' | b'\t') => Place::BeforeSemicolon,
            (Place::SizeDigits, _) => match hex(byte) {
                Some(_) if self.left >> 60 != 0 => return Err(RequestError::BodyTooLarge),
                Some(digit) => {
                    self.left = self.left << 4 | digit;
                    Place::SizeDigits
                }
                None => return bad("the size of a chunk is no number"),
            },
            (Place::SizeEnd, b'\n') if self.left == 0 => Place::Trailer,
            (Place::SizeEnd, b'\n') => Place::Data,

            (Place::BeforeSemicolon, b' ' | b'\t') => Place::BeforeSemicolon,
            (Place::BeforeName, b' ' | b'\t') => Place::BeforeName,
            (Place::AfterName, b' ' | b'\t') | (Place::Name, b' ' | b'\t') => Place::AfterName,
            (Place::BeforeValue, b' ' | b'\t') => Place::BeforeValue,
            (Place::Value | Place::AfterQuoted, b' ' | b'\t') => Place::BeforeSemicolon,
            (Place::BeforeSemicolon | Place::Name | Place::AfterName, b';') => Place::BeforeName,
            (Place::Value | Place::AfterQuoted, b';') => Place::BeforeName,
            (Place::Name | Place::Value | Place::AfterQuoted, b'\r') => Place::SizeEnd,
            (Place::Name | Place::AfterName, b'=') => Place::BeforeValue,
            (Place::BeforeName | Place::Name, _) if is_token_byte(byte) => Place::Name,
            (Place::BeforeValue, b'"') => Place::Quoted,
            (Place::BeforeValue | Place::Value, _) if is_token_byte(byte) => Place::Value,
            (Place::Quoted, b'"') => Place::AfterQuoted,
            (Place::Quoted, b'\\') => Place::QuotedPair,
            (Place::Quoted | Place::QuotedPair, b'\t' | b' '..=b'~' | 0x80..) => Place::Quoted,

            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::DataCr | Place::DataLf, _) => return bad("a chunk is longer than its size"),

            (Place::Trailer, b'\r') => {
                self.trailers.truncate(self.trailers.len() - 1);
                Place::End
            }
            (Place::TrailerName, b':') => Place::TrailerValue,
            (Place::Trailer | Place::TrailerName, _) if is_token_byte(byte) => Place::TrailerName,
            (Place::TrailerValue, b'\r') => Place::TrailerLf,
            (Place::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Place::TrailerValue,
            (Place::TrailerLf, b'\n') => {
                self.trailers.extend_from_slice(b"\n");
                Place::Trailer
            }
            (Place::Trailer | Place::TrailerName | Place::TrailerValue | Place::TrailerLf, _) => {
                return bad("a trailer field is invalid");
            }
            (Place::End, b'\n') => Place::Done,
            _ => return bad("the chunked coding is invalid"),
        })
    }

    fn count(&mut self, too_many: RequestError) -> Result<(), RequestError> {
        self.extra += 1;
        if self.extra > self.extra_max { Err(too_many) } else { Ok(()) }
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// Appends one chunk. An empty chunk would end the body, so nothing is written for it.
pub(crate) fn write_chunk(output: &mut Output, data: &mut Bytes) {
    if data.is_empty() {
        return;
    }
    let mut line = [b'\r'; 18];
    line[17] = b'\n';
    let (mut start, mut left) = (16, data.len());
    while left > 0 {
        start -= 1;
        line[start] = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    output.write(&line[start..]);
    write_bytes(output, data);
    output.write(b"\r\n");
}

/// Appends the last chunk, without trailers.
pub(crate) fn write_end(output: &mut Output) {
    output.write(b"0\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns data, trailers, and how many bytes the body took.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, String, usize), RequestError> {
        let (mut decoder, mut data, mut taken) = (Decoder::new(64), Vec::new(), 0);
        for piece in pieces {
            let mut at = 0;
            loop {
                let (used, step) = decoder.step(&piece[at..])?;
                at += used;
                match step {
                    ChunkStep::Data(bytes) => {
                        data.extend_from_slice(&piece[at..at + bytes]);
                        decoder.take(bytes);
                        at += bytes;
                    }
                    ChunkStep::More => break,
                    ChunkStep::End => {
                        let trailers = decoder.trailers().map(|trailers| format!("{trailers:?}"));
                        return Ok((data, trailers.unwrap_or_default(), taken + at));
                    }
                }
            }
            taken += piece.len();
        }
        Err(RequestError::Truncated)
    }

    #[test]
    fn bodies_of_the_grammar() {
        for body in [
            "5\r\nhello\r\n0\r\n\r\n",
            "0005\r\nhello\r\n000\r\n\r\n",
            "5;a\r\nhello\r\n0;b=c\r\n\r\n",
            "5 ;\ta = \"b;\\\"c\" ; d\r\nhello\r\n0\r\n\r\n",
            "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ] {
            let (data, trailers, taken) = decode(&[body.as_bytes(), b"GET"]).expect(body);
            assert_eq!((&data[..], trailers.as_str(), taken), (&b"hello"[..], "", body.len()), "{body:?}");
        }
        let (_, trailers, _) = decode(&[b"0\r\nA: b\r\nC:\r\n\r\n"]).unwrap();
        assert_eq!(trailers, r#"{"A": "b", "C": ""}"#);
    }

    #[test]
    fn smuggling_classes_are_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "0x5\r\n",
            "+5\r\n",
            "-0\r\n",
            " 5\r\n",
            "0_5\r\n",
            "5.0\r\n",
            "5 5\r\n",
            "5\u{b}\r\n",
            "5h\r\n",
            "5\n",
            "5 \r\n",
            "5;\r\n",
            "5; \r\n",
            "5;a\n",
            "5;a=\r\n",
            "5;a=\x01\r\n",
            "5;a=\"b\r\n",
            "5\rhello",
            "5\r\r;a\r\n",
            "3\r\nhello\r\n",
            "5\r\nhelloXX",
            "5\r\nhello\n",
            "5\r\nhello\r\n\r\n",
            "0\r\n a: b\r\n",
            "0\r\na b: c\r\n",
            "0\r\n: b\r\n",
            "0\r\na: b\n",
            "0\r\na: b\r\n c\r\n",
            "0\r\na: \0\r\n",
            "0\r\nab\r\n",
            "0\r\n\n",
            "0\n\n",
        ] {
            assert!(matches!(decode(&[body.as_bytes()]), Err(RequestError::Malformed(_))), "{body:?}");
        }
    }

    #[test]
    fn sizes_and_extras_are_bounded() {
        assert_eq!(decode(&[b"10000000000000000\r\n"]), Err(RequestError::BodyTooLarge));
        assert_eq!(decode(&[b"ffffffffffffffff\r\n"]), Err(RequestError::Truncated));
        let extension = format!("1;{}\r\n", "a".repeat(64));
        assert!(matches!(decode(&[extension.as_bytes()]), Err(RequestError::Malformed(_))));
        let trailer = format!("0\r\na: {}\r\n", "a".repeat(64));
        assert_eq!(decode(&[trailer.as_bytes()]), Err(RequestError::HeadTooLarge));
        let many = "1;abc\r\na\r\n".repeat(20);
        assert!(matches!(decode(&[many.as_bytes()]), Err(RequestError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cuts in prop::collection::vec(1usize..30, 1..20),
        ) {
            let mut output = Output::new();
            chunks.iter().for_each(|chunk| write_chunk(&mut output, &mut chunk.clone().into()));
            write_end(&mut output);
            let written = output.slices().to_vec();
            let (mut pieces, mut rest, mut cuts) = (Vec::new(), &written[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            let (data, trailers, taken) = decode(&pieces).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!((trailers.as_str(), taken), ("", written.len()));
        }

        #[test]
        fn any_bytes_give_the_same_in_one_piece_or_many(bytes in "([0-3;a= \r\n:\"]|\r\n|0\r\n\r\n){0,24}") {
            let bytes = bytes.as_bytes();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(decode(&[bytes]), decode(&single));
        }
    }
}
