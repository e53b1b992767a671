//! From where somebody asks, for the trail.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Uri, header};

use super::{Principal, address_of};
use crate::domain::event;
use crate::domain::own::Operator;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Source {
    pub(in crate::admin) address: IpAddr,
    user_agent: Option<String>,
}

// A longer one says nothing more.
const LONGEST: usize = 512;

// === impl Source ===

impl Source {
    /// `principal`, who asks for `uri` from here.
    pub(in crate::admin) fn operator(
        &self,
        principal: &Principal,
        method: &'static str,
        uri: &Uri,
    ) -> Operator {
        self.somebody(Some(principal.name.to_string()), method, uri)
    }

    /// Somebody of that name, or of none that is known, who asks for `uri` from here.
    pub(in crate::admin) fn somebody(
        &self,
        name: Option<String>,
        method: &'static str,
        uri: &Uri,
    ) -> Operator {
        let asked = uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        Operator {
            name,
            source: event::Source {
                ip: Some(self.address.to_string()),
                user_agent: self.user_agent.clone(),
                request_id: None,
            },
            by: method,
            asked,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT);
        let user_agent = user_agent.map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().take(LONGEST).collect()
        });
        Ok(Self {
            address: address_of(&parts.extensions),
            user_agent,
        })
    }
}
