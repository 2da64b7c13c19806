//! Any page of the database may be damaged. An overflow page affects only its owner; for other pages, what is on them
//! may be lost. In any case the program starts or says why not, continues, and stops when told to.

use std::time::Duration;

use super::{
    damaged::{health, stop},
    *,
};

const PAGE_BYTES: usize = 1_024;

/// A database with rows of every kind, and its contents.
struct Sample {
    bytes: Vec<u8>,
    /// Runs that wait for an answer.
    waiting: Vec<String>,
    /// A run that sleeps.
    sleeping: String,
    pages: BTreeMap<usize, Page>,
}

/// The owner of a page, and whether it is an overflow page.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Page {
    table: String,
    is_overflow: bool,
}

impl Sample {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let program = start(directory.path(), &[]);
        for number in 0..12 {
            program.finish("echo", json!({ "message": format!("{number}") }));
        }
        program.finish("echo", json!({ "message": "large ".repeat(1_000) }));
        program.finish("streaming", json!({ "count": 500, "delay_ms": 0, "pad": "p".repeat(3_000) }));
        program.finish("looping", json!({ "target": 30 }));
        let mut state = program.post("/workflows/cumulative/run", &json!({ "start_event": { "increment": 1 } }));
        for _ in 0..15 {
            let again = json!({ "handler_id": state.json()["handler_id"], "start_event": { "increment": 1 } });
            state = program.post("/workflows/cumulative/run", &again);
            assert_eq!(state.status, 200, "{state:?}");
        }
        let wait = |pad: usize| program.begin("interactive", json!({ "pad": "w".repeat(pad) }));
        let waiting: Vec<String> = [10, 10, 4_000, 10, 10, 4_000, 10].map(wait).into();
        let sleeping = program.begin("sleepy", json!({ "delay_ms": 3_600_000 }));
        // A run that has not ended, with a journal of its own.
        let going = program.begin("streaming", json!({ "count": 20_000, "delay_ms": 30 }));
        let mut reader = program.connect();
        reader.send("GET", &format!("/events/{going}?sse=false"), &[], None);
        assert_eq!(reader.head().status, 200);
        for _ in 0..40 {
            reader.event().expect("an event");
        }
        drop(reader);
        program.finish("echo", json!({ "message": "last" }));
        stop(program);
        let bytes = fs::read(directory.path().join("steprill.db")).expect("a database");
        let pages = pages(directory.path(), &bytes);
        Self { bytes, waiting, sleeping, pages }
    }

    /// Damages a page in a copy. Returns the directory, or `None` if the page does not change.
    fn damaged(&self, page: usize, kind: Kind) -> Option<TempDir> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut bytes = self.bytes.clone();
        let place = &mut bytes[(page - 1) * PAGE_BYTES..page * PAGE_BYTES];
        match kind {
            Kind::Zeros => place.fill(0),
            Kind::Pointer => place[..4].copy_from_slice(&[0xDE, 0xAD, 0xBE, 0xEF]),
        }
        fs::write(directory.path().join("steprill.db"), &bytes).expect("a database");
        (bytes != self.bytes).then_some(directory)
    }

    /// Starts with a damaged page, and checks everything that others than its owner see. `is_thorough` checks for
    /// needless work, too.
    fn check(&self, page: usize, kind: Kind, is_thorough: bool) {
        let Some(directory) = self.damaged(page, kind) else { return };
        let whose = self.pages.get(&page);
        let is_overflow = whose.is_some_and(|page| page.is_overflow);
        let what = format!("page {page}, {kind:?}, {whose:?}");
        if !is_overflow && let Err(refusal) = starts(self.damaged(page, kind).expect("a damaged page").path()) {
            let says_why = refusal.contains("is damaged") || refusal.contains("is not a database");
            assert!(says_why && !refusal.contains("panicked"), "{what}: {refusal}");
            return;
        }
        let program = start(directory.path(), &["--keep-finished", "4"]);
        // A run that its damage has failed at the start may be removed after the others.
        let was_degraded = health(&program)["status"] == "degraded";
        let mut connection = program.connect();
        let starts = if is_thorough { 200 } else { 30 };
        let started = (0..starts).filter(|_| {
            let body = json!({ "start_event": {} }).to_string();
            connection.request("POST", "/workflows/echo/run", &[], Some(body.as_bytes())).status == 200
        });
        let started = started.count();
        let answer = json!({ "event": { "type": "ExternalEvent", "value": { "response": "hi" } } });
        let post = |id: &&String| program.post(&format!("/events/{id}"), &answer).status != 200;
        let unanswered = self.waiting.iter().filter(post).count();
        let sleeping = program.get(&format!("/handlers/{}", self.sleeping)).status == 202;
        let list = program.get("/handlers");
        assert_eq!(list.status, 200, "{what}");
        let damaged = list.header("X-Steprill-Damaged").map_or(0, |count| count.parse().expect("a count"));
        let is_degraded = was_degraded || health(&program)["status"] == "degraded";
        if is_overflow {
            let lost = unanswered + usize::from(!sleeping);
            assert!(started == starts && lost <= 1 && damaged <= 1, "{what}: {started} {lost} {damaged}");
            assert!(is_degraded || lost + damaged == 0, "{what}");
        }
        let log = if is_thorough {
            let before = ticks(&program);
            thread::sleep(Duration::from_secs(1));
            let used = ticks(&program) - before;
            assert!(used < 30, "{what}: it works for {used} hundredths of a second though it is idle");
            stop(program)
        } else {
            program.kill()
        };
        assert!(!log.contains("panicked") && log.lines().count() < 100, "{what}: {log}");
        self.check_mended(page, directory.path(), &what);
    }

    /// Restores the page, unless it was written since: everything must be intact.
    fn check_mended(&self, page: usize, directory: &Path, what: &str) {
        let path = directory.join("steprill.db");
        let mut bytes = fs::read(&path).expect("a database");
        let range = (page - 1) * PAGE_BYTES..page * PAGE_BYTES;
        let was = &self.bytes[range.clone()];
        let Some(is) = bytes.get_mut(range) else { return };
        let pointer_alone = is[4..] == was[4..];
        if !pointer_alone && is.iter().any(|byte| *byte != 0) {
            return;
        }
        is.copy_from_slice(was);
        fs::write(&path, bytes).expect("a database");
        let program = start(directory, &["--keep-finished", "4"]);
        let list = program.get("/handlers");
        assert_eq!((list.status, list.header("X-Steprill-Damaged")), (200, None), "{what}, mended");
        assert_eq!(health(&program), json!({ "status": "healthy" }), "{what}, mended");
        stop(program);
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Zeros,
    /// The first bytes: for an overflow page, the number of the next one.
    Pointer,
}

#[test]
fn a_damaged_overflow_page_is_noticed_by_its_owner_alone() {
    let sample = Sample::new();
    for table in ["handlers", "blobs"] {
        let is_of = |page: &Page| page.is_overflow && page.table == table;
        let pages: Vec<usize> = sample.pages.iter().filter(|(_, page)| is_of(page)).map(|(page, _)| *page).collect();
        assert!(pages.len() > 3, "{table} has {} overflow pages", pages.len());
        sample.check(pages[pages.len() / 2], Kind::Zeros, false);
        sample.check(pages[pages.len() / 3], Kind::Pointer, false);
    }
    let is_elsewhere = |page: &Page| page.is_overflow && !["handlers", "blobs", "versions"].contains(&&*page.table);
    let elsewhere: Vec<_> = sample.pages.values().filter(|page| is_elsewhere(page)).collect();
    assert!(elsewhere.is_empty(), "a search in one of these reads them: {elsewhere:?}");
}

/// Tests a page of each table, and one that belongs to none. For all pages:
/// [`whatever_page_is_damaged_the_program_continues_or_reports_why_not`].
#[test]
fn a_damaged_page_of_any_table_is_survived_or_refused_with_the_reason() {
    let sample = Sample::new();
    let tables: BTreeMap<&str, usize> = sample
        .pages
        .iter()
        .filter(|(_, page)| !page.is_overflow)
        .map(|(number, page)| (&*page.table, *number))
        .collect();
    assert!(tables.len() > 4, "{tables:?}");
    for (number, kind) in tables.values().zip([Kind::Zeros, Kind::Pointer].into_iter().cycle()) {
        sample.check(*number, kind, false);
    }
}

/// Takes a quarter of an hour: `cargo nextest run --run-ignored only -E 'test(faults::pages)'`.
#[test]
#[ignore = "it starts the program some hundred times"]
fn whatever_page_is_damaged_the_program_continues_or_reports_why_not() {
    let sample = Sample::new();
    for page in 1..=sample.bytes.len() / PAGE_BYTES {
        for kind in [Kind::Zeros, Kind::Pointer] {
            sample.check(page, kind, true);
        }
    }
}

/// Returns whether the program starts on this directory, or what it says.
fn starts(directory: &Path) -> Result<(), String> {
    let mut command = Program::command(&["--data", text(directory)]);
    let mut child = Ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"));
    let mut line = [0; 8];
    if child.0.stdout.take().expect("it is piped").read_exact(&mut line).is_ok() {
        return Ok(());
    }
    let mut said = String::new();
    child.0.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
    assert_eq!(child.0.wait().expect("it is our child").code(), Some(1), "{said}");
    Err(said)
}

/// Returns the hundredths of a second for which a process has worked, where the system reports that.
fn ticks(program: &Program) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", program.pid())).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).map_or(0, |field| field.parse::<u64>().unwrap_or(0));
    ticks(11) + ticks(12)
}

/// Returns the owner of each page of a table. See <https://www.sqlite.org/fileformat.html#b_tree_pages>.
fn pages(directory: &Path, bytes: &[u8]) -> BTreeMap<usize, Page> {
    let database = rusqlite::Connection::open(directory.join("steprill.db")).expect("a database");
    let mut statement = database.prepare("SELECT name, rootpage FROM sqlite_schema").expect("a schema");
    let roots = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))).expect("tables");
    let mut roots: Vec<(String, usize)> =
        roots.map(|row| row.expect("a table")).map(|(table, root)| (table, root as usize)).collect();
    roots.push(("sqlite_schema".into(), 1));
    let mut pages = BTreeMap::new();
    for (table, root) in roots {
        let mut left = vec![root];
        while let Some(number) = left.pop() {
            pages.insert(number, Page { table: table.clone(), is_overflow: false });
            let (children, overflow) = Btree { bytes, number }.links();
            left.extend(children);
            for mut next in overflow {
                while next != 0 {
                    pages.insert(next, Page { table: table.clone(), is_overflow: true });
                    next = number_at(bytes, (next - 1) * PAGE_BYTES);
                }
            }
        }
    }
    pages
}

fn number_at(bytes: &[u8], place: usize) -> usize {
    u32::from_be_bytes(bytes[place..place + 4].try_into().expect("four bytes")) as usize
}

/// A page of a B-tree.
struct Btree<'a> {
    bytes: &'a [u8],
    number: usize,
}

impl Btree<'_> {
    /// Returns the pages below it, and the first overflow pages of its cells.
    fn links(&self) -> (Vec<usize>, Vec<usize>) {
        let page = &self.bytes[(self.number - 1) * PAGE_BYTES..self.number * PAGE_BYTES];
        let head = if self.number == 1 { 100 } else { 0 };
        let kind = page[head];
        let is_interior = kind == 2 || kind == 5;
        let count = usize::from(u16::from_be_bytes([page[head + 3], page[head + 4]]));
        let first = head + if is_interior { 12 } else { 8 };
        let mut children: Vec<usize> = is_interior.then(|| number_at(page, head + 8)).into_iter().collect();
        let mut overflow = Vec::new();
        for index in 0..count {
            let place = first + 2 * index;
            let mut cell = usize::from(u16::from_be_bytes([page[place], page[place + 1]]));
            if is_interior {
                children.push(number_at(page, cell));
                cell += 4;
            }
            if kind == 5 {
                continue;
            }
            let (payload, length) = varint(&page[cell..]);
            cell += length;
            if kind == 13 {
                cell += varint(&page[cell..]).1;
            }
            let local_max = if kind == 13 { PAGE_BYTES - 35 } else { (PAGE_BYTES - 12) * 64 / 255 - 23 };
            if payload > local_max {
                let local_min = (PAGE_BYTES - 12) * 32 / 255 - 23;
                let local = local_min + (payload - local_min) % (PAGE_BYTES - 4);
                overflow.push(number_at(page, cell + if local <= local_max { local } else { local_min }));
            }
        }
        (children, overflow)
    }
}

fn varint(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value = value << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    (value, 9)
}
