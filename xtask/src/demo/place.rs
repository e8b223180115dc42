//! Where a demonstration keeps what it makes: a folder of its own, locked for as long as it runs.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::Problem;

const LOCK: &str = "demo.lock";

/// A folder that no other demonstration touches while this value lives.
pub struct Place {
    /// The folder, empty at first.
    pub folder: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes `target/demo`, or the next one where another demonstration runs, and empties it.
    pub fn take(target: &Path) -> Result<Self, Problem> {
        for number in 1..100 {
            let name = if number == 1 { "demo".to_owned() } else { format!("demo-{number}") };
            let folder = target.join(name);
            fs::create_dir_all(&folder)?;
            let lock = File::create(folder.join(LOCK))?;
            match lock.try_lock() {
                Ok(()) => {
                    empty(&folder)?;
                    return Ok(Self { folder, _lock: lock });
                }
                Err(TryLockError::WouldBlock) => {
                    eprintln!("Another demonstration runs in {}.", folder.display());
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(format!("a hundred demonstrations run in {} already", target.display()).into())
    }
}

fn empty(folder: &Path) -> Result<(), Problem> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Place;
    use std::{env, fs, process};

    #[test]
    fn a_second_demonstration_leaves_the_folder_of_the_first_alone() {
        let target = env::temp_dir().join(format!("rackhand-demo-{}", process::id()));
        let first = Place::take(&target).unwrap();
        let kept = first.folder.join("rackhand.db");
        fs::write(&kept, "servers").unwrap();
        fs::create_dir(first.folder.join("agent")).unwrap();
        let second = Place::take(&target).unwrap();
        assert_ne!(second.folder, first.folder);
        assert!(kept.exists());

        let folder = first.folder.clone();
        drop(first);
        let third = Place::take(&target).unwrap();
        assert_eq!(third.folder, folder, "what nobody uses any more is taken again");
        assert_eq!(fs::read_dir(&third.folder).unwrap().count(), 1, "nothing but the lock is left");
        fs::remove_dir_all(target).unwrap();
    }
}
