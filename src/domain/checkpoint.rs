//! A signed note of where the trail ends: the anchor outside that a chain alone does not have.
//!
//! **Guarantee** (DESIGN §4): whoever holds a [`Checkpoint`] that was signed once can tell that a trail
//! still extends it. A missing tail, a complete rewrite or an older copy of the file does not, and
//! without the secret of the key file nobody can sign another one.
//!
//! The form is that of the signed notes of the Go checksum database and C2SP: lines of text, an empty
//! line, and a line `— NAME BASE64` for each signature, made by Ed25519 over the text. Other tools
//! that know signed notes can check it with the [`VerifierKey`].
//!
//! Pure: what time it is and what the trail's head is, others say.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::caller::Key;
use super::row::{GENESIS, Link};
use crate::clock::rfc3339;

/// The first line: what the note is about, and in which version of its form.
const TITLE: &str = "tollgate audit checkpoint 1";

/// Who signs, in the signature's line. The key's own hash stands behind it.
const SIGNER: &str = "tollgate";

/// How signed notes number Ed25519.
const ED25519_NOTE: u8 = 1;

/// Where a trail ended at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which trail: the id in `audit_database`.
    pub database: String,
    /// The last row; 0 of a trail without any.
    pub seq: i64,
    /// That row's hash.
    pub hash: String,
    /// When that was so.
    pub at: Timestamp,
}

/// What signs checkpoints. Made of the gateway's secret, so there is no further file to keep.
pub struct SigningKey(Ed25519KeyPair);

/// What checks a signature; no secret. Its text is a verifier key of signed notes:
/// `NAME+HASH+BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: [u8; 32],
}

/// Why a text is no checkpoint to rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is something else.
    #[error("it is not a signed checkpoint of an audit trail, or more than one")]
    Form,
    /// Nobody signed it with this key.
    #[error("it is not signed with this key")]
    Unsigned,
    /// The signature is not one of this text.
    #[error("its signature does not fit: it was edited, or signed with another key")]
    Forged,
}

/// A text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a public key looks like `tollgate+0123abcd+BASE64`, as `audit checkpoint --public-key` prints it"
)]
pub struct BadKey;

// === impl Checkpoint ===

impl Checkpoint {
    /// Where the trail `database` ends.
    #[must_use]
    pub fn new(database: String, head: Option<&Link>, at: Timestamp) -> Self {
        Self {
            database,
            seq: head.map_or(0, |link| link.seq),
            hash: head.map_or_else(|| GENESIS.to_owned(), |link| link.hash.clone()),
            at,
        }
    }

    /// The signed note, with the line feed at its end.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let verifier = key.verifier();
        let mut signature = verifier.hash().to_vec();
        signature.extend_from_slice(key.0.sign(text.as_bytes()).as_ref());
        let (name, signature) = (verifier.name, STANDARD.encode(signature));
        format!("{text}\n\u{2014} {name} {signature}\n")
    }

    /// The checkpoint in a note, if `key` signed it. Signatures of others beside it do no harm; anything
    /// else does, because of two notes one would be taken for both.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        // A file that went through a mail or an editor may have other line ends, and more of them.
        let note = note.replace("\r\n", "\n");
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Form)?;
        let text = format!("{text}\n");
        let checkpoint = Self::read(&text).ok_or(NoteError::Form)?;
        let mut verdict = Err(NoteError::Unsigned);
        for line in signatures.lines().filter(|line| !line.trim().is_empty()) {
            let line = line.strip_prefix("\u{2014} ").ok_or(NoteError::Form)?;
            let (name, signature) = line.trim_end().split_once(' ').ok_or(NoteError::Form)?;
            let signature = STANDARD.decode(signature).map_err(|_| NoteError::Form)?;
            let (hash, signature) = signature.split_at_checked(4).ok_or(NoteError::Form)?;
            if name != key.name || hash != key.hash() {
                continue;
            }
            let public = UnparsedPublicKey::new(&ED25519, key.key);
            match public.verify(text.as_bytes(), signature) {
                Ok(()) => verdict = Ok(()),
                Err(_) if verdict.is_err() => verdict = Err(NoteError::Forged),
                Err(_) => {}
            }
        }
        verdict.map(|()| checkpoint)
    }

    // What is signed.
    fn text(&self) -> String {
        let Self {
            database,
            seq,
            hash,
            at,
        } = self;
        let at = rfc3339(*at);
        format!("{TITLE}\ndatabase {database}\nseq {seq}\nhash {hash}\ntime {at}\n")
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let title = lines.next()?;
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let checkpoint = Self {
            database: value("database")?.to_owned(),
            seq: value("seq")?.parse().ok()?,
            hash: value("hash")?.to_owned(),
            at: value("time")?.parse().ok()?,
        };
        // One form only: what is read is what is written, to the byte.
        (title == TITLE && checkpoint.text() == text).then_some(checkpoint)
    }
}

// === impl SigningKey ===

impl SigningKey {
    /// The key that belongs to the gateway's secret.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        let seed = key.seed("checkpoint signing");
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed of 32 bytes"))
    }

    /// What checks its signatures.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        VerifierKey {
            name: SIGNER.to_owned(),
            key,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

// === impl VerifierKey ===

impl VerifierKey {
    // The first four bytes of SHA-256 over name, line feed, number of the algorithm, key.
    fn hash(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519_NOTE])
            .chain_update(self.key)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519_NOTE], &self.key[..]].concat();
        let (name, hash) = (&self.name, hex::encode(self.hash()));
        write!(f, "{name}+{hash}+{}", STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        // The key in base64 may have a `+` of its own.
        let mut parts = text.trim().splitn(3, '+');
        let mut part = || parts.next().ok_or(BadKey);
        let (name, hash, key) = (part()?, part()?, part()?);
        let key = STANDARD.decode(key).map_err(|_| BadKey)?;
        let (&algorithm, key) = key.split_first().ok_or(BadKey)?;
        let parsed = Self {
            name: name.to_owned(),
            key: key.try_into().map_err(|_| BadKey)?,
        };
        let fits = algorithm == ED25519_NOTE && hash == hex::encode(parsed.hash());
        (fits && !name.is_empty()).then_some(parsed).ok_or(BadKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::of(&Key::new(&[byte; 32]))
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            database: "0123456789abcdef0123456789abcdef".into(),
            seq: 42,
            hash: "ab".repeat(32),
            at: "2026-11-24T12:00:00.5Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_note_is_signed_and_read_again() {
        let note = checkpoint().sign(&key(1));
        let (text, signature) = note.split_once("\n\n").unwrap();
        insta::assert_snapshot!(text, @r"
        tollgate audit checkpoint 1
        database 0123456789abcdef0123456789abcdef
        seq 42
        hash abababababababababababababababababababababababababababababababab
        time 2026-11-24T12:00:00.500Z
        ");
        assert!(signature.starts_with("\u{2014} tollgate "), "{signature}");
        let verifier = key(1).verifier();
        assert_eq!(Checkpoint::open(&note, &verifier), Ok(checkpoint()));
        let mailed = note.replace('\n', "\r\n") + "\r\n";
        assert_eq!(Checkpoint::open(&mailed, &verifier), Ok(checkpoint()));
        let stranger = checkpoint().sign(&key(2));
        let stranger = stranger.split_once("\n\n").unwrap().1;
        let both = format!("{text}\n\n{stranger}{signature}");
        assert_eq!(Checkpoint::open(&both, &verifier), Ok(checkpoint()));
    }

    #[test]
    fn what_was_edited_or_signed_by_another_is_refused() {
        let verifier = key(1).verifier();
        let open = |note: &str| Checkpoint::open(note, &verifier);
        let note = checkpoint().sign(&key(1));
        assert_eq!(open(&note.replace("42", "43")), Err(NoteError::Forged));
        assert_eq!(open(&note.replace("seq", "Seq")), Err(NoteError::Form));
        assert_eq!(
            open(&note.replace("seq 42", "seq +42")),
            Err(NoteError::Form)
        );
        assert_eq!(open(&checkpoint().sign(&key(2))), Err(NoteError::Unsigned));
        assert_eq!(
            open(note.split_once('\u{2014}').unwrap().0),
            Err(NoteError::Unsigned)
        );
        assert_eq!(open(""), Err(NoteError::Form));
        assert_eq!(open("a\n\nb"), Err(NoteError::Form));
        // Which of several would have been checked, nobody could tell.
        assert_eq!(open(&note.repeat(2)), Err(NoteError::Form));
        assert_eq!(open(&(note + "and more\n")), Err(NoteError::Form));
    }

    // With the reference's own key pair: golang.org/x/mod/sumdb/note, in its package documentation.
    #[test]
    fn a_verifier_key_is_that_of_signed_notes() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let ours = super::tests::key(1).verifier();
        assert_eq!(ours.to_string().parse(), Ok(ours));
        for wrong in [
            "",
            "tollgate",
            "a+b+c",
            &text.replace("c74f", "c74e"),
            &text[1..],
        ] {
            assert_eq!(wrong.parse::<VerifierKey>(), Err(BadKey), "{wrong}");
        }
    }

    // The same place's signature over its text shows that ours would be read there.
    #[test]
    fn a_signature_is_that_of_signed_notes() {
        let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
            .parse()
            .unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n";
        let line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = STANDARD.decode(line).unwrap();
        assert_eq!(signature[..4], key.hash());
        let public = UnparsedPublicKey::new(&ED25519, key.key);
        public.verify(text.as_bytes(), &signature[4..]).unwrap();
    }
}
