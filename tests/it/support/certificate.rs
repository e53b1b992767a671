//! Certificates that nobody but a test believes.

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;

/// What the files are called in a gateway's folder.
pub(crate) const TLS_CERT: &str = "tls.crt";
pub(crate) const TLS_KEY: &str = "tls.key";

/// A certificate for this machine, which vouches for itself, with its key.
pub(crate) struct Made {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

// === impl Made ===

impl Made {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            cert_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        }
    }

    /// Puts both files there.
    pub(crate) fn write_to(&self, folder: &Path) {
        fs::write(folder.join(TLS_CERT), &self.cert_pem).unwrap();
        fs::write(folder.join(TLS_KEY), &self.key_pem).unwrap();
    }
}
