//! Keeps [`Access`] in a file: every change is on disk before it is acknowledged.

use std::{
    fs, io,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, RwLock},
};

use super::{access::Access, apply::apply, ddl::Statement, error::Refusal};

/// The current state and its file.
pub struct Keeper {
    path: PathBuf,
    current: RwLock<(Arc<Access>, u64)>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Keeper {
    /// Reads the file; without one, nothing is recorded yet.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let access = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Access::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            current: RwLock::new((Arc::new(access), 0)),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// What is recorded now, and a number that grows with every change.
    pub fn current(&self) -> (Arc<Access>, u64) {
        self.current
            .read()
            .expect("nothing panics while it holds the lock")
            .clone()
    }

    /// Records a statement: either wholly, or not at all.
    pub async fn change(&self, statement: Statement, database: &str) -> Result<(), Refusal> {
        let _one = self.changing.lock().await;
        let (before, revision) = self.current();
        let mut access = (*before).clone();
        apply(&mut access, statement, database)?;
        self.save(&access)
            .map_err(|error| Refusal::broken(format!("{}: {error}", self.path.display())))?;
        *self
            .current
            .write()
            .expect("nothing panics while it holds the lock") = (Arc::new(access), revision + 1);
        Ok(())
    }

    fn save(&self, access: &Access) -> io::Result<()> {
        let next = self.path.with_extension("next");
        let mut file = fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec(access)?)?;
        file.sync_data()?;
        fs::rename(&next, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::ddl::parse;

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.json");
        let keeper = Keeper::open(path.clone()).unwrap();
        keeper
            .change(parse("create role a").unwrap(), "default")
            .await
            .unwrap();
        keeper
            .change(
                parse("create row policy a on d.* using 1 to a").unwrap(),
                "default",
            )
            .await
            .unwrap();
        keeper
            .change(parse("create role a").unwrap(), "default")
            .await
            .unwrap_err();
        let again = Keeper::open(path).unwrap().current().0;
        assert_eq!((again.roles.len(), again.policies.len()), (1, 1));
    }
}
