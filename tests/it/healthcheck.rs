//! `tollgate healthcheck`, the real binary, as whoever watches over a container runs it.

use std::process::Command;

use tokio::net::TcpListener;

use crate::support::process::{Folder, NOBODY};
use crate::support::{Made, TLS_CERT, TLS_KEY};

/// What a full disk would be for whoever asks whether rows can be written.
const FULL: &str = "CREATE TRIGGER full BEFORE INSERT ON store_checks
    BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";

/// What it says and its exit code, where the configuration has the admin side at `listen`.
fn check(listen: &str, words: &[&str]) -> (String, Option<i32>) {
    let ran = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("healthcheck")
        .args(words)
        .env_clear()
        .env("TOLLGATE_LISTEN__ADMIN", listen)
        .output()
        .expect("the binary starts");
    assert!(ran.stdout.is_empty(), "reasons go to standard error");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    (said, ran.status.code())
}

#[tokio::test]
async fn a_gateway_that_cannot_record_is_not_healthy_and_says_why() {
    let gate = Folder::before(NOBODY).start().await;
    gate.execute(FULL).await;
    let (said, code) = check(gate.admin_address(), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("503 Service Unavailable: tollgate.db"),
        "{said}"
    );

    // It is alive all the same.
    let url = format!("http://{}/healthz", gate.admin_address());
    assert_eq!(
        check("127.0.0.1:1", &["--url", &url]),
        (String::new(), Some(0))
    );
}

#[tokio::test]
async fn a_gateway_that_is_ready_is_healthy_on_every_address() {
    let gate = Folder::before(NOBODY)
        .set("listen.admin", "0.0.0.0:0")
        .start()
        .await;
    assert_eq!(check(gate.admin_address(), &[]), (String::new(), Some(0)));
}

#[tokio::test]
async fn a_gateway_that_speaks_tls_is_asked_by_tls() {
    let folder = Folder::before(NOBODY)
        .set("listen.tls_cert", TLS_CERT)
        .set("listen.tls_key", TLS_KEY);
    Made::new().write_to(folder.path());
    let (certificate, key) = (folder.path().join(TLS_CERT), folder.path().join(TLS_KEY));
    let gate = folder.start().await;
    let ran = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("healthcheck")
        .env_clear()
        .env("TOLLGATE_LISTEN__ADMIN", gate.admin_address())
        .env("TOLLGATE_LISTEN__TLS_CERT", certificate)
        .env("TOLLGATE_LISTEN__TLS_KEY", key)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!((&*said, ran.status.code()), ("", Some(0)));
    // Plain HTTP gets no answer there.
    let url = format!("http://{}/readyz", gate.admin_address());
    let (said, code) = check("127.0.0.1:1", &["--url", &url]);
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn nobody_and_silence_are_not_healthy() {
    let (said, code) = check("127.0.0.1:1", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("http://127.0.0.1:1/readyz cannot be asked"),
        "{said}"
    );

    // The system takes the connection, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (said, code) = check(&address, &["--timeout", "50ms"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("gave no answer within 50ms"), "{said}");
}

#[test]
fn a_wrong_configuration_is_told_apart() {
    let (said, code) = check("nowhere", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("TOLLGATE_LISTEN__ADMIN"), "{said}");
}
