//! What a statement changes, with a server's errors for unknown and duplicate names.

use std::collections::BTreeMap;

use super::{
    access::{Access, Grant, Names, Policy, Profile, Quota, Role, User},
    ddl::{Clauses, Entity, PolicyName, Presence, Statement},
    error::Refusal,
};

/// Applies one statement. `Access` may be half changed when this errs: throw it away.
pub fn apply(access: &mut Access, statement: Statement, database: &str) -> Result<(), Refusal> {
    match statement {
        Statement::Create(entity, presence, names, clauses) => {
            names.into_iter().try_for_each(|name| create(access, entity, presence, name, &clauses))
        }
        Statement::Alter(entity, presence, names, clauses) => {
            names.into_iter().try_for_each(|name| alter(access, entity, presence, &name, &clauses))
        }
        Statement::Drop(entity, presence, names) => {
            names.into_iter().try_for_each(|name| drop(access, entity, presence, &name))
        }
        Statement::CreatePolicy(presence, names, clauses) => {
            check_names(access, clauses.to.as_ref())?;
            names.into_iter().try_for_each(|name| create_policy(access, presence, name, &clauses, database))
        }
        Statement::AlterPolicy(presence, names, clauses) => {
            check_names(access, clauses.to.as_ref())?;
            names.into_iter().try_for_each(|name| alter_policy(access, presence, &name, &clauses, database))
        }
        Statement::DropPolicy(presence, names) => {
            names.into_iter().try_for_each(|name| drop_policy(access, presence, &name, database))
        }
        Statement::Grant(grants, to) => to.iter().try_for_each(|name| {
            let holds = &mut grantee(access, name)?.grants;
            for grant in &grants {
                holds.retain(|held| !same_thing(held, grant));
                holds.push(grant.clone());
            }
            Ok(())
        }),
        Statement::Revoke(grants, from) => from.iter().try_for_each(|name| {
            let holds = &mut grantee(access, name)?.grants;
            holds.retain(|held| !grants.iter().any(|revoked| covers(revoked, held)));
            // A part cannot be taken out of a wider grant here, and a revocation that does nothing would be a hole.
            match holds.iter().find(|held| grants.iter().any(|revoked| covers(held, revoked))) {
                Some(wider) => {
                    let text = format!("a partial revoke is not carried out by the access front: {name} holds {wider}");
                    Err(Refusal::not_implemented(text))
                }
                None => Ok(()),
            }
        }),
        Statement::GrantRoles(roles, to, passed_on) => {
            roles.iter().try_for_each(|role| role_exists(access, role))?;
            to.iter().try_for_each(|name| {
                grantee(access, name)?.roles.extend(roles.iter().map(|role| (role.clone(), passed_on)));
                Ok(())
            })
        }
        Statement::RevokeRoles(roles, from) => {
            if let Names::Only(roles) = &roles {
                roles.iter().try_for_each(|role| role_exists(access, role))?;
            }
            from.iter().try_for_each(|name| {
                grantee(access, name)?.roles.retain(|role, _| !roles.contains(role));
                Ok(())
            })
        }
        Statement::SetDefaultRole(roles, to) => to.iter().try_for_each(|name| {
            let user = access.users.get_mut(name).ok_or_else(|| Refusal::unknown(Entity::User, name))?;
            user.default_roles = roles.clone();
            Ok(())
        }),
    }
}

fn create(
    access: &mut Access,
    entity: Entity,
    presence: Presence,
    name: String,
    clauses: &Clauses,
) -> Result<(), Refusal> {
    if has(access, entity, &name) {
        match presence {
            Presence::Strict => return Err(Refusal::exists(entity, &name)),
            Presence::Lenient => return Ok(()),
            Presence::Replace => {}
        }
    }
    match entity {
        // A user's roles all hold by default unless it is said otherwise.
        Entity::User => put(
            &mut access.users,
            &name,
            User {
                default_roles: Names::all(),
                ..User::default()
            },
        ),
        Entity::Role => put(&mut access.roles, &name, Role::default()),
        Entity::Profile => put(&mut access.profiles, &name, Profile::default()),
        Entity::Quota => put(&mut access.quotas, &name, Quota::default()),
        Entity::Policy => return Err(Refusal::not_implemented("a row policy without a table")),
    }
    alter(access, entity, Presence::Strict, &name, clauses)
}

fn put<V>(map: &mut BTreeMap<String, V>, name: &str, value: V) {
    map.insert(name.to_owned(), value);
}

fn alter(
    access: &mut Access,
    entity: Entity,
    presence: Presence,
    name: &str,
    clauses: &Clauses,
) -> Result<(), Refusal> {
    if !has(access, entity, name) {
        return if presence == Presence::Lenient {
            Ok(())
        } else {
            Err(Refusal::unknown(entity, name))
        };
    }
    check_names(access, clauses.to.as_ref())?;
    for element in clauses.settings.iter().flatten() {
        if let super::access::Element::Inherit(profile) = element
            && profile != "default"
            && !access.profiles.contains_key(profile)
        {
            return Err(Refusal::unknown(Entity::Profile, profile));
        }
    }
    let Clauses {
        rename,
        password,
        default_roles,
        settings,
        filter: _,
        restrictive: _,
        to,
        text,
    } = clauses.clone();
    match entity {
        Entity::User => {
            if let Some(Names::Only(roles)) = &default_roles {
                roles
                    .iter()
                    .try_for_each(|role| role_exists(access, role))?;
            }
            if let Some(user) = access.users.get_mut(name) {
                user.password = password.unwrap_or_else(|| user.password.clone());
                user.default_roles = default_roles.unwrap_or_else(|| user.default_roles.clone());
                user.settings = settings.unwrap_or_else(|| user.settings.clone());
            }
        }
        Entity::Role => {
            if let (Some(role), Some(settings)) = (access.roles.get_mut(name), settings) {
                role.settings = settings;
            }
        }
        Entity::Profile => {
            if let Some(profile) = access.profiles.get_mut(name) {
                profile.elements = settings.unwrap_or_else(|| profile.elements.clone());
                profile.to = to.unwrap_or_else(|| profile.to.clone());
            }
        }
        Entity::Quota => {
            if let (Some(quota), Some(text)) = (access.quotas.get_mut(name), text) {
                quota.text = text;
            }
        }
        Entity::Policy => {}
    }
    match rename {
        Some(_)
            if matches!(
                entity,
                Entity::User | Entity::Role | Entity::Profile | Entity::Quota
            ) =>
        {
            Err(Refusal::not_implemented(
                "RENAME is not carried out by the access front",
            ))
        }
        _ => Ok(()),
    }
}

fn drop(
    access: &mut Access,
    entity: Entity,
    presence: Presence,
    name: &str,
) -> Result<(), Refusal> {
    if !has(access, entity, name) {
        return if presence == Presence::Lenient {
            Ok(())
        } else {
            Err(Refusal::unknown(entity, name))
        };
    }
    match entity {
        Entity::User => take_out(&mut access.users, name),
        Entity::Role => take_out(&mut access.roles, name),
        Entity::Profile => take_out(&mut access.profiles, name),
        Entity::Quota => take_out(&mut access.quotas, name),
        Entity::Policy => {}
    }
    if matches!(entity, Entity::User | Entity::Role) {
        // What named it names it no longer, so that a later one of the same name starts with nothing.
        access
            .policies
            .iter_mut()
            .for_each(|policy| policy.to.rename(name, None));
        access
            .profiles
            .values_mut()
            .for_each(|profile| profile.to.rename(name, None));
        access.users.values_mut().for_each(|user| {
            user.holds.roles.remove(name);
            user.default_roles.rename(name, None);
        });
        access.roles.values_mut().for_each(|role| {
            role.holds.roles.remove(name);
        });
    }
    Ok(())
}

fn take_out<V>(map: &mut BTreeMap<String, V>, name: &str) {
    map.remove(name);
}

fn position(access: &Access, name: &PolicyName, database: &str) -> Option<usize> {
    let wanted = name.database.as_deref().unwrap_or(database);
    access
        .policies
        .iter()
        .position(|p| p.name == name.name && p.database == wanted && p.table == name.table)
}

fn full_name(name: &PolicyName, database: &str) -> String {
    let database = name.database.as_deref().unwrap_or(database);
    format!(
        "{} ON {database}.{}",
        name.name,
        name.table.as_deref().unwrap_or("*")
    )
}

fn create_policy(
    access: &mut Access,
    presence: Presence,
    name: PolicyName,
    clauses: &Clauses,
    database: &str,
) -> Result<(), Refusal> {
    if let Some(at) = position(access, &name, database) {
        match presence {
            Presence::Strict => {
                return Err(Refusal::exists(Entity::Policy, &full_name(&name, database)));
            }
            Presence::Lenient => return Ok(()),
            Presence::Replace => remove_at(access, at),
        }
    }
    access.policies.push(Policy {
        name: name.name,
        database: name.database.unwrap_or_else(|| database.to_owned()),
        table: name.table,
        filter: clauses.filter.clone().flatten(),
        restrictive: clauses.restrictive.unwrap_or(false),
        to: clauses.to.clone().unwrap_or_default(),
    });
    Ok(())
}

fn remove_at(access: &mut Access, at: usize) {
    access.policies.remove(at);
}

fn alter_policy(
    access: &mut Access,
    presence: Presence,
    name: &PolicyName,
    clauses: &Clauses,
    database: &str,
) -> Result<(), Refusal> {
    let Some(at) = position(access, name, database) else {
        let lenient = presence == Presence::Lenient;
        return if lenient {
            Ok(())
        } else {
            Err(Refusal::unknown(Entity::Policy, &full_name(name, database)))
        };
    };
    let policy = &mut access.policies[at];
    let Clauses {
        rename,
        filter,
        restrictive,
        to,
        ..
    } = clauses.clone();
    policy.name = rename.unwrap_or_else(|| policy.name.clone());
    policy.filter = filter.unwrap_or_else(|| policy.filter.clone());
    policy.restrictive = restrictive.unwrap_or(policy.restrictive);
    policy.to = to.unwrap_or_else(|| policy.to.clone());
    Ok(())
}

fn drop_policy(
    access: &mut Access,
    presence: Presence,
    name: &PolicyName,
    database: &str,
) -> Result<(), Refusal> {
    match position(access, name, database) {
        Some(at) => remove_at(access, at),
        None if presence == Presence::Lenient => {}
        None => return Err(Refusal::unknown(Entity::Policy, &full_name(name, database))),
    }
    Ok(())
}

fn has(access: &Access, entity: Entity, name: &str) -> bool {
    match entity {
        Entity::User => access.users.contains_key(name),
        Entity::Role => access.roles.contains_key(name),
        Entity::Profile => access.profiles.contains_key(name),
        Entity::Quota => access.quotas.contains_key(name),
        Entity::Policy => false,
    }
}

fn role_exists(access: &Access, name: &str) -> Result<(), Refusal> {
    if access.roles.contains_key(name) {
        Ok(())
    } else {
        Err(Refusal::unknown(Entity::Role, name))
    }
}

/// A name in `TO` is a role or a user; a server calls one that is neither an unknown role.
fn check_names(access: &Access, names: Option<&Names>) -> Result<(), Refusal> {
    let Some(Names::Only(names) | Names::AllExcept(names)) = names else {
        return Ok(());
    };
    match names
        .iter()
        .find(|name| !access.users.contains_key(*name) && !access.roles.contains_key(*name))
    {
        Some(name) => Err(Refusal::unknown(Entity::Role, name)),
        None => Ok(()),
    }
}

fn grantee<'a>(
    access: &'a mut Access,
    name: &str,
) -> Result<&'a mut super::access::Holds, Refusal> {
    match (access.users.get_mut(name), access.roles.get_mut(name)) {
        (Some(user), _) => Ok(&mut user.holds),
        (None, Some(role)) => Ok(&mut role.holds),
        (None, None) => Err(Refusal::unknown(Entity::Role, name)),
    }
}

fn same_thing(a: &Grant, b: &Grant) -> bool {
    (&a.privilege, &a.columns, &a.database, &a.table)
        == (&b.privilege, &b.columns, &b.database, &b.table)
}

/// Whether revoking `wide` takes `held` away: a wider place or `ALL` takes the narrower with it.
fn covers(wide: &Grant, held: &Grant) -> bool {
    let place = |wide: &Option<String>, held: &Option<String>| wide.is_none() || wide == held;
    (wide.privilege == "ALL" || wide.privilege == held.privilege)
        && place(&wide.database, &held.database)
        && place(&wide.table, &held.table)
        && (wide.columns.is_empty() || wide.columns == held.columns)
}
