//! The requests, each with what is to become of it.

/// A request to the byte.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) raw: Vec<u8>,
    pub(super) verdict: Verdict,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is answered with this status, nothing goes upstream, and nothing more is read from the connection.
    Refused(u16),
    /// It is answered with this status and nothing goes upstream; the connection goes on.
    Declined(u16),
    /// Upstream gets it once, with this method and target and this body.
    Once(&'static str, String),
    /// Upstream gets this one without a body; what comes behind it is answered with this status, and nothing more
    /// is read.
    First(&'static str, u16),
    /// Upstream gets the beginning of it and no end.
    Cut,
}

use Verdict::{Cut, Declined, First, Refused};

/// A request that is one of its own, hidden in another.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: gate\r\n\r\n";

/// The most bytes of a head that pass, and the most headers.
const HEAD: usize = 64 << 10;
const HEADERS: usize = 100;

fn once(line: &'static str, body: &str) -> Verdict {
    Verdict::Once(line, body.to_owned())
}

fn case(name: &'static str, raw: impl Into<Vec<u8>>, verdict: Verdict) -> Case {
    let raw = raw.into();
    Case { name, raw, verdict }
}

/// All of them.
pub(super) fn corpus() -> Vec<Case> {
    let parts = [
        lengths(),
        codings(),
        both(),
        chunks(),
        lines(),
        headers(),
        targets(),
        limits(),
    ];
    parts.into_iter().flatten().collect()
}

// --- Content-Length ---

fn lengths() -> Vec<Case> {
    let put = |fields: &str| format!("PUT /case HTTP/1.1\r\nHost: gate\r\n{fields}\r\n\r\nhello");
    let length = |length: &str| put(&format!("Content-Length: {length}"));
    let hello = || once("PUT /case", "hello");
    let inside = format!(
        "PUT /case HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n{HIDDEN}",
        HIDDEN.len()
    );
    vec![
        case("a length", length("5"), hello()),
        case("a length with spaces around", length(" \t5 \t"), hello()),
        case("a length with zeros", length("0005"), hello()),
        case("a length with a plus", length("+5"), Refused(400)),
        case("a length below zero", length("-5"), Refused(400)),
        case("a length in hexadecimal", length("0x5"), Refused(400)),
        case("a length with a fraction", length("5.0"), Refused(400)),
        case("a length with a space inside", length("5 5"), Refused(400)),
        case("an empty length", length(""), Refused(400)),
        case(
            "a length over 64 bits",
            length("18446744073709551621"),
            Refused(400),
        ),
        case("two lengths in a list", length("5, 5"), Refused(400)),
        case(
            "two lengths",
            put("Content-Length: 5\r\nContent-Length: 6"),
            Refused(400),
        ),
        case(
            "a length twice",
            put("Content-Length: 5\r\nContent-Length: 5"),
            hello(),
        ),
        case(
            "a length that ends with this hop",
            put("Connection: content-length\r\nContent-Length: 5"),
            hello(),
        ),
        case(
            "a request inside of a body",
            inside.clone(),
            once("PUT /case", HIDDEN),
        ),
        case(
            "a request inside of the body of a read",
            inside.replacen("PUT", "GET", 1),
            once("GET /case", HIDDEN),
        ),
        case(
            "a body that is announced",
            put("Expect: 100-continue\r\nContent-Length: 5"),
            hello(),
        ),
    ]
}

// --- Transfer-Encoding ---

fn codings() -> Vec<Case> {
    let put = |fields: &str| {
        format!("PUT /case HTTP/1.1\r\nHost: gate\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    };
    let coding = |coding: &str| put(&format!("Transfer-Encoding: {coding}"));
    let hello = || once("PUT /case", "hello");
    vec![
        case("chunked", coding("chunked"), hello()),
        case("chunked in odd case", coding("cHuNkEd"), hello()),
        case("chunked behind a tab", coding("\tchunked\t"), hello()),
        case(
            "chunked that ends with this hop",
            put("Connection: transfer-encoding\r\nTransfer-Encoding: chunked"),
            hello(),
        ),
        case(
            "chunked, then identity",
            coding("chunked, identity"),
            Refused(400),
        ),
        case(
            "identity, then chunked",
            coding("identity, chunked"),
            Refused(400),
        ),
        case(
            "packed, then chunked",
            coding("gzip, chunked"),
            Refused(400),
        ),
        case("identity alone", coding("identity"), Refused(400)),
        case("nothing, then chunked", coding(", chunked"), Refused(400)),
        case("chunked twice", coding("chunked, chunked"), Refused(400)),
        case(
            "chunked in two lines",
            put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            Refused(400),
        ),
        case(
            "identity and chunked in two lines",
            put("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
            Refused(400),
        ),
        case(
            "chunked with a parameter",
            coding("chunked;q=1"),
            Refused(400),
        ),
        case("chunked in quotes", coding("\"chunked\""), Refused(400)),
        case("nearly chunked", coding("xchunked"), Refused(400)),
        case("no coding", coding(""), Refused(400)),
        case(
            "chunked behind a vertical tab",
            coding("\x0bchunked"),
            Refused(400),
        ),
        case(
            "chunked in a folded line",
            coding("\r\n chunked"),
            Refused(400),
        ),
        case(
            "chunked behind a folded line",
            put("X: a\r\n Transfer-Encoding: chunked"),
            Refused(400),
        ),
        case(
            "chunked with a space before the colon",
            put("Transfer-Encoding : chunked"),
            Refused(400),
        ),
        // Another header, so that the body is none; what follows is read as a request, and is none.
        case(
            "chunked with an underscore",
            put("Transfer_Encoding: chunked"),
            once("PUT /case", ""),
        ),
        case(
            "chunked by HTTP/1.0",
            coding("chunked").replacen("HTTP/1.1", "HTTP/1.0", 1),
            Refused(400),
        ),
    ]
}

// RFC 9112 §6.1: it ought to be refused, or else read by the chunks alone and nothing behind it.
fn both() -> Vec<Case> {
    let put = |fields: &str, body: &str| {
        format!("PUT /case HTTP/1.1\r\nHost: gate\r\n{fields}\r\n\r\n{body}")
    };
    let short = "Content-Length: 4\r\nTransfer-Encoding: chunked";
    let long = "Transfer-Encoding: chunked\r\ncontent-length: 47";
    let hidden = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let behind = format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}");
    let fields = format!("hello\r\n{short}\r\n\r\n");
    let inside = format!("{:x}\r\n{fields}\r\n0\r\n\r\n", fields.len());
    vec![
        case(
            "chunked, and a shorter length",
            put(short, &hidden),
            Refused(400),
        ),
        case(
            "chunked, and a longer length",
            put(long, &behind),
            Refused(400),
        ),
        case(
            "chunked, and no number",
            put("Transfer-Encoding: chunked\r\nContent-Length: x", &behind),
            Refused(400),
        ),
        case(
            "chunked, and a length behind 8 KiB",
            put(
                &format!("X-Case: {}\r\n{short}", "x".repeat(8 << 10)),
                &hidden,
            ),
            Refused(400),
        ),
        case(
            "chunked, and a length in the body",
            put("Transfer-Encoding: chunked", &inside),
            once("PUT /case", &fields),
        ),
    ]
}

// --- chunks ---

fn chunks() -> Vec<Case> {
    let chunked = |line: &str, body: &str| {
        format!("{line} HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}")
    };
    let put = |body: &str| chunked("PUT /case", body);
    // It changes nothing, so its body is not waited for.
    let report = |body: &str| chunked("POST /reports/api/v3/workspace/1/search/time_entries", body);
    let hello = |size: &str| put(&format!("{size}\r\nhello\r\n0\r\n\r\n")).replace(HIDDEN, "");
    let whole = || once("PUT /case", "hello");
    let large = format!("5;{}", "x".repeat(64 << 10));
    vec![
        case("a size", hello("5"), whole()),
        case("a size with zeros", hello("0000005"), whole()),
        case("a size with a space behind", hello("5 "), whole()),
        case("a size with an extension", hello("5;a=\"b\""), whole()),
        case(
            "a size with 64 KiB of extension",
            hello(&large),
            Refused(400),
        ),
        case("a size with a plus", hello("+5"), Refused(400)),
        case("a size below zero", hello("-5"), Refused(400)),
        case("a size with 0x", hello("0x5"), Refused(400)),
        case("a size with a space before", hello(" 5"), Refused(400)),
        case(
            "a size over 64 bits",
            hello("10000000000000005"),
            Refused(400),
        ),
        case("no size", hello(""), Refused(400)),
        case(
            "a size that ends with a line feed alone",
            put("5\nhello\r\n0\r\n\r\n"),
            Refused(400),
        ),
        case(
            "a size that ends with a return alone",
            put("5\rhello\r\n0\r\n\r\n"),
            Refused(400),
        ),
        case(
            "an extension with a line feed alone",
            put("5;a\nhello\r\n0\r\n\r\n"),
            Refused(400),
        ),
        case(
            "a chunk that is longer than its size",
            put("4\r\nhello\r\n0\r\n\r\n"),
            Refused(400),
        ),
        case(
            "a chunk that is shorter than its size",
            put("6\r\nhello\r\n0\r\n\r\n"),
            Refused(400),
        ),
        case(
            "a chunk that ends with a line feed alone",
            put("5\r\nhello\n0\r\n\r\n"),
            Refused(400),
        ),
        case(
            "a length behind the chunks",
            put("5\r\nhello\r\n0\r\nContent-Length: 40\r\nHost: evil.example\r\n\r\n")
                .replace(HIDDEN, ""),
            whole(),
        ),
        case(
            "a report with a wrong chunk",
            report("5\r\nhello\r\nx"),
            Cut,
        ),
        case(
            "a report with a wrong size",
            report("+5\r\nhello\r\n0\r\n\r\n"),
            Cut,
        ),
    ]
}

// --- lines ---

fn lines() -> Vec<Case> {
    let get = || once("GET /case", "");
    vec![
        case(
            "a line feed alone at the end of lines",
            "GET /case HTTP/1.1\nHost: gate\n\n",
            get(),
        ),
        case(
            "empty lines before a request",
            "\r\n\r\nGET /case HTTP/1.1\r\nHost: gate\r\n\r\n",
            get(),
        ),
        case(
            "a return alone at the end of lines",
            "GET /case HTTP/1.1\rHost: gate\r\r",
            Refused(400),
        ),
        case("HTTP/0.9", "GET /case\r\n\r\n", Refused(400)),
        case(
            "HTTP/1.2",
            "GET /case HTTP/1.2\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "HTTP/2 without its preface",
            "GET /case HTTP/2.0\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "a version in small letters",
            "GET /case http/1.1\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "two spaces before the target",
            "GET  /case HTTP/1.1\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "a space in the target",
            "GET /case /hidden HTTP/1.1\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "a tab before the target",
            "GET\t/case HTTP/1.1\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "a method that is none",
            "G(T /case HTTP/1.1\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "a NUL in the target",
            "GET /case\0 HTTP/1.1\r\nHost: gate\r\n\r\n",
            Refused(400),
        ),
        case(
            "HTTP/1.0 that goes on",
            "GET /case HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            get(),
        ),
        case(
            "a line break in the query",
            "GET /case?a=%0d%0aX:%20b HTTP/1.1\r\nHost: gate\r\n\r\n",
            once("GET /case?a=%0d%0aX:%20b", ""),
        ),
    ]
}

// --- headers ---

fn headers() -> Vec<Case> {
    let get = |fields: &str| format!("GET /case HTTP/1.1\r\n{fields}\r\n\r\n");
    let with = |field: &str| get(&format!("Host: gate\r\n{field}"));
    let passes = || once("GET /case", "");
    vec![
        case("no host", get("X: a"), Refused(400)),
        case(
            "two hosts",
            get("Host: gate\r\nHost: evil.example"),
            Refused(400),
        ),
        case(
            "a host twice",
            get("Host: gate\r\nHost: gate"),
            Refused(400),
        ),
        case(
            "a host with a space before the colon",
            get("Host : gate"),
            Refused(400),
        ),
        case(
            "a host that ends with this hop",
            get("Connection: host\r\nHost: gate"),
            passes(),
        ),
        case("a NUL in a value", with("X: a\0b"), Refused(400)),
        case("a return in a value", with("X: a\rb"), Refused(400)),
        case(
            "a return and a header in a value",
            with("X: a\rY: b"),
            Refused(400),
        ),
        case(
            "a control character in a value",
            with("X: a\x7fb"),
            Refused(400),
        ),
        case("a folded value", with("X: a\r\n b"), Refused(400)),
        case("a folded first line", get(" Host: gate"), Refused(400)),
        case("no name", with(": a"), Refused(400)),
        case("no colon", with("X"), Refused(400)),
        case("a space in a name", with("X Y: a"), Refused(400)),
        case("a NUL in a name", with("X\0: a"), Refused(400)),
        case(
            "an upgrade to a socket",
            with(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
            passes(),
        ),
        case(
            "an upgrade to HTTP/2",
            with(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            ),
            passes(),
        ),
    ]
}

// --- targets ---

fn targets() -> Vec<Case> {
    let ask = |line: &str| format!("{line} HTTP/1.1\r\nHost: gate\r\n\r\n");
    vec![
        case(
            "another host in the target",
            ask("GET http://evil.example/case"),
            once("GET /case", ""),
        ),
        case(
            "another host and a user",
            ask("GET https://gate@evil.example:1/case"),
            once("GET /case", ""),
        ),
        case(
            "two slashes and another host",
            ask("GET //evil.example/case"),
            once("GET //evil.example/case", ""),
        ),
        case("a tunnel", ask("CONNECT evil.example:443"), Declined(400)),
        case("a tunnel to a path", ask("CONNECT /case"), Declined(400)),
        case("no path", ask("OPTIONS *"), Declined(400)),
        case("a host for a path", ask("GET evil.example"), Declined(400)),
        case("a path without a slash", ask("GET case/x"), Refused(400)),
        case("another scheme", ask("GET file:///case"), Refused(400)),
    ]
}

// --- limits ---

fn limits() -> Vec<Case> {
    let many = |count: usize| {
        let fields: String = (1..count)
            .map(|number| format!("X-{number}: a\r\n"))
            .collect();
        format!("GET /case HTTP/1.1\r\nHost: gate\r\n{fields}\r\n")
    };
    let large = |size: usize| {
        let (start, end) = ("GET /case HTTP/1.1\r\nHost: gate\r\nX: ", "\r\n\r\n");
        format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
    };
    let target = format!(
        "GET /case?{} HTTP/1.1\r\nHost: gate\r\n\r\n",
        "x".repeat(2 * HEAD)
    );
    vec![
        case(
            "as many headers as may be",
            many(HEADERS),
            once("GET /case", ""),
        ),
        case("one header too many", many(HEADERS + 1), Refused(431)),
        case(
            "as large a head as may be",
            large(HEAD),
            once("GET /case", ""),
        ),
        case("a head of one byte more", large(HEAD + 1), Refused(431)),
        case(
            "a head of one byte more behind another request",
            format!("{}{}", large(100), large(HEAD + 1)),
            First("GET /case", 431),
        ),
        case("a target that is too large", target, Refused(431)),
    ]
}
