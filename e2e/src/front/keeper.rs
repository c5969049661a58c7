//! Keeps [`Access`] in a file: every change is on disk before it is acknowledged. A change is one line added to a log
//! beside the file; a start writes both into the file anew, so that a change costs the same however much there is.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use super::{access::Access, apply::apply, ddl::parse, error::Refusal};

/// The current state and its files.
pub struct Keeper {
    path: PathBuf,
    current: RwLock<(Arc<Access>, u64)>,
}

impl Keeper {
    /// Reads the files; without them, nothing is recorded yet.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let access = begin(&path)?;
        Ok(Self {
            path,
            current: RwLock::new((Arc::new(access), 0)),
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
    pub fn change(&self, text: &str, database: &str) -> Result<(), Refusal> {
        let statement = parse(text)?;
        let broken = |error| Refusal::broken(format!("{}: {error}", self.path.display()));
        let mut current = self
            .current
            .write()
            .expect("nothing panics while it holds the lock");
        // In place, unless somebody reads it at this moment.
        let applied = apply(Arc::make_mut(&mut current.0), statement, database);
        let kept = applied
            .and_then(|()| append(&log(&self.path, current.0.log), text, database).map_err(broken));
        match kept {
            Ok(()) => current.1 += 1,
            // It may be half changed, and so may the log's last line.
            Err(_) => current.0 = Arc::new(begin(&self.path).map_err(broken)?),
        }
        kept
    }
}

/// Reads what there is, and writes it whole with a new log.
fn begin(path: &Path) -> io::Result<Access> {
    let mut access = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Access::default(),
        Err(error) => return Err(error),
    };
    let before = log(path, access.log);
    let lines = match fs::read_to_string(&before) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    // A line without an end was not acknowledged.
    for line in lines.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
        let (database, text): (String, String) = serde_json::from_str(line)?;
        let applied = parse(&text).and_then(|s| apply(&mut access, s, &database));
        applied.map_err(|refusal| io::Error::other(refusal.text))?;
    }
    access.log += 1;
    let next = path.with_extension("next");
    let mut file = fs::File::create(&next)?;
    file.write_all(&serde_json::to_vec(&access)?)?;
    file.sync_data()?;
    // From here on the log before is nobody's, whether it is removed or not.
    fs::rename(&next, path)?;
    if !lines.is_empty() {
        fs::remove_file(before)?;
    }
    Ok(access)
}

fn log(path: &Path, number: u64) -> PathBuf {
    path.with_extension(format!("{number}.log"))
}

fn append(log: &Path, text: &str, database: &str) -> io::Result<()> {
    let mut file = fs::File::options().create(true).append(true).open(log)?;
    let mut line = serde_json::to_vec(&(database, text))?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.json");
        let count = |keeper: &Keeper| {
            let access = keeper.current().0;
            (access.roles.len(), access.policies.len())
        };
        let keeper = Keeper::open(path.clone()).unwrap();
        keeper.change("create role a", "default").unwrap();
        keeper
            .change("create row policy a on d.* using 1 to a", "default")
            .unwrap();
        // Wholly or not at all: the first of the two would have been made.
        keeper.change("create role b, a", "default").unwrap_err();
        assert_eq!(count(&keeper), (1, 1));
        keeper.change("create role c", "default").unwrap();
        for _ in 0..2 {
            assert_eq!(count(&Keeper::open(path.clone()).unwrap()), (2, 1));
        }
        // A line that was not written to its end.
        let torn = log(&path, Keeper::open(path.clone()).unwrap().current().0.log);
        fs::write(torn, "[\"default\",\"create ro").unwrap();
        assert_eq!(count(&Keeper::open(path).unwrap()), (2, 1));
    }
}
