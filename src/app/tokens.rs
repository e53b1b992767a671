//! Who may see the admin side, by what is set and what stands in files.

use std::path::PathBuf;

use crate::admin::{Principal, Token, Tokens};
use crate::config::{self, Config, Role};
use crate::secret_file;

/// The file with the admin token that is made where none is set.
const TOKEN_FILE: &str = "tollgate.token";

const WHAT: &str = "the admin token's file";

/// Where the admin token is kept that is made where none is set.
#[must_use]
pub fn token_file(config: &Config) -> PathBuf {
    // Beside the key: both are this gateway's own, and a container keeps both in its volume.
    config.identity.key_file.with_file_name(TOKEN_FILE)
}

/// Those who may see the admin side; and the administrator's token, if it was made just now.
///
/// # Errors
///
/// Which file is missing or holds something else.
pub(super) fn read_or_make(config: &Config) -> anyhow::Result<(Tokens, Option<String>)> {
    if config.admin.token.is_some() {
        return Ok((read(config)?, None));
    }
    let (secret, is_new) = secret_file::read_or_make(&token_file(config), WHAT)?;
    let text = hex::encode(secret);
    let tokens = with_further(config, &text)?;
    Ok((tokens, is_new.then_some(text)))
}

/// The same for a gateway that has a token already: none is made.
///
/// # Errors
///
/// Which file is missing or holds something else.
pub(super) fn read(config: &Config) -> anyhow::Result<Tokens> {
    match &config.admin.token {
        Some(token) => with_further(config, token.expose()),
        None => {
            let secret = secret_file::read(&token_file(config), WHAT)?;
            with_further(config, &hex::encode(secret))
        }
    }
}

fn with_further(config: &Config, administrators: &str) -> anyhow::Result<Tokens> {
    let administrator = Principal {
        // No further token may be called so.
        name: config::ADMINISTRATOR.into(),
        role: Role::Admin,
        organizations: None,
    };
    let mut tokens = vec![(Token::new(administrators), administrator)];
    for further in &config.admin.tokens {
        let what = format!("the token_file of [[admin.tokens]] {:?}", further.name);
        let token = Token::new(&secret_file::read_line(&further.token_file, &what)?);
        secret_file::warn_if_shared(&further.token_file, &what)?;
        if tokens.iter().any(|(known, _)| *known == token) {
            anyhow::bail!("{what} holds the token of somebody else too: give each their own");
        }
        let all = further.organizations.is_empty();
        let principal = Principal {
            name: further.name.as_str().into(),
            role: further.role,
            organizations: (!all).then(|| further.organizations.clone().into()),
        };
        tokens.push((token, principal));
    }
    Ok(Tokens::new(tokens))
}
