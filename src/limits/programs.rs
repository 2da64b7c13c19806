//! Limits of steps that are run by programs.

/// Programs at a time, by default: each takes some megabytes of its own and up to four descriptors of the server. A
/// small machine with 512 MB has room for as many Python scripts.
pub const PROGRAMS_DEFAULT: usize = 64;

/// Programs at a time that may be requested: beyond, descriptors and process ids run out first.
pub const PROGRAMS_MAX: usize = 10_000;

/// Programs that one turn of the loop starts: the loop stands still while one is started, a fraction of a millisecond
/// each.
pub const PROGRAM_STARTS_MAX: usize = 8;

/// Passes of steps that are data, and need no program, whose ends wait for the next turn: a few microseconds each.
pub const DATA_PASSES_MAX: usize = 256;

/// Bytes of one line of a program's output: parsing it takes the loop a few milliseconds. A larger event fits into an
/// output that is one value.
pub const PROGRAM_LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes that each event and each change of the state counts besides its text, so that very many small ones are
/// bounded, too.
pub const PROGRAM_ENTRY_BYTES: usize = 64;

/// Bytes of output of all programs that the server holds at a time; an attempt that exceeds this fails.
pub const PROGRAMS_OUTPUT_BYTES_MAX: usize = 256 << 20;

/// Bytes of a program's output that are read at a time, into a buffer that all programs share: what a pipe holds.
pub const PROGRAM_READ_BYTES: usize = 64 << 10;

/// Bytes that one turn of the loop reads from all programs; the others are read in the next turn.
pub const PROGRAMS_TURN_BYTES_MAX: usize = 1 << 20;

/// Bytes that are still read from a pipe after its program has ended: the most that a pipe holds, so that a process
/// that has escaped and still writes holds nothing up.
pub const PROGRAM_DRAIN_BYTES_MAX: usize = 1 << 20;

/// Bytes of the end of stderr that become the error of a failed program.
pub const STDERR_TAIL_BYTES: usize = 2 << 10;

/// Bytes of a line of stderr in the log; a longer line is split.
pub const STDERR_LINE_BYTES_MAX: usize = 1 << 10;

/// Lines of stderr that are logged of one program in a second; the others are counted.
pub const STDERR_LINES_MAX: u32 = 100;

/// Bytes of a program's arguments: as much as Linux takes in one of them. More belongs into stdin.
pub const ARGUMENTS_BYTES_MAX: usize = 128 << 10;

/// Bytes of a secret: as much as Linux takes in one variable.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// Characters that a line of a secret must have to be hidden where the program prints it: shorter ones occur by chance.
pub const SECRET_LINE_BYTES_MIN: usize = 4;

/// Attempts of a program without a retry policy that ends with code 75, "try again later".
pub const PROGRAM_RETRY_ATTEMPTS: u32 = 3;

/// The delay before the second of them; the next one is twice as long.
pub const PROGRAM_RETRY_DELAY: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a program may take to end after SIGTERM before it gets SIGKILL.
pub const PROGRAM_TERM_WAIT_US: u64 = 2_000_000;

/// How often programs are looked at where the system cannot report their end.
pub const PROGRAM_CHECK_PAUSE_US: u64 = 20_000;

/// After how long the start of a program is tried again when the system was short of processes or descriptors.
pub const PROGRAM_START_PAUSE_US: u64 = 200_000;

/// Bytes of output from which a program's end is evaluated on a thread, as that would block the loop.
pub const PROGRAM_OUTPUT_BYTES_INLINE: usize = 64 << 10;

/// How long a start waits for the end of programs that an earlier server has left behind.
pub const LEFT_PROGRAMS_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// How long the end of the server waits for programs that it has killed.
pub const KILLED_PROGRAMS_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// How often these two look.
pub const PROGRAMS_LOOK_PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// Events of the poll of programs that are taken at a time. The others are taken by the next call, in the same turn.
pub const PROGRAM_EVENTS_AT_ONCE: usize = 256;
