//! The files that pages are made of, part of the binary. Their addresses hold a hash of what is in them, so
//! that a browser keeps them and a new version is another address.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::admin::Admin;
use crate::admin::problem::Problem;

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style.css",
        "text/css; charset=utf-8",
        concat!(include_str!("style.css"), include_str!("groups.css")),
    )
});
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let kind = "text/javascript; charset=utf-8";
    Asset::new("page.js", kind, include_str!("page.js"))
});
pub(super) static MOMENT: LazyLock<Asset> = LazyLock::new(|| {
    let kind = "text/javascript; charset=utf-8";
    Asset::new("moment.js", kind, include_str!("moment.js"))
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_str!("icon.svg")));

/// A file.
pub(super) struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

// === impl Asset ===

impl Asset {
    fn new(name: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = hex::encode(Sha256::digest(text));
        Self {
            name: format!("{}-{name}", &hash[..12]),
            kind,
            text,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/assets/{name}", get(file))
        // Browsers ask for it beside an answer that names none, such as JSON.
        .route(
            "/favicon.ico",
            get(|| async { Redirect::temporary(&ICON.path()) }),
        )
}

async fn file(Path(name): Path<String>) -> Response {
    let mut all = [&*STYLE, &*SCRIPT, &*MOMENT, &*ICON].into_iter();
    match all.find(|asset| asset.name == name) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.text,
        )
            .into_response(),
        None => Problem::not_found("there is no such file").into_response(),
    }
}
