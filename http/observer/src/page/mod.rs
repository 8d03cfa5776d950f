//! The page: one file with its style and script inside, which reads the views of the API each second.
//!
//! **Invariants:** the page loads nothing of another origin, and only the style and the script whose hashes
//! its policy names are run. Every text of the program is set as text.

use riot_http::{Head, http::StatusCode};

use crate::message::Reply;

const PAGE: &str = include_str!("page.html");

/// The policy of the page. Its two hashes are those of the style and the script as they stand in the file.
const POLICY: &str = "default-src 'none'; \
     style-src 'sha256-DDp94nxyinkkHvCiK/EFliOR83fsTgscbgxc6ElJk38='; \
     script-src 'sha256-cv9qz7E9JiOAX6lROezbeWUAWWd8519fQfxPHsDsdNI='; \
     connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Returns whether a client prefers the page to plain text, as browsers do.
pub(crate) fn is_wanted(head: &Head) -> bool {
    let is_html = |accept: &[u8]| accept.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"));
    head.headers().get_all("accept").any(is_html)
}

/// Answers with the page.
pub(crate) fn answer() -> Reply {
    Reply::new(StatusCode::OK, "text/html; charset=utf-8", PAGE).with_policy(POLICY)
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use super::*;

    /// The first 32 bits of the fractional part of a root of a prime (FIPS 180-4, 4.2.2 and 5.3.3).
    fn fraction(root: f64) -> u32 {
        (root.fract() * 4_294_967_296.0) as u32
    }

    /// SHA-256 of FIPS 180-4.
    fn sha256(text: &[u8]) -> Vec<u8> {
        let is_prime = |number: &u32| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
        let primes = || (2..).filter(is_prime).map(f64::from);
        let factors: Vec<u32> = primes().take(64).map(|prime| fraction(prime.cbrt())).collect();
        let mut hash: Vec<u32> = primes().take(8).map(|prime| fraction(prime.sqrt())).collect();
        let mut padded = text.to_vec();
        padded.push(0x80);
        padded.resize((text.len() + 9).next_multiple_of(64) - 8, 0);
        padded.extend_from_slice(&(text.len() as u64 * 8).to_be_bytes());
        for block in padded.chunks_exact(64) {
            let mut words: Vec<u32> = block
                .chunks_exact(4)
                .map(|word| u32::from_be_bytes(word.try_into().expect("four")))
                .collect();
            for nth in 16..64 {
                let (late, early) = (words[nth - 2], words[nth - 15]);
                let late = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
                let early = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
                words.push(
                    late.wrapping_add(words[nth - 7]).wrapping_add(early).wrapping_add(words[nth - 16]),
                );
            }
            let mut s = hash.clone();
            for (word, factor) in words.iter().zip(&factors) {
                let big = s[4].rotate_right(6) ^ s[4].rotate_right(11) ^ s[4].rotate_right(25);
                let choice = (s[4] & s[5]) ^ (!s[4] & s[6]);
                let terms = [big, choice, *factor, *word];
                let one = terms.iter().fold(s[7], |sum, term| sum.wrapping_add(*term));
                let big = s[0].rotate_right(2) ^ s[0].rotate_right(13) ^ s[0].rotate_right(22);
                let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
                s.rotate_right(1);
                s[4] = s[4].wrapping_add(one);
                s[0] = one.wrapping_add(big).wrapping_add(majority);
            }
            hash.iter_mut().zip(s).for_each(|(hash, s)| *hash = hash.wrapping_add(s));
        }
        hash.into_iter().flat_map(u32::to_be_bytes).collect()
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = |group: &[u8]| -> String {
            let bits = (0..3).fold(0, |bits, nth| bits << 8 | u32::from(*group.get(nth).unwrap_or(&0)));
            let all = [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]));
            all[..=group.len()].iter().chain(&['='; 3][group.len()..]).collect()
        };
        bytes.chunks(3).map(digits).collect()
    }

    #[test]
    fn ob11_the_policy_of_the_page_has_the_hashes_of_its_style_and_script() {
        assert_eq!(base64(&sha256(b"abc")), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        assert_eq!(base64(&sha256(b"")), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        for part in ["style", "script"] {
            let (before, after) = (format!("<{part}>"), format!("</{part}>"));
            assert_eq!((PAGE.matches(&before).count(), PAGE.matches(&after).count()), (1, 1), "{part}");
            let text =
                PAGE.split_once(&before).and_then(|(_, rest)| rest.split_once(&after)).expect("a part");
            let hash = format!("{part}-src 'sha256-{}';", base64(&sha256(text.0.as_bytes())));
            assert!(POLICY.contains(&hash), "the policy of the page has to have {hash}");
        }
    }

    #[test]
    fn ob11_the_page_is_one_small_file_that_sets_text_alone_and_loads_nothing() {
        assert!(PAGE.len() < 60 * 1024, "{} bytes", PAGE.len());
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style="] {
            assert!(!PAGE.contains(word), "{word}");
        }
        let addresses =
            successors(PAGE.find("://"), |at| PAGE[at + 3..].find("://").map(|next| at + 3 + next));
        let addresses: Vec<&str> = addresses.map(|at| &PAGE[at - 4..at + 20]).collect();
        assert_eq!(addresses, ["http://www.w3.org/2000/sv"].map(|text| &text[..24]), "only the name of SVG");
    }
}
