//! Who asks, proved.

use super::{access::Access, config::Config, error::Refusal, request::Credentials, rights::Rights};

/// What the proof found.
#[derive(Debug)]
pub enum Principal<'a> {
    /// The stack's administrator, or a user with every privilege.
    Admin,
    /// Anybody else.
    User(Rights<'a>),
}

/// Checks the password, then the roles.
pub fn authenticate<'a>(
    config: &Config,
    access: &'a Access,
    credentials: &'a Credentials,
    roles: &[String],
) -> Result<Principal<'a>, Refusal> {
    let Credentials { user, password } = credentials;
    if *user == config.admin_user {
        return if *password == config.admin_password {
            Ok(Principal::Admin)
        } else {
            Err(Refusal::unauthenticated(user))
        };
    }
    if !access
        .users
        .get(user)
        .is_some_and(|known| known.password.accepts(password))
    {
        return Err(Refusal::unauthenticated(user));
    }
    let rights = Rights::new(access, user, roles)?;
    Ok(if rights.is_admin() {
        Principal::Admin
    } else {
        Principal::User(rights)
    })
}
