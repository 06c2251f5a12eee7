//! A folder of files that change all at once, as a kubelet writes what it mounts of ConfigMaps, Secrets and tokens.
//!
//! Each file is a link into `..data`, which is a link to the folder of the present content. A change makes a
//! new folder, puts a new `..data` in the place of the old one, and removes the old folder.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tempfile::TempDir;

const DATA: &str = "..data";

/// The folder. It is removed when this is dropped.
#[derive(Debug)]
pub struct Volume {
    directory: TempDir,
    /// How many contents it has had.
    contents: usize,
}

impl Volume {
    /// One with these files, by name and content.
    pub fn new(files: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("vmcp-test-volume-").tempdir()?;
        let mut volume = Self { directory, contents: 0 };
        volume.write(files)?;
        Ok(volume)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Puts these files in the place of all that were there.
    pub fn write(&mut self, files: &[(&str, &str)]) -> Result<()> {
        let old = fs::read_link(self.at(DATA)).ok();
        self.contents += 1;
        let folder = format!("..{}", self.contents);
        fs::create_dir(self.at(&folder))?;
        for (name, content) in files {
            fs::write(self.at(&folder).join(name), content)?;
        }
        symlink(&folder, self.at("..data_tmp"))?;
        fs::rename(self.at("..data_tmp"), self.at(DATA))?;
        for (name, _content) in files {
            match symlink(Path::new(DATA).join(name), self.at(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        for entry in fs::read_dir(self.path())? {
            let name = entry?.file_name();
            let is_gone = !files.iter().any(|(kept, _content)| name == *kept);
            if is_gone && !name.as_encoded_bytes().starts_with(b"..") {
                fs::remove_file(self.directory.path().join(name))?;
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.directory.path().join(old))?;
        }
        Ok(())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
