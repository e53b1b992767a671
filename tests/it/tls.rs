//! CONTRACT §2, `listen.tls_cert`: TLS on both listeners, and a certificate that can be replaced while they serve.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate::simulator::Match;

use crate::support::process::{Folder, Process};
use crate::support::{
    DESIGN, Gateway, Made, ORG, TLS_CERT, TLS_KEY, Wire, basic, group, groups, soon, toggl,
    trusting,
};

/// Short enough to wait for, and too long to be what a test waited for.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(3600);

const REQUEST: &str = "GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n\r\n";

fn this_machine() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").unwrap()
}

async fn shake_hands(
    address: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let shaking = TlsConnector::from(Arc::clone(config)).connect(this_machine(), stream);
    soon("hands are shaken", shaking).await
}

/// Asks for something, and gives the head of the answer.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = soon("an answer comes", stream.read_buf(&mut answer)).await;
        assert_ne!(read.unwrap(), 0, "the connection ended");
    }
    String::from_utf8(answer).unwrap()
}

// --- who gets in ---

#[tokio::test]
async fn both_listeners_speak_what_alpn_settles_on() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).tls().start().await;
    for url in [gate.url(), gate.admin_url()] {
        let address = url.strip_prefix("https://").unwrap();
        for (offered, settled) in [
            (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
            (&["http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                let mut config = ClientConfig::builder_with_protocol_versions(&[version])
                    .with_root_certificates(roots(&gate.certificate()))
                    .with_no_client_auth();
                config.alpn_protocols = offered.iter().map(|name| name.as_bytes().into()).collect();
                let mut stream = shake_hands(address, &Arc::new(config)).await.unwrap();
                let (_, session) = stream.get_ref();
                assert_eq!(session.alpn_protocol(), settled);
                assert_eq!(session.protocol_version(), Some(version.version));
                if settled != Some(b"h2") {
                    let answer = ask(&mut stream).await;
                    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
                }
            }
        }
        let mut config = trusting([gate.certificate()]);
        config.alpn_protocols = vec![b"smtp".into()];
        let refused = shake_hands(address, &Arc::new(config)).await;
        assert!(refused.is_err(), "there is no such protocol here");
    }
    gate.stop().await;
}

fn roots(certificate: &CertificateDer<'static>) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    roots
}

#[tokio::test]
async fn a_tool_works_by_http2_over_tls_and_upstream_is_told_how_it_came() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).tls().start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let change = serde_json::json!({ "name": "Brand" });
    ann.put(group(ORG, DESIGN), change).await.assert_ok();
    for path in [groups(ORG), group(ORG, DESIGN)] {
        let received = toggl.received_matching(&Match::path(path));
        let headers = &received.last().unwrap().headers;
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["via"], "2 tollgate");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_session_of_the_admin_side_goes_nowhere_without_tls() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).tls().start().await;
    let page = gate.admin_stranger();
    let form = format!("token={}", gate.admin_token());
    let logged_in = page
        .ask(http::Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        // As browsers do, and here by HTTP/2, which has no `Host`.
        .header("origin", &gate.admin_url())
        .body(form)
        .await
        .assert_status(303);
    let cookie = logged_in.header("set-cookie").unwrap();
    assert!(cookie.split("; ").any(|word| word == "Secure"), "{cookie}");
    let (session, _) = cookie.split_once(';').unwrap();
    page.with("cookie", session).get("/").await.assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn who_does_not_believe_the_certificate_does_not_talk_to_it() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).tls().start().await;
    let config = Arc::new(trusting([Made::new().certificate]));
    let refused = shake_hands(&gate.address(), &config).await.unwrap_err();
    assert!(
        refused.to_string().contains("invalid peer certificate"),
        "{refused}"
    );
    // Which is their own affair.
    gate.client("ann").get("/api/v9/me").await.assert_ok();
    assert_eq!(toggl.received(), 1);
    gate.stop().await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_hung_up_on_at_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .tls()
        .config(|config| config.limits.header_timeout = LONG)
        .start()
        .await;
    for start in [REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n\r\n"] {
        let mut wire = Wire::connect(&gate.address()).await;
        wire.write(start).await;
        let answer = wire.rest().await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert_eq!(toggl.received(), 0);
    gate.stop().await;
}

// --- who is slow ---

/// What a client begins with.
fn client_hello(certificate: CertificateDer<'static>) -> Vec<u8> {
    let config = Arc::new(trusting([certificate]));
    let mut client = ClientConnection::new(config, this_machine()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_cut_off() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .tls()
        .config(|config| config.limits.header_timeout = SHORT)
        .start()
        .await;
    let hello = client_hello(gate.certificate());
    for start in [&[][..], &hello[..1], &hello[..hello.len() - 1], &hello] {
        let mut wire = Wire::connect(&gate.address()).await;
        wire.write(start).await;
        wire.rest().await;
    }
    // One that did, and then asks for nothing, is cut off as well.
    let config = Arc::new(trusting([gate.certificate()]));
    let mut stream = shake_hands(&gate.address(), &config).await.unwrap();
    soon("it is cut off", stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap_err();
    gate.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_anothers_handshake_not_even_the_end() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .tls()
        .config(|config| {
            config.limits.header_timeout = LONG;
            config.limits.shutdown_grace = LONG;
        })
        .start()
        .await;
    let hello = client_hello(gate.certificate());
    let mut slow = Vec::new();
    for start in [&[][..], &hello[..9], &hello] {
        let mut wire = Wire::connect(&gate.address()).await;
        wire.write(start).await;
        slow.push(wire);
    }
    gate.client("ann").get("/api/v9/me").await.assert_ok();
    gate.stop().await;
    for mut wire in slow {
        wire.rest().await;
    }
}

#[tokio::test]
async fn who_asks_over_tls_and_takes_no_answer_is_cut_off() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .tls()
        .config(|config| config.limits.body_timeout = SHORT)
        .start()
        .await;
    let ann = basic(&toggl.token("ann"), "api_token");
    let path = groups(ORG);
    let request = format!("GET {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: {ann}\r\n\r\n");
    let many = request.repeat(64).into_bytes();
    let config = Arc::new(trusting([gate.certificate()]));
    let mut stream = shake_hands(&gate.address(), &config).await.unwrap();
    let cut = async { while stream.write_all(&many).await.is_ok() {} };
    soon("the connection is reset", cut).await;
    gate.measures("tollgate_in_flight_requests", 0).await;
    gate.stop().await;
}

// --- another certificate ---

async fn secured(upstream: &str, made: &Made) -> Process {
    let folder = Folder::before(upstream)
        .set("listen.tls_cert", TLS_CERT)
        .set("listen.tls_key", TLS_KEY);
    made.write_to(folder.path());
    folder.start().await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_connection_being_dropped() {
    let toggl = toggl().await;
    let (old, new) = (Made::new(), Made::new());
    let gate = secured(&toggl.url(), &old).await;
    let both = [old.certificate.clone(), new.certificate.clone()];
    let config = Arc::new(trusting(both));

    let mut open = shake_hands(gate.address(), &config).await.unwrap();
    ask(&mut open).await;
    assert_eq!(shown(&open), old.certificate);
    let mut resumed = shake_hands(gate.address(), &config).await.unwrap();
    ask(&mut resumed).await;
    let kind = |stream: &TlsStream<TcpStream>| stream.get_ref().1.handshake_kind();
    assert_eq!(kind(&resumed), Some(HandshakeKind::Resumed), "as is usual");

    new.write_to(gate.path());
    gate.hang_up();
    gate.logged("The configuration was read anew: listen.tls_cert: ")
        .await;
    let mut next = shake_hands(gate.address(), &config).await.unwrap();
    assert_eq!(kind(&next), Some(HandshakeKind::Full));
    assert_eq!(shown(&next), new.certificate);
    let answers = [ask(&mut next).await, ask(&mut open).await];
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    gate.hang_up();
    gate.logged("nothing has changed").await;
    let (folder, status) = gate.stop().await;
    assert!(status.success());
    assert!(!folder.log().contains(r#""level":"ERROR""#));
}

#[tokio::test]
async fn files_that_are_wrong_leave_the_certificate_in_use() {
    let toggl = toggl().await;
    let (old, new) = (Made::new(), Made::new());
    let gate = secured(&toggl.url(), &old).await;
    // The certificate is new already, its key not yet.
    std::fs::write(gate.path().join(TLS_CERT), &new.cert_pem).unwrap();
    gate.hang_up();
    gate.logged("was not read anew").await;
    let log = gate.log();
    let line = log.lines().find(|line| line.contains("not read anew"));
    let line = line.unwrap();
    assert!(line.contains(r#""level":"ERROR""#), "{line}");
    assert!(
        line.contains("listen.tls_key tls.key: is not the key of"),
        "{line}"
    );
    let config = Arc::new(trusting([old.certificate.clone()]));
    let mut stream = shake_hands(gate.address(), &config).await.unwrap();
    ask(&mut stream).await;
    let (folder, status) = gate.stop().await;
    assert!(status.success());
    let (_, status) = folder.run(&["config", "check"]);
    assert_eq!(status.code(), Some(2));
    old.write_to(folder.path());
    let (said, status) = folder.run(&["config", "check"]);
    assert!(status.success() && said.starts_with("The configuration is right"));
}

#[tokio::test]
async fn a_gateway_does_not_start_with_a_certificate_that_it_cannot_use() {
    let toggl = toggl().await;
    let builder = Gateway::before(&toggl).tls();
    let key = builder.folder().join(TLS_KEY);
    std::fs::File::create(&key)
        .unwrap()
        .write_all(b"s3cret")
        .unwrap();
    let refused = builder.refused().await;
    let told = format!(
        "listen.tls_key {}: holds no private key as PEM",
        key.display()
    );
    assert!(refused.starts_with(&told), "{refused}");
}

#[tokio::test]
async fn the_signal_to_read_anew_ends_nothing_where_there_is_no_certificate() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    gate.hang_up();
    gate.logged("nothing has changed").await;
    gate.stranger().get("/api/v9/me").await.assert_status(401);
    let (_, status) = gate.stop().await;
    assert!(status.success());
}
