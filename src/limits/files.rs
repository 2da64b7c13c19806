//! Limits of workflow files.

use std::time::Duration;

/// Bytes of a workflow file. A hundred times what a long one has.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// How deep tables and lists nest in a workflow file, each part of a dotted key included: an event's fields are at the
/// third level, and the reader recurses.
pub const FILE_DEPTH_MAX: usize = 32;

/// Steps of a workflow file, and event types, and fields of each event: checking a graph takes longer than in
/// proportion to them.
pub const FILE_NAMES_MAX: usize = 500;

/// Bytes of the name of a workflow, a step, an event or a field: it is part of errors, log lines and URLs.
pub const FILE_NAME_BYTES_MAX: usize = 128;

/// Bytes of an argument, a variable, a path or a template, and of a description: the system accepts arguments of
/// 128 KiB.
pub const FILE_TEXT_BYTES_MAX: usize = 64 << 10;

/// Arguments of a program, its variables, and the cases of a step that emits: the system copies them at each start.
pub const FILE_LIST_LEN_MAX: usize = 1_000;

/// Names of a workflow file that an error lists: it has no room for all names of a large file.
pub const FILE_NAMES_LISTED_MAX: usize = 20;

/// How often `[]` and `?` may follow a type in a workflow file: the reader of types recurses.
pub const FILE_TYPE_SUFFIXES_MAX: usize = 8;

/// Faults of a workflow file that are reported; the others follow once these are mended.
pub const FILE_FAULTS_MAX: usize = 100;

/// Workflow files that one command reads.
pub const FILES_MAX: usize = 1_000;

/// The longest duration in a workflow file: a century. Longer ones are mistakes in the unit.
pub const FILE_DURATION_MAX: Duration = Duration::from_hours(24 * 36_500);

/// The first delay of a retry policy in a workflow file, by default: a service that restarts is back after a few.
pub const RETRY_DELAY_DEFAULT: Duration = Duration::from_secs(1);
