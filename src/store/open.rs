//! Opening the database: where it may lie, who may share it, what its file is, and bringing its tables up to date.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::Migrations;

use super::schema::{APPLICATION_ID, MIGRATIONS};
use super::{Store, StoreError, author};
use crate::project::durable::{self, FileError};

/// How long a writer waits for another before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// File systems on which SQLite's shared memory or its locks do not hold between machines, by the names that
/// `/proc/self/mountinfo` gives them.
const NETWORK: [&str; 17] = [
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "gfs2", "ocfs2", "ncpfs",
    "pvfs2", "coda", "vboxsf",
];
/// The same behind FUSE, which many local file systems use too.
const NETWORK_FUSE: [&str; 11] = [
    "sshfs",
    "glusterfs",
    "s3fs",
    "gcsfuse",
    "rclone",
    "davfs",
    "juicefs",
    "ceph-fuse",
    "mount-s3",
    "blobfuse2",
    "goofys",
];

impl Store {
    /// Opens the database at `path`, creating it where there is none, in the name of the account that runs this process.
    ///
    /// # Errors
    /// Where the folder lies on a network file system or cannot be written, the file is no database of togi's, or a
    /// newer togi made it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(path, author::account()?)
    }

    /// As [`Store::open`], in somebody's name: for tests of what happens between several people.
    pub(crate) fn open_as(path: &Path, author: String) -> Result<Self, StoreError> {
        let connection = connect(path, &MIGRATIONS)?;
        Ok(Self { connection, path: path.to_owned(), author, session: None })
    }
}

/// Opens the file, brings it to the last of `migrations` and sets it up.
pub(super) fn connect(path: &Path, migrations: &Migrations<'static>) -> Result<Connection, StoreError> {
    let folder = durable::parent(path);
    let mut real = fs::canonicalize(folder).map_err(FileError::on("find", folder))?;
    // The file itself may be a link to somewhere else.
    if let Ok(file) = fs::canonicalize(path) {
        durable::parent(&file).clone_into(&mut real);
    }
    if let Some(system) = fs::read_to_string("/proc/self/mountinfo").ok().and_then(|table| network(&table, &real)) {
        return Err(StoreError::Network { folder: real, system });
    }
    let fail = |cause: rusqlite::Error| StoreError::from_sql(path, cause);
    if !path.exists() {
        match File::create_new(path) {
            Ok(_) => durable::share(path)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FileError::on("create", path)(error).into()),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(PATIENCE).map_err(fail)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(fail)?;
    // Full: what a person was told is saved is on the disk, whatever happens to the power.
    connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(fail)?;
    connection.pragma_update(None, "cache_size", -32_768).map_err(fail)?;
    // A search reads all words through: from mapped pages that takes half the time.
    connection.pragma_update(None, "mmap_size", 1_i64 << 30).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection, path, migrations)?;
    if connection.is_readonly("main").map_err(fail)? {
        return Err(StoreError::ReadOnly { path: path.to_owned() });
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(fail)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::NoWal { path: path.to_owned() });
    }
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path, migrations: &Migrations<'static>) -> Result<(), StoreError> {
    let fail = |cause: rusqlite::Error| StoreError::from_sql(path, cause);
    let number = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(fail)
    };
    let newest = migrations.pending_migrations(&empty()?).unwrap_or(0);
    let check = |connection: &Connection| -> Result<i32, StoreError> {
        let version = number(connection, "user_version")?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fail)?;
        if tables > 0 && number(connection, "application_id")? != APPLICATION_ID {
            return Err(StoreError::Foreign { path: path.to_owned() });
        }
        if version > newest {
            return Err(StoreError::Newer { path: path.to_owned(), version, newest });
        }
        Ok(version)
    };
    if check(connection)? == newest {
        return Ok(());
    }
    // Of several that open it at once, one migrates and the others wait. The folder is locked, not the file: closing a
    // second handle of the file would drop SQLite's own locks.
    let folder = durable::parent(path);
    let lock = File::open(folder).map_err(FileError::on("open", folder))?;
    lock.lock().map_err(FileError::on("lock", folder))?;
    let version = check(connection)?;
    if version == newest {
        return Ok(());
    }
    if version > 0 {
        back_up(connection, path, version)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
    migrations.to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => fail(err),
        other => StoreError::Migration { path: path.to_owned(), reason: other.to_string() },
    })
}

fn empty() -> Result<Connection, StoreError> {
    Connection::open_in_memory().map_err(|cause| StoreError::from_sql(Path::new(":memory:"), cause))
}

/// Copies the database beside itself before its tables change.
fn back_up(connection: &Connection, path: &Path, version: i32) -> Result<PathBuf, StoreError> {
    let fail = |cause: rusqlite::Error| StoreError::from_sql(path, cause);
    let stamp = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}-{stamp}.backup"));
    let copy = PathBuf::from(name);
    File::create_new(&copy).map_err(FileError::on("create the backup", &copy))?;
    durable::share(&copy)?;
    let mut target = Connection::open(&copy).map_err(fail)?;
    {
        let backup = Backup::new(connection, &mut target).map_err(fail)?;
        backup.run_to_completion(1_000, Duration::ZERO, None).map_err(fail)?;
    }
    target.close().map_err(|(_, cause)| fail(cause))?;
    File::open(&copy).and_then(|file| file.sync_all()).map_err(FileError::on("sync", &copy))?;
    durable::sync_dir(durable::parent(&copy))?;
    Ok(copy)
}

/// The network file system that `folder` lies on, by the table of mounts.
fn network(mountinfo: &str, folder: &Path) -> Option<String> {
    let mut found: Option<(usize, &str)> = None;
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(system)) = (before.split(' ').nth(4), after.split(' ').next()) else { continue };
        let point = unescape(point);
        // Of two mounts on one point the later one is seen.
        if folder.starts_with(&point) && found.is_none_or(|(length, _)| point.len() >= length) {
            found = Some((point.len(), system));
        }
    }
    let system = found?.1;
    let fuse = system.strip_prefix("fuse.").is_some_and(|name| NETWORK_FUSE.contains(&name));
    (fuse || NETWORK.contains(&system)).then(|| system.to_owned())
}

/// Undoes the octal escapes that mountinfo writes for blanks in a path.
fn unescape(path: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(path.to_owned(), |path, (code, sign)| path.replace(code, sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite_migration::M;

    #[test]
    fn a_folder_on_a_network_file_system_is_known_by_the_mounts() {
        let table = "\
22 1 8:1 / / rw,relatime - ext4 /dev/root rw
40 22 0:44 / /home rw,relatime shared:1 - nfs4 server:/home rw
41 40 8:2 / /home/local rw - xfs /dev/sdb rw
42 22 0:50 / /mnt/my\\040disk rw - fuse.sshfs host: rw
43 22 0:51 / /mnt/ntfs rw - fuseblk /dev/sdc rw";
        let on = |folder: &str| network(table, Path::new(folder));
        assert_eq!(on("/home/mika/desk").as_deref(), Some("nfs4"));
        assert_eq!(on("/mnt/my disk/desk").as_deref(), Some("fuse.sshfs"));
        assert_eq!(
            [on("/work/desk"), on("/home/local/desk"), on("/homes/desk"), on("/mnt/ntfs/desk")],
            [const { None }; 4]
        );
    }

    #[test]
    fn a_migration_is_preceded_by_a_backup_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("togi.db");
        let older = connect(&path, &MIGRATIONS).unwrap();
        older.execute("INSERT INTO act(author, at, cause) VALUES ('mika', 1, 'edit')", []).unwrap();
        drop(older);
        let next = Migrations::new(vec![
            M::up("CREATE TABLE unused (id INTEGER) STRICT"),
            M::up("CREATE TABLE unused_too (id INTEGER) STRICT"),
            M::up("CREATE TABLE unused_as_well (id INTEGER) STRICT"),
            M::up("CREATE TABLE unused_at_last (id INTEGER) STRICT"),
            M::up("ALTER TABLE act ADD COLUMN mood TEXT"),
        ]);
        connect(&path, &next).unwrap().query_row("SELECT mood FROM act", [], |_| Ok(())).unwrap();
        let backup = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().ends_with(".backup"))
            .unwrap();
        assert!(backup.to_string_lossy().contains("togi.db.v4-"), "{backup:?}");
        let backup = Connection::open(backup).unwrap();
        let author: String = backup.query_row("SELECT author FROM act", [], |row| row.get(0)).unwrap();
        assert_eq!(author, "mika");
        assert!(backup.prepare("SELECT mood FROM act").is_err());
        // What the newer togi left is refused by the older one, and stays.
        let message = connect(&path, &MIGRATIONS).unwrap_err().to_string();
        assert!(message.contains("newer togi"), "{message}");
    }

    #[test]
    fn another_programs_database_and_a_file_that_is_none_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("togi.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
        let message = connect(&path, &MIGRATIONS).unwrap_err().to_string();
        assert!(message.contains("togi.db") && message.contains("not togi's"), "{message}");
        fs::write(&path, "x".repeat(5000)).unwrap();
        let message = connect(&path, &MIGRATIONS).unwrap_err().to_string();
        assert!(message.contains("togi.db") && message.contains("not a database"), "{message}");
    }
}
