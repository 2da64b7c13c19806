//! A table in Markdown: the figures of steprill, and for each peer the ratio to steprill with the figure.

use std::fmt::Write;

/// The unit of a figure.
#[derive(Clone, Copy)]
pub enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    PerSecond,
    Bytes,
}

impl Unit {
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Microseconds => format!("{} µs", three_digits(value)),
            Self::Milliseconds => format!("{} ms", three_digits(value)),
            Self::Seconds => format!("{} s", three_digits(value)),
            Self::PerSecond => three_digits(value),
            Self::Bytes if value < 1e6 => format!("{} KB", three_digits(value / 1e3)),
            Self::Bytes => format!("{} MB", three_digits(value / 1e6)),
        }
    }
}

/// A table that is printed row by row.
pub struct Table {
    columns: usize,
}

impl Table {
    /// Begins a table, whose first column of figures is steprill's.
    pub fn begin(columns: &[&str]) -> Self {
        println!("\n| what | {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len() + 1));
        Self { columns: columns.len() }
    }

    /// Prints a row of figures, one per server in order of the columns; columns without a figure stay empty.
    pub fn row(&self, what: &str, unit: Unit, figures: &[f64]) {
        let ours = figures.first().copied().unwrap_or(f64::NAN);
        let cells = figures.iter().enumerate().map(|(column, figure)| {
            let shown = unit.show(*figure);
            if column == 0 { shown } else { format!("{} × ({shown})", three_digits(figure / ours)) }
        });
        self.text(what, &cells.collect::<Vec<_>>());
    }

    /// Prints a row of texts.
    pub fn text(&self, what: &str, cells: &[String]) {
        let mut row = format!("| {what} |");
        for column in 0..self.columns {
            let _ = write!(row, " {} |", cells.get(column).map_or("", String::as_str));
        }
        println!("{row}");
    }
}

/// Formats at most three significant digits, with a comma per three digits: `0.0022`, `0.78`, `10.9`, `95,100`.
pub fn three_digits(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value < 100.0 {
        let places = match value {
            0.0 => 0,
            // A small ratio gets two digits after its zeros.
            ..0.1 => 2 + (-value.abs().log10()).floor().min(9.0) as usize,
            ..10.0 => 2,
            _ => 1,
        };
        return format!("{value:.places$}");
    }
    let unit = 10_f64.powf(value.log10().floor() - 2.0);
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

/// Returns the median; the lower of two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_count() {
        let shown = [0.0, 0.00216, 0.0891, 0.476, 2.5, 23.14, 180_312.0].map(three_digits);
        assert_eq!(shown, ["0", "0.0022", "0.089", "0.48", "2.50", "23.1", "180,000"]);
    }
}
