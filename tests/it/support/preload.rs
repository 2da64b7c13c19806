//! A disk that hangs and a clock that is set, for one program: a C library between the program and the system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::OnceLock,
};

use tempfile::TempDir;

/// Controls whether the disk of a program hangs or fails.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: TempDir,
}

impl Disk {
    /// Puts a working disk under the program that `command` starts.
    pub(crate) fn under(command: &mut Command) -> Self {
        let disk = Self { directory: tempfile::tempdir().expect("a directory") };
        preload(command)
            .env("STEPRILL_TEST_DISK_HANGS", disk.file())
            .env("STEPRILL_TEST_DISK_FAILS", disk.file().with_extension("failing"));
        disk
    }

    /// Makes every sync block from now on.
    pub(crate) fn hang(&self) {
        fs::write(self.file(), "").expect("the file is written");
    }

    /// Lets blocked and future syncs succeed or fail.
    pub(crate) fn end_hang(&self, succeed: bool) {
        let failing = self.file().with_extension("failing");
        let ended = if succeed { fs::remove_file(self.file()) } else { fs::rename(self.file(), failing) };
        ended.expect("it hangs");
    }

    /// Lets syncs succeed again.
    pub(crate) fn recover(&self) {
        fs::remove_file(self.file().with_extension("failing")).expect("it fails");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("hangs")
    }
}

/// Sets the wall clock of a program.
#[derive(Debug)]
pub(crate) struct Clock {
    directory: TempDir,
}

impl Clock {
    /// Puts a clock, which shows the system's time, before the program that `command` starts.
    pub(crate) fn before(command: &mut Command) -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a directory") };
        clock.set_ahead(0);
        clock.show(command);
        clock
    }

    /// Shows the clock to another program, too.
    pub(crate) fn show(&self, command: &mut Command) {
        preload(command).env("STEPRILL_TEST_CLOCK", self.file());
    }

    /// Sets the clock this many seconds ahead of the system's from now on.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        // Replaced atomically: the program may read it at any time.
        let fresh = self.directory.path().join("fresh");
        fs::write(&fresh, seconds.to_string()).and_then(|()| fs::rename(&fresh, self.file())).expect("it is written");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ahead")
    }
}

fn preload(command: &mut Command) -> &mut Command {
    command.env("LD_PRELOAD", library())
}

/// Builds the library with the C compiler that built SQLite.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (path, fresh) = (directory.join("preload.so"), directory.join(format!("preload-{}.so", process::id())));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/preload.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", source, "-o"]).arg(&fresh).status();
        assert!(built.expect("there is a C compiler").success(), "{source} does not build");
        fs::rename(&fresh, &path).expect("it is put in place");
        path
    })
}
