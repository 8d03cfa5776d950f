//! Compares every byte of a server's responses with what is expected, before anything is timed.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{load::Spec, server::Server, workload::Workload};

/// Checks a server, and returns the load of `seconds` for it.
pub(crate) fn spec(server: &Server, workload: &Workload, seconds: f64) -> Result<Spec, String> {
    let answer_bytes = answer_bytes(server, workload)?;
    Ok(workload.spec(server.address.clone(), server.pid(), answer_bytes, seconds))
}

/// Sends two batches of the workload's request, and returns the length of one response.
fn answer_bytes(server: &Server, workload: &Workload) -> Result<usize, String> {
    let (request, body) = (workload.request(), workload.body());
    let failed = |error: String| format!("{}, {}: {error}", server.name, workload.name);
    let stream = TcpStream::connect(&server.address).map_err(|error| failed(error.to_string()))?;
    let patience = Some(Duration::from_secs(10));
    stream
        .set_read_timeout(patience)
        .and_then(|()| stream.set_write_timeout(patience))
        .map_err(|e| failed(e.to_string()))?;
    let batches = if workload.shape == super::load::LoadShape::Churn { 1 } else { 2 };
    let mut lengths = Vec::new();
    for _ in 0..batches {
        // Another thread sends: a large response may begin before all of the request is sent.
        let answered = std::thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(&request.repeat(workload.pipeline)));
            (0..workload.pipeline).map(|_| answer(&stream, &body)).collect::<Result<Vec<_>, _>>()
        });
        lengths.extend(answered.map_err(failed)?);
    }
    if lengths.iter().any(|&length| length != lengths[0]) {
        return Err(failed(format!("responses differ in length: {lengths:?}")));
    }
    Ok(lengths[0])
}

/// Reads one response and returns its length. Bytes of a following response stay unread.
fn answer(mut stream: impl Read, expected: &[u8]) -> Result<usize, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(|error| format!("after {} bytes: {error}", head.len()))?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(|error| error.to_string())?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the status is not 200: {head:?}"));
    }
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let value = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim());
        value.ok_or_else(|| format!("no field `{wanted}` in {head:?}"))
    };
    field("server")?;
    if field("date")?.len() != "Sun, 06 Nov 1994 08:49:37 GMT".len() {
        return Err(format!("no valid date in {head:?}"));
    }
    if field("content-length")? != expected.len().to_string() {
        return Err(format!("the body is not {} bytes: {head:?}", expected.len()));
    }
    let mut body = vec![0; expected.len()];
    stream.read_exact(&mut body).map_err(|error| format!("in the body: {error}"))?;
    if body != expected {
        return Err("the body differs".into());
    }
    Ok(head.len() + body.len())
}

#[cfg(test)]
mod tests {
    use super::answer;

    const RIGHT: &str = "HTTP/1.1 200 OK\r\nserver: s\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                         Content-Length: 5\r\n\r\nhello";

    #[test]
    fn a_correct_response_has_its_length_and_the_next_one_stays_unread() {
        let mut stream = RIGHT.as_bytes().repeat(2);
        stream.truncate(RIGHT.len() + 3);
        assert_eq!(answer(&stream[..], b"hello"), Ok(RIGHT.len()));
    }

    #[test]
    fn wrong_responses_are_errors() {
        for (from, to) in [
            ("200", "404"),
            ("server", "servant"),
            ("Date", "Data"),
            ("08:49:37 GMT", "today"),
            ("Content-Length: 5", "Content-Length: 4"),
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            ("hello", "jello"),
            ("hello", "hell"),
        ] {
            assert!(answer(RIGHT.replace(from, to).as_bytes(), b"hello").is_err(), "{to}");
        }
    }
}
