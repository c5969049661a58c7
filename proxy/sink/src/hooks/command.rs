//! What is done by hand: looking at dead letters, calling again for them, dropping them, and a module's key.

use std::{collections::BTreeMap, io::Write, time::Duration};

use model::{Catalog, Hook, ModuleModel, catalog::CATALOG_QUERY};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;

use super::{
    config::{Command, ConfigError, RawConfig, Selection},
    dead::{DeadLetter, DeadLetters},
    delivery::taken,
};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What it needs is not configured.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database did not answer.
    #[error("the database did not answer")]
    Database(#[from] sqlx::Error),
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalog(#[from] model::CatalogError),
    /// The HTTP client could not be made.
    #[error("making the HTTP client")]
    Client(#[source] reqwest::Error),
    /// Nobody reads what is printed.
    #[error("printing")]
    Print(#[from] std::io::Error),
}

/// What became of a replay.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Taken, and forgotten.
    pub taken: u64,
    /// Not taken again, and kept.
    pub kept: u64,
    /// Kept unsent, since an older call of the same record was not taken.
    pub behind: u64,
    /// Of a hook, a model or a tenant that is not there any more, and kept.
    pub homeless: u64,
}

/// Carries a command out and prints what there is to say, one line each.
pub async fn run(
    command: Command,
    raw: &RawConfig,
    pool: PgPool,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let dead = DeadLetters::new(pool.clone());
    match command {
        Command::List => {
            for pile in dead.piles().await? {
                let since = pile.since.format("%Y-%m-%dT%H:%M:%SZ");
                writeln!(
                    out,
                    "{}\t{}\t{}\t{}\tsince {since}\t{}",
                    pile.count, pile.model, pile.event, pile.url, pile.failures
                )?;
            }
        }
        Command::Key { module } => {
            let keys = raw.keys()?.ok_or(ConfigError::NoKey)?;
            writeln!(out, "{}", keys.module_key(&module).expose_secret())?;
        }
        Command::Drop(selection) => {
            let dropped = dead.drop(&selection).await?;
            writeln!(out, "dropped {dropped}")?;
        }
        Command::Replay(selection) => {
            let hosts = raw.hook_hosts.parse().map_err(ConfigError::Hosts)?;
            let keys = raw.keys()?.ok_or(ConfigError::NoKey)?;
            let client = hook::Client::new(Some(keys), hosts).map_err(CommandError::Client)?;
            let Replayed {
                taken,
                kept,
                behind,
                homeless,
            } = replay(&client, &pool, &dead, &selection).await?;
            writeln!(
                out,
                "taken {taken}, not taken {kept}, behind these {behind}, without a hook {homeless}"
            )?;
        }
    }
    Ok(())
}

/// Calls once for each dead letter. What was given up later for the same record and hook waits for what came before.
pub async fn replay(
    client: &hook::Client,
    pool: &PgPool,
    dead: &DeadLetters,
    selection: &Selection,
) -> Result<Replayed, CommandError> {
    let text: String = sqlx::query_scalar(CATALOG_QUERY).fetch_one(pool).await?;
    let catalog = Catalog::parse(&text)?;
    let mut replayed = Replayed::default();
    // By URL, the tenant's record whose call was not taken.
    let mut stuck: BTreeMap<String, (uuid::Uuid, uuid::Uuid)> = BTreeMap::new();
    let mut last: Option<DeadLetter> = None;
    while let Some(letter) = dead.next(selection, last.as_ref()).await? {
        match hook_of(&catalog, &letter) {
            None => replayed.homeless += 1,
            Some(_) if stuck.get(&letter.url) == Some(&(letter.tenant, letter.record)) => {
                replayed.behind += 1
            }
            Some((model, hook)) => {
                let limit = Duration::from_millis(hook.timeout_ms.into());
                let body = letter.body.clone().into();
                let answer = client.call(&model.name().module, hook, body, limit).await;
                if answer.is_ok_and(|answer| taken(&answer).is_ok()) {
                    dead.forget(&letter).await?;
                    replayed.taken += 1;
                } else {
                    stuck.insert(letter.url.clone(), (letter.tenant, letter.record));
                    replayed.kept += 1;
                }
            }
        }
        last = Some(letter);
    }
    Ok(replayed)
}

/// The hook as it is now, if model, tenant and hook are still there.
fn hook_of<'a>(catalog: &'a Catalog, letter: &DeadLetter) -> Option<(&'a ModuleModel, &'a Hook)> {
    let tenant = catalog.tenant(&letter.tenant.to_string().parse().ok()?)?;
    if !tenant.modules.contains(&letter.name.module) {
        return None;
    }
    let (module, model) = (&letter.name.module, &letter.name.model);
    let model = catalog.told(module.as_str(), model.as_str())?;
    let hook = model.hooks(letter.event).find(|h| h.url == letter.url)?;
    Some((model, hook))
}
