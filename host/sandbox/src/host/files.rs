//! `wasi:filesystem`, metered: Wasmtime's own host does the work, and what a guest writes and
//! makes is charged to its budget first.
//!
//! What is charged only ever adds up. Nothing is given back for what is overwritten,
//! truncated or removed, so there is no order of operations, and no race between them, that
//! gets a guest more of the disk than its budget; and a guest that writes the same bytes for
//! ever ends, too. A hole counts as if it were written: a file is never longer than what was
//! charged for it.
//!
//! Each directory that is granted is a world of its own. Nothing is linked or moved from one
//! to another, as between the file systems of a machine: what one grant allows would leak
//! into the other. Symbolic links are made in `/scratch` alone: what one in a user's own
//! directory leads to, other programs would find out.

use super::{Ctx, Host};
use crate::grant::Mount;
use crate::meter::{CallClass, Meter};
use rusty_genius_core::{BudgetResource, SCRATCH};
use std::collections::HashMap;
use std::io;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, OutputStream, Pollable, StreamError,
    StreamResult,
};

type Fd = Resource<Descriptor>;
type Entries = Resource<types::DirectoryEntryStream>;

/// Puts it in the place of Wasmtime's.
pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, Host>(linker, |ctx| ctx)?;
    preopens::add_to_linker::<_, Host>(linker, |ctx| ctx)
}

/// The directories of a run, and which of them each open descriptor is in.
pub(super) struct Files {
    /// By the path the guest sees, and whether it may write; `/scratch` is one of them.
    mounts: Vec<(String, bool)>,
    open: HashMap<u32, usize>,
    /// Listings that are being read.
    listings: usize,
}

/// The place of `/scratch` among the mounts.
const SCRATCH_MOUNT: usize = 0;
/// Most listings of folders open at once: the host holds all names of each.
const LISTINGS_LIMIT: usize = 16;

impl Files {
    pub(super) fn new(granted: &[Mount]) -> Self {
        let scratch = [(SCRATCH.to_owned(), true)];
        let granted = granted.iter().map(|m| (m.guest.clone(), m.writable));
        Self {
            mounts: scratch.into_iter().chain(granted).collect(),
            open: HashMap::new(),
            listings: 0,
        }
    }

    fn of(&self, fd: &Fd) -> Option<usize> {
        self.open.get(&fd.rep()).copied()
    }
}

/// What a guest tried, in a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Read,
    Write,
}

impl Ctx {
    /// Tells the person of an operation that was refused for what it is, not for what it met.
    fn judge<T>(&self, fd: &Fd, act: Act, path: &str, result: FsResult<T>) -> FsResult<T> {
        let refused = |e: &FsError| {
            let code = e.downcast_ref();
            matches!(
                code,
                Some(ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly)
            )
        };
        if let Err(error) = &result
            && refused(error)
            && let Some(mount) = self.files.of(fd)
        {
            self.deny_file(mount, act, path);
        }
        result
    }

    fn deny_file(&self, mount: usize, act: Act, path: &str) {
        let Some((guest, writable)) = self.files.mounts.get(mount) else {
            return;
        };
        let (verb, key) = match act {
            Act::Write if !writable => (
                "writing to",
                format!("grants.files.\"{guest}\".mode = \"read-write\""),
            ),
            Act::Write => ("writing to", "grants.files".to_owned()),
            Act::Read => ("reading", "grants.files".to_owned()),
        };
        self.meter()
            .deny(format!("{verb} {path:?} from {guest}"), Some(key));
    }

    fn meter(&self) -> &Meter {
        &self.desk.meter
    }

    fn fs(&mut self) -> WasiFilesystemCtxView<'_> {
        self.meter().called(CallClass::Files);
        self.filesystem()
    }

    /// Charges for something that is made; given back where it is not.
    fn make(&self) -> FsResult<()> {
        self.charge(BudgetResource::ScratchFiles, 1)
    }

    fn made<T>(&self, result: FsResult<T>) -> FsResult<T> {
        if result.is_err() {
            self.meter().give_back(BudgetResource::ScratchFiles, 1);
        }
        result
    }

    fn charge(&self, resource: BudgetResource, amount: u64) -> FsResult<()> {
        charge(self.meter(), resource, amount).map_err(|_| ErrorCode::InsufficientSpace.into())
    }

    /// Charges for the hole that writing at `offset` leaves, and for so many bytes there.
    fn charge_at(&self, fd: &Fd, offset: u64, bytes: u64) -> FsResult<()> {
        let length = match self.table.get(fd)? {
            // A look at an open file's length does not wait for the disk.
            Descriptor::File(file) => file.file.metadata()?.len(),
            Descriptor::Dir(_) => return Ok(()),
        };
        let hole = offset.saturating_sub(length);
        self.charge(BudgetResource::Scratch, hole.saturating_add(bytes))
    }

    /// Whether both are in the same granted directory.
    fn same_mount(&self, a: &Fd, b: &Fd, path: &str) -> FsResult<()> {
        match (self.files.of(a), self.files.of(b)) {
            (from, to) if from == to => Ok(()),
            (_, to) => {
                if let Some(mount) = to {
                    self.deny_file(mount, Act::Write, path);
                }
                Err(ErrorCode::CrossDevice.into())
            }
        }
    }

    fn metered(
        &mut self,
        stream: Resource<DynOutputStream>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.table.delete(stream)?;
        let meter = self.meter().clone();
        let metered: DynOutputStream = Box::new(Metered { stream, meter });
        Ok(self.table.push(metered)?)
    }
}

/// Takes it of the budget, and tells the person where there is no more.
fn charge(meter: &Meter, resource: BudgetResource, amount: u64) -> Result<(), ()> {
    meter
        .take(resource, amount)
        .map_err(|spent| meter.deny_budget(&spent))
}

fn borrow<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

/// A stream to a file, each write charged before it is made.
struct Metered {
    stream: DynOutputStream,
    meter: Meter,
}

impl Metered {
    fn charge(&self, bytes: usize) -> StreamResult<()> {
        charge(&self.meter, BudgetResource::Scratch, bytes as u64).map_err(|()| {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            StreamError::LastOperationFailed(full.into())
        })
    }
}

#[async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}

#[async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.stream.write(bytes)
    }

    fn write_zeroes(&mut self, count: usize) -> StreamResult<()> {
        self.charge(count)?;
        self.stream.write_zeroes(count)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.stream.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.stream.check_write()
    }

    async fn cancel(&mut self) {
        self.stream.cancel().await;
    }
}

impl preopens::Host for Ctx {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let directories = preopens::Host::get_directories(&mut self.fs())?;
        for (fd, name) in &directories {
            let mount = self
                .files
                .mounts
                .iter()
                .position(|(guest, _)| guest == name);
            if let Some(mount) = mount {
                self.files.open.insert(fd.rep(), mount);
            }
        }
        Ok(directories)
    }
}

impl types::Host for Ctx {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let cause = self.table.get(&error)?;
        // Of this kind there is no code of the system in the error, which Wasmtime looks for.
        let full = |e: &io::Error| e.kind() == io::ErrorKind::StorageFull;
        if cause.downcast_ref::<io::Error>().is_some_and(full) {
            return Ok(Some(ErrorCode::InsufficientSpace));
        }
        types::Host::filesystem_error_code(&mut self.filesystem(), error)
    }
}

impl HostDescriptor for Ctx {
    // What writes, or makes something.

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        self.charge_at(&fd, offset, bytes.len() as u64)?;
        let written = self.fs().write(borrow(&fd), bytes, offset).await;
        self.judge(&fd, Act::Write, "", written)
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        self.charge_at(&fd, size, 0)?;
        let set = self.fs().set_size(borrow(&fd), size).await;
        self.judge(&fd, Act::Write, "", set)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        self.charge_at(&fd, offset, 0)?;
        let stream = self.fs().write_via_stream(borrow(&fd), offset);
        let stream = self.judge(&fd, Act::Write, "", stream)?;
        self.metered(stream)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.fs().append_via_stream(borrow(&fd));
        let stream = self.judge(&fd, Act::Write, "", stream)?;
        self.metered(stream)
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let makes = open_flags.contains(OpenFlags::CREATE) && {
            let mut fs = self.filesystem();
            let found = fs.stat_at(borrow(&fd), path_flags, path.clone());
            found.await.is_err()
        };
        if makes {
            self.make()?;
        }
        let opened = self
            .fs()
            .open_at(borrow(&fd), path_flags, path.clone(), open_flags, flags)
            .await;
        let opened = if makes { self.made(opened) } else { opened };
        let writes = flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY)
            || open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        let act = if writes { Act::Write } else { Act::Read };
        let opened = self.judge(&fd, act, &path, opened)?;
        if let Some(mount) = self.files.of(&fd) {
            self.files.open.insert(opened.rep(), mount);
        }
        Ok(opened)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.make()?;
        let made = self
            .fs()
            .create_directory_at(borrow(&fd), path.clone())
            .await;
        let made = self.made(made);
        self.judge(&fd, Act::Write, &path, made)
    }

    async fn symlink_at(&mut self, fd: Fd, to: String, path: String) -> FsResult<()> {
        // The guest cannot follow one that leads out; whoever opens it later can.
        let mount = self.files.of(&fd).filter(|mount| *mount != SCRATCH_MOUNT);
        if let Some((guest, true)) = mount.and_then(|mount| self.files.mounts.get(mount)) {
            self.meter()
                .deny(format!("making the link {path:?} in {guest}"), None);
            return Err(ErrorCode::NotPermitted.into());
        }
        self.make()?;
        let made = self.fs().symlink_at(borrow(&fd), to, path.clone()).await;
        let made = self.made(made);
        self.judge(&fd, Act::Write, &path, made)
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        self.same_mount(&fd, &new_fd, &new_path)?;
        self.make()?;
        let (from, to) = (borrow(&fd), borrow(&new_fd));
        let made = self
            .fs()
            .link_at(from, flags, path, to, new_path.clone())
            .await;
        let made = self.made(made);
        self.judge(&fd, Act::Write, &new_path, made)
    }

    async fn rename_at(
        &mut self,
        fd: Fd,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        self.same_mount(&fd, &new_fd, &new_path)?;
        let (from, to) = (borrow(&fd), borrow(&new_fd));
        let moved = self.fs().rename_at(from, path.clone(), to, new_path).await;
        self.judge(&fd, Act::Write, &path, moved)
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let removed = self
            .fs()
            .remove_directory_at(borrow(&fd), path.clone())
            .await;
        self.judge(&fd, Act::Write, &path, removed)
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let removed = self.fs().unlink_file_at(borrow(&fd), path.clone()).await;
        self.judge(&fd, Act::Write, &path, removed)
    }

    async fn set_times(&mut self, fd: Fd, read: NewTimestamp, write: NewTimestamp) -> FsResult<()> {
        let set = self.fs().set_times(borrow(&fd), read, write).await;
        self.judge(&fd, Act::Write, "", set)
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        read: NewTimestamp,
        write: NewTimestamp,
    ) -> FsResult<()> {
        let set = self
            .fs()
            .set_times_at(borrow(&fd), flags, path.clone(), read, write)
            .await;
        self.judge(&fd, Act::Write, &path, set)
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.fs().sync(fd).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.fs().sync_data(fd).await
    }

    // What reads.

    async fn read(&mut self, fd: Fd, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        self.fs().read(fd, length, offset).await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        self.fs().read_via_stream(fd, offset)
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Entries> {
        if self.files.listings >= LISTINGS_LIMIT {
            self.meter()
                .deny("more than 16 listings of folders at once", None);
            return Err(ErrorCode::InsufficientMemory.into());
        }
        let entries = self.fs().read_directory(fd).await?;
        self.files.listings += 1;
        Ok(entries)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        let link = self.fs().readlink_at(borrow(&fd), path.clone()).await;
        self.judge(&fd, Act::Read, &path, link)
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.fs().stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let stat = self.fs().stat_at(borrow(&fd), flags, path.clone()).await;
        self.judge(&fd, Act::Read, &path, stat)
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.fs().metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let hash = self
            .fs()
            .metadata_hash_at(borrow(&fd), flags, path.clone())
            .await;
        self.judge(&fd, Act::Read, &path, hash)
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.fs().get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.fs().get_type(fd).await
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        self.fs().is_same_object(a, b).await
    }

    async fn advise(&mut self, fd: Fd, offset: u64, length: u64, advice: Advice) -> FsResult<()> {
        self.fs().advise(fd, offset, length, advice).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.files.open.remove(&fd.rep());
        HostDescriptor::drop(&mut self.filesystem(), fd)
    }
}

impl HostDirectoryEntryStream for Ctx {
    async fn read_directory_entry(&mut self, entries: Entries) -> FsResult<Option<DirectoryEntry>> {
        self.filesystem().read_directory_entry(entries).await
    }

    fn drop(&mut self, entries: Entries) -> wasmtime::Result<()> {
        self.files.listings = self.files.listings.saturating_sub(1);
        HostDirectoryEntryStream::drop(&mut self.filesystem(), entries)
    }
}
