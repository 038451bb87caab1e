//! Carries one operation out on the images, when nothing goes wrong with it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrysalis::disk::{Class, Entry, File, Mode, Operation, Outcome, Space};
use chrysalis::units::WallTime;

use super::image::{Image, NameChange};
use super::{Handle, SimulatedDisk};

impl SimulatedDisk {
    pub(super) fn apply(&mut self, operation: Operation) -> Result<Outcome, Class> {
        match operation {
            Operation::Open { file, path, mode } => self.open(file, path, mode),
            Operation::Close { file } => {
                self.handles.remove(&file);
                Ok(Outcome::Done)
            }
            Operation::Length { file } => {
                let (image, _) = self.image(file)?;
                Ok(Outcome::Length(image.live.len() as u64))
            }
            Operation::Read {
                file,
                position,
                length,
            } => self.read(file, position, length),
            Operation::Write {
                file,
                position,
                buffer,
            } => {
                self.write(file, position, &buffer)?;
                Ok(Outcome::Written(buffer))
            }
            Operation::WriteGather {
                file,
                mut position,
                pieces,
            } => {
                for piece in pieces {
                    self.write(file, position, &piece)?;
                    position += piece.len() as u64;
                }
                Ok(Outcome::Done)
            }
            Operation::Fill {
                file,
                position,
                length,
            } => {
                let zeros = vec![0; usize::try_from(length).expect("fits")];
                self.write(file, position, &zeros)?;
                Ok(Outcome::Done)
            }
            Operation::Sync { file } => {
                self.image(file)?.0.sync();
                Ok(Outcome::Done)
            }
            Operation::SyncFileSystem { file } => {
                self.image(file)?;
                self.files.values_mut().for_each(Image::sync);
                Ok(Outcome::Done)
            }
            Operation::StartWriteBack { .. } => Ok(Outcome::Done),
            Operation::Truncate { file, length } => self.resize(file, length),
            Operation::Preallocate { file, length } => {
                let present = self.image(file)?.0.live.len() as u64;
                self.resize(file, length.max(present))
            }
            operation => self.apply_to_names(operation),
        }
    }

    /// The same for what concerns names and the whole disk.
    fn apply_to_names(&mut self, operation: Operation) -> Result<Outcome, Class> {
        match operation {
            Operation::SyncFolder { path } => self.sync_folder(&path),
            Operation::Rename { from, to } => {
                self.names.files.get(&from).ok_or(Class::Missing)?;
                Ok(self.rename(NameChange::Rename(from, to)))
            }
            Operation::Remove { path } => {
                self.names.files.get(&path).ok_or(Class::Missing)?;
                Ok(self.rename(NameChange::Remove(path)))
            }
            Operation::Compress { from, to, .. } => {
                // What it compresses to is nothing to the simulation: a copy stands for it.
                let number = *self.names.files.get(&from).ok_or(Class::Missing)?;
                let bytes = Bytes::copy_from_slice(&self.files[&number].live);
                let folder = from.parent().expect("whole paths have a folder").to_owned();
                self.replace(to, &[bytes])?;
                self.rename(NameChange::Remove(from));
                self.sync_folder(&folder)
            }
            Operation::RemoveFolder { path } => {
                if self
                    .names
                    .files
                    .keys()
                    .any(|file| file.parent() == Some(&path))
                {
                    return Err(Class::Exists);
                }
                Ok(self.rename(NameChange::RemoveFolder(path)))
            }
            Operation::MakeFolderWithin { path } => {
                let above = path.parent().unwrap_or(&path);
                if !self.names.folders.contains(above) {
                    return Err(Class::Missing);
                }
                if !self.names.folders.contains(&path) {
                    self.rename(NameChange::MakeFolder(path));
                }
                Ok(Outcome::Done)
            }
            Operation::MakeFolder { path } => {
                let missing: Vec<PathBuf> = path
                    .ancestors()
                    .filter(|folder| !self.names.folders.contains(*folder))
                    .map(Path::to_path_buf)
                    .collect();
                for folder in missing.into_iter().rev() {
                    self.rename(NameChange::MakeFolder(folder));
                }
                Ok(Outcome::Done)
            }
            Operation::List { path } => self.list(&path),
            Operation::Space { .. } => {
                let free = self.capacity.saturating_sub(self.used());
                Ok(Outcome::Space(Space {
                    total: self.capacity,
                    free,
                }))
            }
            Operation::Replace { path, pieces } => self.replace(path, &pieces),
            operation => unreachable!("{} concerns an open file", operation.name()),
        }
    }

    fn image(&mut self, file: File) -> Result<(&mut Image, Mode), Class> {
        let handle = self.handles.get(&file).ok_or(Class::Missing)?;
        let image = self.files.get_mut(&handle.file).ok_or(Class::Missing)?;
        Ok((image, handle.mode))
    }

    fn rename(&mut self, change: NameChange) -> Outcome {
        self.names.apply(&change);
        self.names_pending.push(change);
        Outcome::Done
    }

    fn open(&mut self, file: File, path: PathBuf, mode: Mode) -> Result<Outcome, Class> {
        let folder = path.parent().expect("whole paths have a folder");
        if !self.names.folders.contains(folder) {
            return Err(Class::Missing);
        }
        let found = self.names.files.get(&path).copied();
        let created = found.is_none();
        let number = match (found, mode) {
            (Some(number), _) => number,
            (None, Mode::ReadOnly) => return Err(Class::Missing),
            (None, _) => {
                self.file_last += 1;
                self.files.insert(self.file_last, Image::default());
                self.rename(NameChange::Add(path.clone(), self.file_last));
                self.file_last
            }
        };
        let image = self.files.get_mut(&number).expect("a named file exists");
        match mode {
            Mode::Emptied => image.live.clear(),
            Mode::Durable => image.sync(),
            Mode::Buffered | Mode::ReadOnly => {}
        }
        let length = image.live.len() as u64;
        self.handles.insert(
            file,
            Handle {
                file: number,
                path,
                mode,
            },
        );
        Ok(Outcome::Opened {
            direct: mode == Mode::Durable,
            length,
            created,
        })
    }

    fn read(&mut self, file: File, position: u64, length: usize) -> Result<Outcome, Class> {
        let number = self.handles.get(&file).ok_or(Class::Missing)?.file;
        let blocks = position / 4096..=(position + length.max(1) as u64 - 1) / 4096;
        if self
            .unreadable
            .range((number, *blocks.start())..=(number, *blocks.end()))
            .count()
            > 0
        {
            return Err(Class::Damaged);
        }
        let (image, mode) = self.image(file)?;
        let start = usize::try_from(position)
            .expect("fits")
            .min(image.live.len());
        let end = (start + length).min(image.live.len());
        if mode == Mode::Durable {
            assert!(
                position.is_multiple_of(4096) && length.is_multiple_of(4096),
                "aligned"
            );
        }
        Ok(Outcome::Read(Bytes::copy_from_slice(
            &image.live[start..end],
        )))
    }

    fn write(&mut self, file: File, position: u64, bytes: &[u8]) -> Result<(), Class> {
        let number = self.handles.get(&file).ok_or(Class::Missing)?.file;
        let end = position + bytes.len() as u64;
        // A medium gives a block that is written anew another place.
        for block in position.div_ceil(4096)..end / 4096 {
            self.unreadable.remove(&(number, block));
        }
        let used = self.used();
        let capacity = self.capacity;
        let (image, mode) = self.image(file)?;
        let more = end.saturating_sub(image.live.len() as u64);
        if more > 0 && used + more > capacity {
            return Err(Class::NoSpace);
        }
        image.write(usize::try_from(position).expect("fits"), bytes);
        if mode == Mode::Durable {
            assert!(
                position.is_multiple_of(4096) && bytes.len().is_multiple_of(4096),
                "aligned"
            );
            image.sync();
        }
        Ok(())
    }

    fn resize(&mut self, file: File, length: u64) -> Result<Outcome, Class> {
        let used = self.used();
        let capacity = self.capacity;
        let (image, mode) = self.image(file)?;
        let more = length.saturating_sub(image.live.len() as u64);
        if more > 0 && used + more > capacity {
            return Err(Class::NoSpace);
        }
        image.live.resize(usize::try_from(length).expect("fits"), 0);
        if mode == Mode::Durable {
            image.sync();
        }
        Ok(Outcome::Done)
    }

    fn sync_folder(&mut self, folder: &Path) -> Result<Outcome, Class> {
        if !self.names.folders.contains(folder) {
            return Err(Class::Missing);
        }
        let pending = std::mem::take(&mut self.names_pending);
        for change in pending {
            if change.is_in(folder) {
                self.names_durable.apply(&change);
            } else {
                self.names_pending.push(change);
            }
        }
        Ok(Outcome::Done)
    }

    fn list(&self, folder: &Path) -> Result<Outcome, Class> {
        if !self.names.folders.contains(folder) {
            return Err(Class::Missing);
        }
        let inside = |path: &&PathBuf| path.parent() == Some(folder);
        let name = |path: &PathBuf| {
            path.file_name()
                .expect("below a folder")
                .to_str()
                .expect("UTF-8")
                .to_owned()
        };
        let files = self
            .names
            .files
            .iter()
            .filter(|(path, _)| inside(path))
            .map(|(path, file)| Entry {
                name: name(path),
                folder: false,
                length: self.files[file].live.len() as u64,
                modified: WallTime(0),
            });
        let folders = self.names.folders.iter().filter(inside);
        let folders = folders.map(|path| Entry {
            name: name(path),
            folder: true,
            length: 0,
            modified: WallTime(0),
        });
        let mut entries: Vec<Entry> = files.chain(folders).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Outcome::Listed(entries))
    }

    fn replace(&mut self, path: PathBuf, pieces: &[Bytes]) -> Result<Outcome, Class> {
        let new = chrysalis::disk::folder::new_name(&path);
        let folder = path
            .parent()
            .expect("whole paths have a folder")
            .to_path_buf();
        let bytes = pieces.concat();
        if self.used() + bytes.len() as u64 > self.capacity {
            return Err(Class::NoSpace);
        }
        self.file_last += 1;
        let mut image = Image::default();
        image.write(0, &bytes);
        image.sync();
        self.files.insert(self.file_last, image);
        self.rename(NameChange::Add(new.clone(), self.file_last));
        self.rename(NameChange::Rename(new, path));
        self.sync_folder(&folder)
    }
}
