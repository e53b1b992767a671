//! From where somebody asks, for the trail.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::Principal;
use crate::admin::Admin;
use crate::admin::edge::RequestId;
use crate::domain::event;
use crate::domain::own::Operator;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Source {
    /// Their address, behind proxies that are trusted to tell it.
    pub(in crate::admin) address: IpAddr,
    /// Whether the browser speaks TLS, if only with somebody in front of this gateway.
    pub(in crate::admin) is_secure: bool,
    user_agent: Option<String>,
    request_id: Option<String>,
}

// A longer one says nothing more.
const LONGEST: usize = 512;

// === impl Source ===

impl Source {
    /// `principal`, who asks for `asked` from here: a path, and perhaps a query that may be kept.
    pub(in crate::admin) fn operator(
        &self,
        principal: &Principal,
        method: &'static str,
        asked: &str,
    ) -> Operator {
        self.somebody(Some(principal.name.to_string()), method, asked)
    }

    /// Somebody of that name, or of none that is known.
    pub(in crate::admin) fn somebody(
        &self,
        name: Option<String>,
        method: &'static str,
        asked: &str,
    ) -> Operator {
        Operator {
            name,
            source: event::Source {
                ip: Some(self.address.to_string()),
                user_agent: self.user_agent.clone(),
                request_id: self.request_id.clone(),
            },
            by: method,
            asked: asked.to_owned(),
        }
    }
}

impl FromRequestParts<Admin> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT);
        let user_agent = user_agent.map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().take(LONGEST).collect()
        });
        Ok(Self {
            address: admin.access.address_of(&parts.extensions, &parts.headers),
            // Whoever lies about it has a cookie that their own browser keeps to itself.
            is_secure: parts
                .headers
                .get("x-forwarded-proto")
                .is_some_and(|proto| proto == "https"),
            user_agent,
            request_id: parts
                .extensions
                .get::<RequestId>()
                .map(|RequestId(id)| id.clone()),
        })
    }
}
