//! A call that may have to be made once more, all but its body, which is empty.
//!
//! One copy for all who may need it: `quota`, where upstream wants to be asked later, and `upstream`, by way of
//! `forward`, where a connection died. Of a call that changes something or uses something up there is none.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::Body as _;

use super::{Call, Origin};
use crate::body::Body;
use crate::domain::caller::Caller;
use crate::domain::endpoint::Endpoint;

/// See the [module](self). An extension of the request; cloning shares it.
#[derive(Clone)]
pub(super) struct Spare(Arc<Kept>);

/// Who counts what is sent, and is told before it is sent again further in: upstream may have counted both.
type OnResend = Box<dyn Fn() + Send + Sync>;

struct Kept {
    endpoint: Endpoint,
    caller: Option<Caller>,
    origin: Origin,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    on_resend: Option<OnResend>,
}

// === impl Spare ===

impl Spare {
    /// Of a call that may be made twice.
    pub(super) fn of(call: &Call, on_resend: impl FnOnce() -> Option<OnResend>) -> Option<Self> {
        let request = &call.request;
        let may_be_made_twice = call.is_repeatable() && request.body().is_end_stream();
        may_be_made_twice.then(|| {
            Self(Arc::new(Kept {
                endpoint: call.endpoint,
                caller: call.caller.clone(),
                origin: call.origin.clone(),
                method: request.method().clone(),
                uri: request.uri().clone(),
                version: request.version(),
                headers: request.headers().clone(),
                on_resend: on_resend(),
            }))
        })
    }

    /// Its method.
    pub(super) fn method(&self) -> &Method {
        &self.0.method
    }

    /// The call.
    pub(super) fn call(&self) -> Call {
        let kept = &*self.0;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = kept.method.clone();
        *request.uri_mut() = kept.uri.clone();
        *request.version_mut() = kept.version;
        *request.headers_mut() = kept.headers.clone();
        Call {
            endpoint: kept.endpoint,
            caller: kept.caller.clone(),
            request,
            origin: kept.origin.clone(),
        }
    }

    /// It is sent again further in now.
    pub(super) fn tell(&self) {
        if let Some(on_resend) = &self.0.on_resend {
            on_resend();
        }
    }
}
