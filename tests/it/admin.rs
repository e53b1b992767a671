//! The admin side: who gets in, what they see, and that it is all of it.

mod access;
mod api;
mod scope;

use std::path::Path;

use tollgate::config::{AdminToken, Config, Role};
use tollgate::domain::ids::OrganizationId;

use crate::support::{Client, Gateway};

/// Sets up a further token, which is its name and `-secret`.
fn token(
    config: &mut Config,
    folder: &Path,
    name: &str,
    role: Role,
    organizations: &[OrganizationId],
) {
    let token_file = folder.join(format!("{name}.token"));
    std::fs::write(&token_file, format!("{name}-secret\n")).unwrap();
    config.admin.tokens.push(AdminToken {
        name: name.to_owned(),
        token_file,
        role,
        organizations: organizations.to_vec(),
    });
}

/// Whoever has that token.
fn holder(gate: &Gateway, name: &str) -> Client {
    gate.admin_stranger()
        .authorized(&format!("Bearer {name}-secret"))
}

/// Logs in with the form and gives the cookie.
async fn log_in(gate: &Gateway, token: &str) -> String {
    let form = gate
        .admin_stranger()
        .ask(http::Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={token}"))
        .await
        .assert_status(303);
    let cookie = form.header("set-cookie").expect("a session");
    cookie.split(';').next().unwrap().to_owned()
}
