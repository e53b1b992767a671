//! Who is asking: a credential, its fingerprint, and the person behind it if known.
//!
//! **Guarantees** (DESIGN §1.2, §1.7). Two requests have one [`Fingerprint`] only if their scheme,
//! credential and cookies are the same, so that it may key a cache. A [`Credential`] lives for the
//! time of a request and shows itself nowhere: it has no `Display`, and its `Debug` is a word.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use smallvec::SmallVec;

use super::ids::UserId;

/// The secret under which credentials, codes and bodies are hashed.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// What a request authenticates with: all `Authorization` headers and all cookies.
#[derive(Clone)]
pub struct Credential {
    authorization: SmallVec<[HeaderValue; 1]>,
    cookies: Vec<Vec<u8>>,
}

/// HMAC-SHA256 of a credential: what stands for it on disk and in the cache's keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// The person behind a credential, as upstream's `GET /me` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// Their number.
    pub user_id: Option<UserId>,
    /// Their address.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The credential, to ask upstream in the caller's name while the request lasts.
    pub credential: Credential,
    /// What stands for it everywhere else.
    pub fingerprint: Fingerprint,
}

// What a load balancer sets says nothing of who is asking, and would split one caller into many.
const BALANCER_COOKIES: [&[u8]; 1] = [b"GCLB"];

// === impl Caller ===

impl Caller {
    /// Whoever asks with these headers; `None` without a credential.
    #[must_use]
    pub fn of(headers: &HeaderMap, key: &Key) -> Option<Self> {
        let credential = Credential::of(headers)?;
        Some(Self {
            fingerprint: key.fingerprint(&credential),
            credential,
        })
    }
}

// === impl Key ===

impl Key {
    /// The key made of these secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The fingerprint of a credential. Each part enters with its length, so that no two different
    /// credentials are the same bytes.
    #[must_use]
    pub fn fingerprint(&self, credential: &Credential) -> Fingerprint {
        let mut mac = self.start("credential");
        for value in &credential.authorization {
            let (scheme, rest) = split_scheme(value.as_bytes());
            let mut scheme = SmallVec::<[u8; 16]>::from_slice(scheme);
            scheme.make_ascii_lowercase();
            feed(&mut mac, &scheme);
            feed(&mut mac, rest);
        }
        mac.update(b";");
        for cookie in &credential.cookies {
            feed(&mut mac, cookie);
        }
        Fingerprint(mac.finalize().into_bytes().into())
    }

    /// What stands for a code in a path or a query wherever it would be shown or kept.
    #[must_use]
    pub fn pseudonym(&self, code: &[u8]) -> String {
        let mut mac = self.start("code");
        mac.update(code);
        format!("hmac-{}", hex::encode(&mac.finalize().into_bytes()[..8]))
    }

    /// Starts the keyed hash of a body; finish it with [`BodyDigest::finish`].
    #[must_use]
    pub fn body_digest(&self) -> BodyDigest {
        BodyDigest {
            mac: self.start("body"),
            size: 0,
        }
    }

    /// 32 bytes for another kind of key, such as one that signs: known to whoever has the secret.
    #[must_use]
    pub fn seed(&self, purpose: &str) -> [u8; 32] {
        self.start(purpose).finalize().into_bytes().into()
    }

    // One key, several uses: the name of the use keeps a hash of one from standing for another.
    fn start(&self, purpose: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        feed(&mut mac, purpose.as_bytes());
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

fn feed(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

/// The size and keyed hash of a body that is passing by.
#[derive(Clone)]
pub struct BodyDigest {
    mac: Hmac<Sha256>,
    size: u64,
}

// === impl BodyDigest ===

impl BodyDigest {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.mac.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// `BYTES:HEX`, as the column `body_digest` holds it.
    #[must_use]
    pub fn finish(self) -> String {
        format!(
            "{}:{}",
            self.size,
            hex::encode(self.mac.finalize().into_bytes())
        )
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyDigest({} bytes)", self.size)
    }
}

// === impl Fingerprint ===

impl FromStr for Fingerprint {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

// === impl Credential ===

impl Credential {
    /// The credential of a request; `None` if it has neither `Authorization` nor a cookie that
    /// could be a session.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let authorization: SmallVec<_> = headers.get_all(AUTHORIZATION).iter().cloned().collect();
        let cookies: Vec<_> = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
            .map(|cookie| cookie.trim_ascii())
            .filter(|cookie| !cookie.is_empty() && !is_balancer(cookie))
            .map(<[u8]>::to_vec)
            .collect();
        let some = !authorization.is_empty() || !cookies.is_empty();
        some.then_some(Self {
            authorization,
            cookies,
        })
    }

    /// The address in `email:password`; `None` for an API token or a session.
    #[must_use]
    pub fn email(&self) -> Option<String> {
        // With a cookie beside it nobody knows which of the two upstream believed.
        if !self.cookies.is_empty() {
            return None;
        }
        let (scheme, rest) = split_scheme(self.authorization.first()?.as_bytes());
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        // An API token is a user name too; only an address has an `@`, and only a token this password.
        let is_address = user.contains('@') && password != "api_token";
        is_address.then(|| user.to_owned())
    }

    /// Puts the credential on a request that asks upstream in the caller's name.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for value in &self.authorization {
            headers.append(AUTHORIZATION, value.clone());
        }
        if !self.cookies.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(&self.cookies.join(&b"; "[..]))
        {
            headers.append(COOKIE, value);
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

fn split_scheme(value: &[u8]) -> (&[u8], &[u8]) {
    match value.iter().position(|byte| *byte == b' ') {
        Some(space) => (&value[..space], value[space..].trim_ascii()),
        None => (&[], value),
    }
}

fn is_balancer(cookie: &[u8]) -> bool {
    let name = cookie.split(|byte| *byte == b'=').next().unwrap_or(cookie);
    BALANCER_COOKIES.contains(&name)
}

// === impl Fingerprint ===

impl Fingerprint {
    /// The first eight bytes, for tables indexed by a hash.
    #[must_use]
    pub fn prefix(&self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().unwrap_or_default())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(headers: &[(&str, &str)]) -> Option<Fingerprint> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                http::HeaderName::try_from(*name).unwrap(),
                value.parse().unwrap(),
            );
        }
        Credential::of(&map).map(|credential| Key::new(&[1; 32]).fingerprint(&credential))
    }

    #[test]
    fn scheme_credential_and_cookies_each_make_another_caller() {
        let all = [
            fingerprint(&[("authorization", "Basic abc")]),
            fingerprint(&[("authorization", "Bearer abc")]),
            fingerprint(&[("authorization", "Basicabc")]),
            fingerprint(&[("authorization", "Basic ab"), ("authorization", "c")]),
            fingerprint(&[("cookie", "Basic=abc")]),
            fingerprint(&[("cookie", "a=b; c=d")]),
            fingerprint(&[("cookie", "a=b"), ("authorization", "Basic abc")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(one.is_some());
            assert!(!all[index + 1..].contains(one), "{index}");
        }
    }

    #[test]
    fn spelling_and_the_balancers_cookie_do_not() {
        let plain = fingerprint(&[("authorization", "Basic abc")]);
        assert_eq!(plain, fingerprint(&[("authorization", "basic  abc")]));
        assert_eq!(
            plain,
            fingerprint(&[("authorization", "Basic abc"), ("cookie", "GCLB=xyz")])
        );
        assert_eq!(fingerprint(&[("cookie", "GCLB=xyz")]), None);
        assert_eq!(fingerprint(&[]), None);
    }

    #[test]
    fn only_an_address_with_a_password_is_an_email() {
        let email = |pair: &str| {
            let mut headers = HeaderMap::new();
            let value = format!("Basic {}", STANDARD.encode(pair));
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            Credential::of(&headers).unwrap().email()
        };
        assert_eq!(
            email("ann@acme.example:hunter2").as_deref(),
            Some("ann@acme.example")
        );
        assert_eq!(email("0123456789abcdef:api_token"), None);
        assert_eq!(email("odd@token:api_token"), None);
    }

    #[test]
    fn a_credential_does_not_show_itself() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic s3cret"));
        let shown = format!("{:?}", Credential::of(&headers).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
