//! What a user may do in one request: its active roles, their privileges, and which rows its policies leave.

use std::collections::BTreeSet;

use super::{
    access::{Access, Element, Grant, Names, User},
    ddl::Entity,
    error::Refusal,
};

/// A user with the roles of one request.
#[derive(Debug)]
pub struct Rights<'a> {
    access: &'a Access,
    /// Its name.
    pub name: &'a str,
    user: &'a User,
    /// The roles that hold now, with those they hold themselves.
    pub roles: BTreeSet<&'a str>,
}

/// What policies leave of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// No policy covers the table.
    All,
    /// Policies cover it, and none that lets rows through is for this user.
    Unmatched,
    /// The rows for which this holds.
    Where(String),
}

impl<'a> Rights<'a> {
    /// A user with the roles that the request asks for, or its default roles.
    ///
    /// A role that does not exist is 511, one that is not granted 497.
    pub fn new(access: &'a Access, name: &'a str, asked: &[String]) -> Result<Self, Refusal> {
        let user = access
            .users
            .get(name)
            .ok_or_else(|| Refusal::unauthenticated(name))?;
        let reachable = closure(access, user.holds.roles.keys());
        let mut first = Vec::new();
        for role in asked {
            if !access.roles.contains_key(role) {
                return Err(Refusal::unknown(Entity::Role, role));
            }
            match reachable.get(role.as_str()) {
                Some(role) => first.push(*role),
                None => {
                    return Err(Refusal::denied(format!(
                        "Role {role} should be granted to set as a current"
                    )));
                }
            }
        }
        if asked.is_empty() {
            first.extend(
                user.holds
                    .roles
                    .keys()
                    .map(String::as_str)
                    .filter(|role| user.default_roles.contains(role)),
            );
        }
        Ok(Self {
            access,
            name,
            user,
            roles: closure(access, first.into_iter()),
        })
    }

    fn grants(&self) -> impl Iterator<Item = &'a Grant> {
        let roles = self
            .roles
            .iter()
            .filter_map(|role| self.access.roles.get(*role));
        self.user
            .holds
            .grants
            .iter()
            .chain(roles.flat_map(|role| role.holds.grants.iter()))
    }

    /// Whether it may administer everything: `ALL` on `*.*`.
    pub fn is_admin(&self) -> bool {
        self.grants()
            .any(|g| g.privilege == "ALL" && g.database.is_none())
    }

    /// Whether it holds a privilege on a whole table. A grant on some columns is not enough: which columns a query
    /// reads is not known here.
    pub fn may(&self, privilege: &str, database: &str, table: &str) -> bool {
        self.grants().any(|grant| {
            (grant.privilege == privilege || grant.privilege == "ALL")
                && grant.columns.is_empty()
                && grant.database.as_deref().is_none_or(|d| d == database)
                && grant.table.as_deref().is_none_or(|t| t == table)
        })
    }

    /// Whether it may know what a table looks like.
    pub fn may_describe(&self, database: &str, table: &str) -> bool {
        ["SHOW COLUMNS", "SHOW", "SELECT", "INSERT"]
            .iter()
            .any(|privilege| self.may(privilege, database, table))
    }

    /// What row policies leave of a table.
    pub fn rows(&self, database: &str, table: &str) -> Rows {
        let covering: Vec<_> = (self.access.policies.iter())
            .filter(|p| p.database == database && p.table.as_deref().is_none_or(|t| t == table))
            .collect();
        if covering.is_empty() {
            return Rows::All;
        }
        let mine = |names: &Names| {
            names.contains(self.name) && !matches!(names, Names::AllExcept(_))
                || matches!(names, Names::AllExcept(except)
                if !except.contains(self.name) && !self.roles.iter().any(|role| except.contains(*role)))
                || matches!(names, Names::Only(only) if self.roles.iter().any(|role| only.contains(*role)))
        };
        let parts = |restrictive: bool| {
            let parts = covering
                .iter()
                .filter(move |p| p.restrictive == restrictive && mine(&p.to));
            parts
                .filter_map(|p| p.filter.as_deref())
                .map(|filter| format!("({filter})"))
                .collect::<Vec<_>>()
        };
        let permissive = parts(false);
        if permissive.is_empty() {
            return Rows::Unmatched;
        }
        let mut all = vec![format!("({})", permissive.join(" OR "))];
        all.extend(parts(true));
        Rows::Where(all.join(" AND "))
    }

    /// Its settings and profiles in the order in which later ones win: profiles given `TO` it, those of its roles,
    /// then its own.
    pub fn settings(&self) -> Vec<&'a Element> {
        let mut found = Vec::new();
        for profile in self.access.profiles.values() {
            if profile.to.contains(self.name)
                || self.roles.iter().any(|role| profile.to.contains(role))
            {
                self.expand(&profile.elements, &mut found, 0);
            }
        }
        for role in self
            .roles
            .iter()
            .filter_map(|role| self.access.roles.get(*role))
        {
            self.expand(&role.settings, &mut found, 0);
        }
        self.expand(&self.user.settings, &mut found, 0);
        found
    }

    fn expand(&self, elements: &'a [Element], found: &mut Vec<&'a Element>, depth: usize) {
        for element in elements {
            match element {
                Element::Setting { .. } => found.push(element),
                // Profiles may inherit in a circle only by mistake; eight levels are more than anybody writes.
                Element::Inherit(name) if depth < 8 => {
                    if let Some(profile) = self.access.profiles.get(name) {
                        self.expand(&profile.elements, found, depth + 1);
                    }
                }
                Element::Inherit(_) => {}
            }
        }
    }
}

/// Roles and all that they hold, however deep.
fn closure<'a, S: AsRef<str> + 'a + ?Sized>(
    access: &'a Access,
    first: impl Iterator<Item = &'a S>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = first.map(S::as_ref).collect();
    while let Some(name) = open.pop() {
        if let Some((name, role)) = access.roles.get_key_value(name)
            && found.insert(name.as_str())
        {
            open.extend(role.holds.roles.keys().map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::{apply::apply, ddl::parse};

    fn access(statements: &[&str]) -> Access {
        let mut access = Access::default();
        for sql in statements {
            apply(&mut access, parse(sql).unwrap(), "default").unwrap();
        }
        access
    }

    fn roles(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    const SETUP: [&str; 12] = [
        "create role rd",
        "grant select on d.* to rd",
        "create role a",
        "create role b",
        "create role lone",
        "create row policy a on d.* for select using tenant_id = 'a' as permissive to a",
        "create row policy b on d.* for select using tenant_id = 'b' as permissive to b",
        "grant rd to a",
        "grant rd to b",
        "create user g identified with sha256_password by 'x' default role none",
        "grant a, b to g",
        "grant rd to g",
    ];

    #[test]
    fn only_the_asked_roles_hold_and_only_granted_ones_can_be_asked() {
        let access = access(&SETUP);
        let nobody = Rights::new(&access, "g", &[]).unwrap();
        assert!(!nobody.may("SELECT", "d", "t"));
        assert_eq!(nobody.rows("d", "t"), Rows::Unmatched);

        let a = Rights::new(&access, "g", &roles(&["a"])).unwrap();
        assert!(
            a.may("SELECT", "d", "t") && !a.may("INSERT", "d", "t") && !a.may("SELECT", "e", "t")
        );
        assert_eq!(a.rows("d", "t"), Rows::Where("((tenant_id = 'a'))".into()));
        assert_eq!(a.rows("e", "t"), Rows::All);

        let both = Rights::new(&access, "g", &roles(&["a", "b"])).unwrap();
        assert_eq!(
            both.rows("d", "t"),
            Rows::Where("((tenant_id = 'a') OR (tenant_id = 'b'))".into())
        );
        let read = Rights::new(&access, "g", &roles(&["rd"])).unwrap();
        assert_eq!(read.rows("d", "t"), Rows::Unmatched);
        assert_eq!(
            Rights::new(&access, "g", &roles(&["lone"]))
                .unwrap_err()
                .code,
            497
        );
        assert_eq!(
            Rights::new(&access, "g", &roles(&["gone"]))
                .unwrap_err()
                .code,
            511
        );
    }

    #[test]
    fn what_is_dropped_or_revoked_is_gone_at_once_and_does_not_come_back_with_the_name() {
        let mut access = access(&SETUP);
        apply(&mut access, parse("revoke a from g").unwrap(), "default").unwrap();
        assert_eq!(
            Rights::new(&access, "g", &roles(&["a"])).unwrap_err().code,
            497
        );
        apply(&mut access, parse("drop role b").unwrap(), "default").unwrap();
        assert_eq!(
            Rights::new(&access, "g", &roles(&["b"])).unwrap_err().code,
            511
        );
        apply(&mut access, parse("create role b").unwrap(), "default").unwrap();
        assert_eq!(
            Rights::new(&access, "g", &roles(&["b"])).unwrap_err().code,
            497
        );
        apply(&mut access, parse("grant b to g").unwrap(), "default").unwrap();
        assert_eq!(
            Rights::new(&access, "g", &roles(&["b"]))
                .unwrap()
                .rows("d", "t"),
            Rows::Unmatched
        );
    }

    #[test]
    fn errors_are_a_servers() {
        let mut access = access(&SETUP);
        for (sql, code) in [
            ("create role a", 493),
            ("drop role x", 511),
            ("grant select on d.* to x", 511),
            ("grant x to g", 511),
            ("alter user x default role none", 192),
            ("create user u settings profile 'x'", 180),
            ("drop row policy x on d.*", 523),
            ("create row policy a on d.* using 1", 493),
            ("revoke select on d.t from rd", 48),
        ] {
            let error = apply(&mut access.clone(), parse(sql).unwrap(), "default").unwrap_err();
            assert_eq!(error.code, code, "{sql}: {error}");
        }
        for sql in [
            "create role if not exists a",
            "drop role if exists x",
            "revoke insert on d.* from rd",
        ] {
            apply(&mut access, parse(sql).unwrap(), "default").unwrap();
        }
    }
}
