//! The certificate that is shown to whoever connects, and its key.
//!
//! **Guarantees** (CONTRACT §2, `listen.tls_cert`). Both files are right and belong together, or neither is used:
//! also when they are read anew, and [replace](Certificate::replace) what was in use. Connections that are
//! open are not touched by that; a new one gets the new certificate, and cannot resume a session of the old one,
//! because the sessions go with it. An error names a file and never tells what is in it.
//!
//! TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN; nobody is asked for a certificate of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::live::Live;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug)]
pub struct Certificate(Live<Current>);

#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    fingerprint: String,
    expires: Timestamp,
}

/// Which certificate was in use, and which is now: each by its SHA-256, as `openssl x509 -fingerprint` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Until now.
    pub before: String,
    /// From now on.
    pub now: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("{key} {}: {problem}", path.display())]
pub struct CertificateError {
    /// The key of the configuration that names the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not there, or not for us.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It holds something else.
    #[error("holds no certificate as PEM")]
    NoCertificate,
    /// It holds something else.
    #[error("holds no private key as PEM; one with a passphrase cannot be used")]
    NoKey,
    /// The certificate is damaged, or of a kind that nobody accepts.
    #[error("the certificate cannot be used: {0}")]
    UnusableCertificate(rustls::CertificateError),
    /// The key is damaged, or of a kind that is not supported.
    #[error("the key cannot be used: {0}")]
    UnusableKey(String),
    /// It is the key of another certificate.
    #[error("is not the key of the first certificate in listen.tls_cert")]
    Mismatch,
}

const CERT: &str = "listen.tls_cert";
const KEY: &str = "listen.tls_key";

// === impl Certificate ===

impl Certificate {
    /// The certificate in the file `chain`, with those that vouch for it behind it, and its key.
    ///
    /// # Errors
    ///
    /// What is wrong with which file.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        Ok(Self(Current::read(chain, key)?.into()))
    }

    /// Connections to come get `new`.
    pub fn replace(&self, new: &Self) -> Replaced {
        let new = Current::clone(&new.0.read());
        let now = new.fingerprint.clone();
        let before = self.0.replace(new).fingerprint.clone();
        Replaced { before, now }
    }

    /// Until when it is worth anything: it, and those that vouch for it.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.0.read().expires
    }

    /// Shakes hands with the certificate of this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0.read().config).into()
    }
}

// === impl Current ===

impl Current {
    fn read(chain_file: &Path, key_file: &Path) -> Result<Self, CertificateError> {
        let of_cert = |problem| CertificateError {
            key: CERT,
            path: chain_file.to_owned(),
            problem,
        };
        let of_key = |problem| CertificateError {
            key: KEY,
            path: key_file.to_owned(),
            problem,
        };
        let chain = CertificateDer::pem_file_iter(chain_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| of_cert(told(error, Problem::NoCertificate)))?;
        let first = chain
            .first()
            .ok_or_else(|| of_cert(Problem::NoCertificate))?;
        let fingerprint = hex::encode(Sha256::digest(first));
        let expires = chain.iter().map(expiry).collect::<Option<Vec<_>>>();
        let key = PrivateKeyDer::from_pem_file(key_file)
            .map_err(|error| of_key(told(error, Problem::NoKey)))?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    of_key(Problem::Mismatch)
                }
                rustls::Error::InvalidCertificate(error) => {
                    of_cert(Problem::UnusableCertificate(error))
                }
                rustls::Error::General(error) => of_key(Problem::UnusableKey(error)),
                error => of_key(Problem::UnusableKey(error.to_string())),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            fingerprint,
            // What the library above took, but for one that vouches for it and is none.
            expires: expires
                .and_then(|each| each.into_iter().min())
                .ok_or_else(|| {
                    let damaged = rustls::CertificateError::BadEncoding;
                    of_cert(Problem::UnusableCertificate(damaged))
                })?,
        })
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = certificate.validity().not_after.timestamp();
    // Some say `never` by a year that nobody can count to.
    Some(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

// The library's own words quote the file.
fn told(error: pem::Error, otherwise: Problem) -> Problem {
    match error {
        pem::Error::Io(error) => Problem::Unreadable(error),
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            let (certificate, key) = pair();
            files.write(&certificate, &key);
            files
        }

        fn paths(&self) -> [PathBuf; 2] {
            ["tls.crt", "tls.key"].map(|name| self.0.path().join(name))
        }

        fn write(&self, certificate: &str, key: &str) {
            let [chain, key_file] = self.paths();
            fs::write(chain, certificate).unwrap();
            fs::write(key_file, key).unwrap();
        }

        fn read(&self) -> Result<Certificate, CertificateError> {
            let [chain, key] = self.paths();
            Certificate::read(&chain, &key)
        }

        /// Without the folder, which is another one each time.
        fn told(&self, error: &CertificateError) -> String {
            let folder = format!("{}/", self.0.path().display());
            error.to_string().replace(&folder, "")
        }

        fn refused(&self, certificate: &str, key: &str) -> String {
            self.write(certificate, key);
            self.told(&self.read().unwrap_err())
        }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_with_which_file_is_told_and_nothing_of_what_is_in_it() {
        let files = Files::new();
        let ((certificate, key), (_, other)) = (pair(), pair());
        let damaged = format!("{}x\n", certificate.replace("\n-----END", "-----END"));
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let of_key = empty.replace("CERTIFICATE", "PRIVATE KEY");
        let refused = [
            files.refused("", &key),
            files.refused("s3cret", &key),
            files.refused("-----BEGIN s3cret\n", &key),
            files.refused(&damaged, &key),
            files.refused(empty, &key),
            // The wrong way round.
            files.refused(&key, &certificate),
            files.refused(&certificate, ""),
            files.refused(&certificate, "-----BEGIN s3cret\n"),
            files.refused(&certificate, &certificate),
            files.refused(&certificate, &of_key),
            files.refused(&certificate, &other),
        ];
        insta::assert_snapshot!(refused.join("\n"), @r"
        listen.tls_cert tls.crt: holds no certificate as PEM
        listen.tls_cert tls.crt: holds no certificate as PEM
        listen.tls_cert tls.crt: holds no certificate as PEM
        listen.tls_cert tls.crt: holds no certificate as PEM
        listen.tls_cert tls.crt: the certificate cannot be used: BadEncoding
        listen.tls_cert tls.crt: holds no certificate as PEM
        listen.tls_key tls.key: holds no private key as PEM; one with a passphrase cannot be used
        listen.tls_key tls.key: holds no private key as PEM; one with a passphrase cannot be used
        listen.tls_key tls.key: holds no private key as PEM; one with a passphrase cannot be used
        listen.tls_key tls.key: the key cannot be used: failed to parse private key as RSA, ECDSA, or EdDSA
        listen.tls_key tls.key: is not the key of the first certificate in listen.tls_cert
        ");
        fs::remove_file(&files.paths()[1]).unwrap();
        let gone = files.told(&files.read().unwrap_err());
        insta::assert_snapshot!(gone, @"listen.tls_key tls.key: cannot be read: No such file or directory (os error 2)");
    }

    #[test]
    fn what_is_in_use_changes_when_it_is_replaced() {
        let files = Files::new();
        let certificate = files.read().unwrap();
        let config = || Arc::clone(certificate.acceptor().config());
        let before = config();
        let (new, key) = pair();
        files.write(&new, "");
        files.read().unwrap_err();
        files.write(&new, &pair().1);
        files.read().unwrap_err();
        files.write(&new, &key);
        let read = files.read().unwrap();
        assert!(Arc::ptr_eq(&before, &config()), "it was only read");
        let replaced = certificate.replace(&read);
        assert_ne!(replaced.before, replaced.now);
        assert!(!Arc::ptr_eq(&before, &config()));
        let again = certificate.replace(&files.read().unwrap());
        assert_eq!([again.before, again.now], [&*replaced.now; 2]);
    }

    #[test]
    fn it_expires_with_the_first_of_its_chain() {
        let dated = |year| {
            let mut asked = rcgen::CertificateParams::new(["gate.example".to_owned()]).unwrap();
            asked.not_after = rcgen::date_time_ymd(year, 3, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            (asked.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let ((own, key), (issuer, _)) = (dated(2031), dated(2030));
        let files = Files::new();
        files.write(&format!("{own}{issuer}"), &key);
        let expires = files.read().unwrap().expires();
        assert_eq!(expires.to_string(), "2030-03-01T00:00:00Z");
    }
}
