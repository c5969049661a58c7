//! What the role of a module's files may do, put right before each file.

use model::{ModelName, ModuleModel};
use sql::postgres::ddl::{self, FileRights, MODULE_POLICY, MODULE_PREDICATE_PRINTED, OWNER_ROLE};
use sqlx::PgConnection;

use super::parse::FileKind;
use crate::{error::Error, postgres};

/// Grants what a file of that kind needs. Tables of models that have their policy are left alone: making one waits
/// for every reader.
pub async fn ensure(
    conn: &mut PgConnection,
    model: &ModuleModel,
    kind: FileKind,
) -> Result<(), Error> {
    let module = &model.name().module;
    let rights = match kind {
        FileKind::Schema => FileRights::Objects,
        FileKind::PerTenant => FileRights::Rows,
    };
    let doing = "the rights of a module's SQL files";
    postgres::execute_all(conn, &ddl::grant_module_role(module, rights), doing).await?;
    let unprepared: Vec<String> = sqlx::query_scalar(
        "select m.model from platform.models m join pg_namespace n on n.nspname = m.module join pg_class c on c.relnamespace = n.oid and c.relname = m.model and c.relowner = to_regrole($2) where m.module = $1 and not (has_table_privilege($3, c.oid, 'SELECT') and has_table_privilege($3, c.oid, 'INSERT') and has_table_privilege($3, c.oid, 'UPDATE') and has_table_privilege($3, c.oid, 'DELETE') and exists (select from pg_policy where polrelid = c.oid and polname = $4 and polpermissive and polcmd = '*' and polroles = array[to_regrole($3)::oid] and pg_get_expr(polqual, polrelid) = $5 and pg_get_expr(polwithcheck, polrelid) = $5))",
    )
    .bind(module.as_str())
    .bind(OWNER_ROLE)
    .bind(ddl::module_role(module))
    .bind(MODULE_POLICY)
    .bind(MODULE_PREDICATE_PRINTED)
    .fetch_all(&mut *conn)
    .await
    .map_err(Error::postgres(doing))?;
    for name in unprepared {
        let Ok(name) = name.parse() else { continue };
        let name = ModelName {
            module: module.clone(),
            model: name,
        };
        postgres::execute_all(conn, &ddl::grant_module_role_rows(&name), doing).await?;
    }
    Ok(())
}
