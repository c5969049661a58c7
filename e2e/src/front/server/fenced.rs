//! Everybody but the administrator: what a statement touches is checked here, and the engine enforces the rest.

use std::sync::Arc;

use http::{HeaderMap, Method, Response};

use super::{Front, stream};
use crate::front::{
    ddl::Reader,
    engine::{Body, Login, full},
    error::Refusal,
    filters::{TableName, literal, table_filters},
    inspect::{Inspection, Kind, inspect, is_system, resolve},
    request::Content,
    rights::{Rights, Rows},
    settings, token,
};

/// Texts whose inspection is remembered.
const INSPECTIONS_MAX: usize = 2_000;

/// A request without its content.
pub struct Parts {
    /// GET is read-only.
    pub method: Method,
    /// The current database.
    pub database: String,
    /// Parameters.
    pub params: Vec<(String, String)>,
    /// Headers to send on.
    pub headers: HeaderMap,
}

impl Front {
    pub(super) async fn as_user(
        &self,
        rights: &Rights<'_>,
        parts: Parts,
        content: Content,
        query_id: &str,
    ) -> Result<Response<Body>, Refusal> {
        let (text, data) = match content {
            Content::Whole(text) => (text, None),
            Content::Data(text, body) => (text, Some(body)),
            Content::Opaque(..) => {
                let text = "a statement that cannot be read: send it uncompressed, or an INSERT's in the URL";
                return Err(Refusal::not_implemented(text));
            }
        };
        if let Some(word) = settings::fence_word(&text) {
            return Err(Refusal::read_only(word));
        }
        let (mut params, asked_settings): (Vec<_>, Vec<_>) = parts
            .params
            .into_iter()
            .partition(|(name, _)| !settings::is_setting(name));
        if params.iter().any(|(name, _)| name == "session_id") {
            return Err(Refusal::not_implemented(
                "sessions are not kept by the access front",
            ));
        }
        let (resolved, read_only) = settings::resolve(&rights.settings(), &asked_settings)?;
        let found = match self.inspection(&text, &params, &parts.database).await? {
            Ok(found) => found,
            Err(answer) => return Ok(answer),
        };
        let login = match found.kind {
            Kind::Kill => return self.kill(rights, &text, &params).await,
            Kind::Insert if read_only => return Err(cannot_write(rights.name)),
            Kind::Insert => Login::Writer,
            Kind::Select | Kind::Describe => Login::Reader,
            Kind::Other => return Err(Refusal::lacks(rights.name, "ALL ON *.*")),
        };
        let mut tables = self.tables().await?;
        check(rights, &found, &parts.database, &tables)?;
        // A table that is made between here and there has its filter, too.
        tables.extend(
            found
                .tables
                .iter()
                .map(|name| resolve(name, &parts.database)),
        );
        tables.sort_unstable();
        tables.dedup();

        params.retain(|(name, _)| name != "query_id");
        params.push(("query_id".to_owned(), query_id.to_owned()));
        params.extend(resolved);
        params.push((
            "additional_table_filters".to_owned(),
            table_filters(rights, &tables),
        ));
        if found.kind != Kind::Insert {
            params.push((
                "readonly".to_owned(),
                if read_only { "1" } else { "2" }.to_owned(),
            ));
        }
        let body = match data {
            Some(body) => {
                params.push(("query".to_owned(), text));
                stream(body)
            }
            None => full(text),
        };
        self.forward(login, &parts.method, params, parts.headers, body)
            .await
    }

    /// What the text does, or the engine's own answer when it is no valid text.
    async fn inspection(
        &self,
        text: &str,
        params: &[(String, String)],
        database: &str,
    ) -> Result<Result<Arc<Inspection>, Response<Body>>, Refusal> {
        // `{x:Identifier}` makes the tables depend on a parameter.
        let fixed = !text.to_ascii_lowercase().contains("identifier");
        let known = |front: &Self| {
            front
                .inspections
                .lock()
                .expect("nothing panics while it holds the lock")
                .get(text)
                .cloned()
        };
        if let Some(found) = known(self).filter(|_| fixed) {
            return Ok(Ok(found));
        }
        let mut ask: Vec<_> = params
            .iter()
            .filter(|(name, _)| name.starts_with("param_"))
            .cloned()
            .collect();
        ask.push(("database".to_owned(), database.to_owned()));
        let answer = self.engine.ask(&ask, format!("EXPLAIN AST {text}")).await?;
        if answer.code != 0 {
            let mut response = Response::from_parts(answer.head, full(answer.bytes));
            super::clean(response.headers_mut());
            return Ok(Err(response));
        }
        let found = Arc::new(inspect(&String::from_utf8_lossy(&answer.bytes)));
        if fixed {
            let mut all = self
                .inspections
                .lock()
                .expect("nothing panics while it holds the lock");
            if all.len() >= INSPECTIONS_MAX {
                all.clear();
            }
            all.insert(text.to_owned(), found.clone());
        }
        Ok(Ok(found))
    }

    /// All tables that are not the server's own. Asked each time: a fence must not be out of date.
    async fn tables(&self) -> Result<Vec<TableName>, Refusal> {
        let sql = "SELECT database, name FROM system.tables WHERE NOT is_temporary AND lower(database) NOT IN \
                   ('system', 'information_schema') FORMAT JSONCompactEachRow";
        let text = self.engine.must(sql).await?;
        let rows = text.lines().map(serde_json::from_str::<TableName>);
        rows.collect::<Result<_, _>>()
            .map_err(|error| Refusal::broken(format!("the list of tables: {error}")))
    }

    /// A user stops its own queries and no others, by their id.
    async fn kill(
        &self,
        rights: &Rights<'_>,
        text: &str,
        params: &[(String, String)],
    ) -> Result<Response<Body>, Refusal> {
        let id =
            killed(text, params).ok_or_else(|| Refusal::lacks(rights.name, "KILL QUERY ON *.*"))?;
        if !self.journal.runs(&id, rights.name) {
            return Ok(Response::new(full("")));
        }
        let answer = self
            .engine
            .ask(
                &[],
                format!("KILL QUERY WHERE query_id = {} ASYNC", literal(&id)),
            )
            .await?;
        Ok(Response::new(full(answer.bytes)))
    }
}

/// Whether the user may do to each table what the statement does.
fn check(
    rights: &Rights<'_>,
    found: &Inspection,
    current: &str,
    known: &[TableName],
) -> Result<(), Refusal> {
    if let Some(function) = &found.function {
        let grant = format!("CREATE TEMPORARY TABLE ON *.* (for {function})");
        return Err(Refusal::lacks(rights.name, &grant));
    }
    if is_system(current) {
        return Err(Refusal::lacks(
            rights.name,
            &format!("SELECT ON {current}.*"),
        ));
    }
    if found.kind == Kind::Describe {
        let Some(target) = &found.target else {
            return Err(Refusal::lacks(rights.name, "SHOW ON *.*"));
        };
        let (database, table) = resolve(target, current);
        let may = !is_system(&database) && rights.may_describe(&database, &table);
        return if may {
            Ok(())
        } else {
            Err(Refusal::lacks(
                rights.name,
                &format!("SHOW COLUMNS ON {database}.{table}"),
            ))
        };
    }
    if found.kind == Kind::Insert {
        let Some(target) = &found.target else {
            return Err(Refusal::lacks(rights.name, "INSERT ON *.*"));
        };
        let (database, table) = resolve(target, current);
        if is_system(&database) || !rights.may("INSERT", &database, &table) {
            return Err(Refusal::lacks(
                rights.name,
                &format!("INSERT ON {database}.{table}"),
            ));
        }
    }
    for name in &found.tables {
        let (database, table) = resolve(name, current);
        // A bare name that is no table is a common table expression, or the engine's error.
        if name.0.is_none() && !known.iter().any(|(d, t)| *d == database && *t == table) {
            continue;
        }
        if is_system(&database) || !rights.may("SELECT", &database, &table) {
            return Err(Refusal::lacks(
                rights.name,
                &format!("SELECT ON {database}.{table}"),
            ));
        }
        // As a server with `throw_on_unmatched_row_policies` does.
        if rights.rows(&database, &table) == Rows::Unmatched {
            let text = format!(
                "{}: No row policy for this user or its roles lets rows of {database}.{table} through",
                rights.name
            );
            return Err(Refusal::denied(text));
        }
    }
    Ok(())
}

fn cannot_write(user: &str) -> Refusal {
    Refusal {
        code: 164,
        name: "READONLY",
        text: format!("{user}: Cannot execute query in readonly mode"),
        status: http::StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The id in `KILL QUERY WHERE query_id = 'id'`, or in the parameter that stands for it.
fn killed(text: &str, params: &[(String, String)]) -> Option<String> {
    let mut reader = Reader::new(text).ok()?;
    reader
        .expect(&["KILL", "QUERY", "WHERE", "QUERY_ID"])
        .ok()?;
    let id = if !reader.take_symbol('=') {
        return None;
    } else if reader.take_symbol('{') {
        let name = format!("param_{}", reader.name().ok()?);
        let typed = reader.take_symbol(':') && reader.take(&["STRING"]) && reader.take_symbol('}');
        params.iter().find(|(n, _)| typed && *n == name)?.1.clone()
    } else {
        match reader.advance()? {
            token::Kind::Text(id) => id,
            _ => return None,
        }
    };
    let _ = reader.take(&["SYNC"]) || reader.take(&["ASYNC"]);
    reader.at_end().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_query_is_killed_at_a_time() {
        let params = [("param_q".to_owned(), "7".to_owned())];
        assert_eq!(
            killed("kill query where query_id = 'x' async", &[]),
            Some("x".into())
        );
        assert_eq!(
            killed("KILL QUERY WHERE query_id = {q:String} ASYNC", &params),
            Some("7".into())
        );
        assert_eq!(killed("kill query where query_id = 'x' or 1", &[]), None);
        assert_eq!(killed("kill query where user = 'x'", &[]), None);
    }
}
