//! Reads that are sent once only, because upstream uses up what they bring.
//!
//! **Guarantee**: no read with a one-time code in it is sent again, neither over a new connection nor after
//! a limit. Upstream may have taken the first one in all the same, and a code that comes twice is refused, or
//! takes back what was given for it (RFC 6749 §4.1.2).
//!
//! Such a read is known by its operation, and wherever the table does not know the path, by what its query
//! is called. The codes of invitations, exports and calendars can be used again, so those are not among them.

use percent_encoding::percent_decode_str;

use super::endpoint::Endpoint;

/// The operations that use a code up, by their [names](Endpoint::name).
const OPERATIONS: [&str; 3] = [
    "GET /auth/saml2/login",
    "GET /desktop_login",
    "GET /integrations/calendar/callback/{provider}",
];

/// What one-time codes are called in queries: by OAuth 2, by the bindings of SAML 2, by upstream.
const PARAMETERS: [&str; 4] = ["code", "SAMLResponse", "SAMLart", "login_token"];

/// Whether a read of `endpoint` with this query uses something up.
#[must_use]
pub fn uses_up(endpoint: &Endpoint, query: Option<&str>) -> bool {
    let mut pairs = query.into_iter().flat_map(|query| query.split('&'));
    OPERATIONS.contains(&endpoint.name())
        || pairs.any(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            let name = percent_decode_str(name).decode_utf8_lossy();
            PARAMETERS.contains(&&*name)
        })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::domain::endpoint::classify;
    use crate::domain::operations::OPERATIONS as TABLE;

    fn is_used_up(path: &str, query: Option<&str>) -> bool {
        uses_up(&classify(&Method::GET, [], path).unwrap(), query)
    }

    #[test]
    fn each_operation_is_one_of_the_table() {
        let named = |name: &str| {
            TABLE
                .iter()
                .any(|known| name == known.path.replacen("/api/v9", "GET ", 1))
        };
        assert!(OPERATIONS.into_iter().all(named));
    }

    #[test]
    fn a_code_is_known_by_its_operation_or_its_name() {
        assert!(is_used_up(
            "/api/v9/integrations/calendar/callback/google",
            None
        ));
        assert!(is_used_up("/api/v9//desktop%5Flogin/", None));
        for query in ["code=x", "a=1&code=x", "c%6Fde=x", "code", "SAMLResponse=x"] {
            assert!(is_used_up("/api/v9/brand_new", Some(query)), "{query}");
        }
        for query in ["name=code", "codes=x", "", "&&="] {
            assert!(!is_used_up("/api/v9/brand_new", Some(query)), "{query}");
        }
        assert!(!is_used_up("/api/v9/invitations/s3cret", None));
        assert!(!is_used_up("/api/v9/me", None));
    }
}
